"""The endpoints that only the page uses."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfmr.serving.bodies import read_fields
from tfmr.serving.errors import RequestError
from tfmr.serving.explore.models import describe_generator, describe_translator, learning_curves, parameter_parts
from tfmr.serving.explore.searches import BEAM_SIZES, compare_searches
from tfmr.serving.explore.sentences import explore_translation
from tfmr.serving.explore.texts import TEMPERATURES, continue_text
from tfmr.serving.fields import Field
from tfmr.serving.service import ServedTranslator, Service
from tfmr.translation import Translator

ALPHAS = tuple(round(0.1 * step, 1) for step in range(21))
TOP_PS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
SAMPLES = 4
_MOST_TOKENS = 4096

_MODEL = {"model": Field(kinds=("text",), meaning="Name of the model.", required=True)}
_LINE = {
    **_MODEL,
    "source": Field(kinds=("text",), meaning="Language of the line, if the model has several.", default=""),
    "target": Field(kinds=("text",), meaning="Language to translate into, if the model has several.", default=""),
    "line": Field(kinds=("text",), meaning="The line to translate.", required=True),
}
_SEED = Field(kinds=("integer",), meaning="The same seed gives the same samples.", default=0, least=0, most=2**31 - 1)
_TOP_P = Field(kinds=("number",), meaning="See decoding.sampling.top_p.", default=1.0, least=0.01, most=1)
_IDS = Field(kinds=("integers",), meaning="Token ids.", default=[])

TRANSLATION = {**_LINE, "prefix": _IDS}
SEARCHES = {
    **_LINE,
    "beam_size": Field(kinds=("integer",), meaning="See decoding.beam_size.", default=4, only=BEAM_SIZES),
    "alpha": Field(kinds=("number",), meaning="See decoding.alpha.", default=0.6, least=0, most=10),
    "temperature": Field(kinds=("number",), meaning="Of the samples.", default=1.0, least=0.01, most=100),
    "top_p": _TOP_P,
    "seed": _SEED,
}
TEXT = {
    **_MODEL,
    "text": Field(kinds=("text",), meaning="The beginning of a text.", default=""),
    "tokens": _IDS,
    "first": Field(kinds=("integer",), meaning="Index of the first token of interest.", default=0, least=0),
    "temperature": Field(kinds=("number",), meaning="Divides the logits.", default=1.0, least=0, most=100),
    "top_p": _TOP_P,
    "seed": _SEED,
}


async def models(request: Request) -> Response:
    """Describes the models, and the values that the page's sliders have."""
    service: Service = request.app.state.service
    # Not on the thread of the models, which is compiling when the page is opened first.
    described = [
        *[await asyncio.to_thread(describe_translator, served) for served in _explored(service)],
        *[await asyncio.to_thread(describe_generator, served) for served in service.generators],
    ]
    temperatures = {"temperature": TEMPERATURES, "top_p": TOP_PS}
    return JSONResponse({"models": described, "choices": {"beam_size": BEAM_SIZES, "alpha": ALPHAS, **temperatures}})


async def model(request: Request) -> Response:
    """Returns where the parameters of a model are, and how it learned."""
    service: Service = request.app.state.service
    served = service.served(service.models, request.query_params.get("model", ""))
    if served not in (*_explored(service), *service.generators):
        raise _not_ours(served.name)
    parts = await service.worker.run(parameter_parts, served.model.model.config)
    curves = await service.worker.run(learning_curves, served.run) if served.run else {"panels": []}
    return JSONResponse({**parts, **curves})


async def translation(request: Request) -> Response:
    """Translates a line and returns what the model did."""
    service: Service = request.app.state.service
    fields = await read_fields(request, TRANSLATION)
    translator, prefix = _translator(service, fields), _ids(fields, "prefix")
    return JSONResponse(await service.worker.run(explore_translation, translator, fields["line"], prefix))


async def searches(request: Request) -> Response:
    """Returns what different searches find for a line."""
    service: Service = request.app.state.service
    fields = await read_fields(request, SEARCHES)
    translator = _translator(service, fields)
    settings = _settings(fields, "beam_size", "alpha", "temperature", "top_p", "seed")
    found = await service.worker.run(compare_searches, translator, fields["line"], samples=SAMPLES, **settings)
    return JSONResponse(found)


async def text(request: Request) -> Response:
    """Reads a text, or the tokens of one, with a language model, and draws the next token."""
    service: Service = request.app.state.service
    fields = await read_fields(request, TEXT)
    service.check_length([fields["text"]], "text")
    generator = service.served(service.generators, fields["model"]).model
    tokens = _ids(fields, "tokens") or generator.prompt_tokens(fields["text"])
    settings = _settings(fields, "first", "temperature", "top_p", "seed")
    return JSONResponse(await service.worker.run(continue_text, generator, tokens, **settings))


def _explored(service: Service) -> list[ServedTranslator]:
    """Returns the translators of which the page can show how they work."""
    return [served for served in service.translators if served.model.searches_in_jax]


def _translator(service: Service, fields: dict[str, Any]) -> Translator:
    service.check_length([fields["line"]], "line")
    translator = service.translator(fields["source"], fields["target"], fields["model"])
    if not translator.searches_in_jax:
        raise _not_ours(fields["model"])
    return translator


def _not_ours(name: str) -> RequestError:
    return RequestError(400, f"model = {name!r}: runs on another engine and cannot show how it works; use /translate")


def _settings(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns some of the fields. JSON does not tell 1 from 1.0, but a setting is an integer or not."""
    real = ("alpha", "temperature", "top_p")
    return {name: float(fields[name]) if name in real else fields[name] for name in names}


def _ids(fields: dict[str, Any], name: str) -> list[int]:
    ids = fields[name]
    if len(ids) > _MOST_TOKENS or not all(0 <= token < 2**31 for token in ids):
        raise RequestError(400, f"{name}: must have at most {_MOST_TOKENS} token ids, none negative", field=name)
    return ids


ROUTES = [
    Route("/page/models", models),
    Route("/page/model", model),
    Route("/page/translation", translation, methods=["POST"]),
    Route("/page/searches", searches, methods=["POST"]),
    Route("/page/text", text, methods=["POST"]),
]
