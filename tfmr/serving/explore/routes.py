"""The endpoints that only the page uses."""

from collections.abc import Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfmr.errors import nearest
from tfmr.language_model import Generator
from tfmr.serving.bodies import read_fields
from tfmr.serving.errors import RequestError
from tfmr.serving.explore.models import describe_model, learning_curves, parameter_parts
from tfmr.serving.explore.searches import compare_searches
from tfmr.serving.explore.sentences import explore_translation
from tfmr.serving.explore.texts import TEMPERATURES, continue_text
from tfmr.serving.service import ServedModel, Service

# The compiled program of a search depends on these, so a client can choose from a few values only.
BEAM_SIZES = (1, 2, 3, 4, 6, 8)
ALPHAS = (0.0, 0.3, 0.6, 0.9, 1.2, 1.5)
SEARCH_TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
TOP_PS = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
SAMPLES = 4

_MOST_TOKENS = 4096
"""The longest list of token ids that is read."""

T = TypeVar("T", int, float)


async def models(request: Request) -> Response:
    """Describes the models, and the values that the page's sliders have."""
    service: Service = request.app.state.service
    described = [await service.worker.run(describe_model, served) for served in service.models]
    choices = {
        "beam_size": BEAM_SIZES,
        "alpha": ALPHAS,
        "temperature": SEARCH_TEMPERATURES,
        "top_p": TOP_PS,
        "text_temperature": TEMPERATURES,
    }
    return JSONResponse({"models": described, "choices": choices})


async def model(request: Request) -> Response:
    """Returns where the parameters of a model are, and how it learned."""
    service: Service = request.app.state.service
    served = _model_named(service.models, request.query_params.get("model", ""))
    parts = await service.worker.run(parameter_parts, served.model.model.config)
    curves = learning_curves(served.run) if served.run else {"panels": []}
    return JSONResponse({**parts, **curves})


async def translation(request: Request) -> Response:
    """Translates a line and returns what the model did."""
    service: Service = request.app.state.service
    fields = await read_fields(request)
    languages = (_text(fields, "source"), _text(fields, "target"))
    _, translator = service.translator(*languages, _text(fields, "model"))
    line, prefix = _text(fields, "line"), _token_ids(fields, "prefix")
    return JSONResponse(await service.worker.run(explore_translation, translator, line, prefix))


async def searches(request: Request) -> Response:
    """Returns what different searches find for a line."""
    service: Service = request.app.state.service
    fields = await read_fields(request)
    languages = (_text(fields, "source"), _text(fields, "target"))
    _, translator = service.translator(*languages, _text(fields, "model"))
    settings: dict[str, Any] = {
        "beam_size": _choice(fields, "beam_size", BEAM_SIZES, 4),
        "alpha": _choice(fields, "alpha", ALPHAS, 0.6),
        "temperature": _choice(fields, "temperature", SEARCH_TEMPERATURES, 1.0),
        "top_p": _choice(fields, "top_p", TOP_PS, 1.0),
        "seed": _whole(fields, "seed"),
    }
    line = _text(fields, "line")
    return JSONResponse(await service.worker.run(compare_searches, translator, line, samples=SAMPLES, **settings))


async def text(request: Request) -> Response:
    """Reads a text, or the tokens of one, with a language model, and draws the next token."""
    service: Service = request.app.state.service
    fields = await read_fields(request)
    served = _model_named(service.generators, _text(fields, "model"))
    assert isinstance(served.model, Generator)
    tokens = _token_ids(fields, "tokens") or served.model.prompt_tokens(_text(fields, "text"))
    settings: dict[str, Any] = {
        "first": _whole(fields, "first"),
        "temperature": _choice(fields, "temperature", (0.0, *TEMPERATURES), 1.0),
        "top_p": _choice(fields, "top_p", TOP_PS, 1.0),
        "seed": _whole(fields, "seed"),
    }
    return JSONResponse(await service.worker.run(continue_text, served.model, tokens, **settings))


def _model_named(models: Sequence[ServedModel], name: str) -> ServedModel:
    """Returns the first model with a name; empty: any. Raises RequestError if there is none."""
    for served in models:
        if name in ("", served.name):
            return served
    known = nearest(name, [served.name for served in models])
    raise RequestError(404, f"model = {name!r}: is not served here{known}", field="model")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise RequestError(400, f"{name}: must be a text", field=name)
    return value


def _whole(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise RequestError(400, f"{name}: must be a whole number from 0 to 2147483647", field=name)
    return value


def _choice(fields: dict[str, Any], name: str, choices: Sequence[T], default: T) -> T:
    value = fields.get(name, default)
    if isinstance(value, int | float) and not isinstance(value, bool) and value in choices:
        return choices[choices.index(value)]
    raise RequestError(400, f"{name}: must be one of {', '.join(map(str, choices))}", field=name)


def _token_ids(fields: dict[str, Any], name: str) -> list[int]:
    value = fields.get(name, [])
    whole = isinstance(value, list) and all(type(token) is int and 0 <= token < 2**31 for token in value)
    if not whole or len(value) > _MOST_TOKENS:
        raise RequestError(400, f"{name}: must be a list of at most {_MOST_TOKENS} token ids", field=name)
    return value


ROUTES = [
    Route("/page/models", models),
    Route("/page/model", model),
    Route("/page/translation", translation, methods=["POST"]),
    Route("/page/searches", searches, methods=["POST"]),
    Route("/page/text", text, methods=["POST"]),
]
