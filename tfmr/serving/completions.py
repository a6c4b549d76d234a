"""OpenAI's API of completions: POST /v1/completions, GET /v1/models."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tfmr.config import GenerationConfig
from tfmr.errors import InputError
from tfmr.language_model import Continuation, Generator, Piece, TextRequest
from tfmr.serving.bodies import read_fields
from tfmr.serving.errors import RequestError
from tfmr.serving.fields import Field
from tfmr.serving.service import Service

COMPLETION = {
    "model": Field(kinds=("text",), meaning="Name of the model.", required=True),
    "prompt": Field(kinds=("text", "texts"), meaning="The beginning of a text, or several.", default=""),
    "max_tokens": Field(
        kinds=("integer",), meaning="Maximum number of tokens to generate.", default=16, least=1, most=2**20
    ),
    "temperature": Field(
        kinds=("number",), meaning="Divides the logits. 0: the most probable tokens.", default=1.0, least=0, most=100
    ),
    "top_p": Field(
        kinds=("number",),
        meaning="Sample from the most probable tokens that together reach this probability.",
        default=1.0,
        least=0,
        most=1,
    ),
    "n": Field(kinds=("integer",), meaning="Number of texts for each prompt.", default=1, least=1, most=16),
    "stop": Field(kinds=("text", "texts"), meaning="A string, or several, before which the text ends."),
    "seed": Field(kinds=("integer",), meaning="The same seed gives the same texts.", least=0, most=2**32 - 1),
    "stream": Field(kinds=("boolean",), meaning="Send the text piece by piece, as events.", default=False),
    "stream_options": Field(kinds=("object",), meaning="include_usage: send the usage as the last event.", default={}),
    "user": Field(kinds=("text",), meaning="Has no effect."),
    "best_of": Field(kinds=("integer",), meaning="Is not supported.", only=(1,)),
    "echo": Field(kinds=("boolean",), meaning="Is not supported.", only=(False,)),
    "frequency_penalty": Field(kinds=("number",), meaning="Is not supported.", only=(0,)),
    "presence_penalty": Field(kinds=("number",), meaning="Is not supported.", only=(0,)),
    "logit_bias": Field(kinds=("object",), meaning="Is not supported.", only=({},)),
    "logprobs": Field(kinds=("integer",), meaning="Is not supported.", only=()),
    "suffix": Field(kinds=("text",), meaning="Is not supported.", only=("",)),
}


async def complete(request: Request) -> Response:
    """Continues a text or several with a language model."""
    service: Service = request.app.state.service
    fields = await read_fields(request, COMPLETION)
    prompts: list[str] = [fields["prompt"]] if isinstance(fields["prompt"], str) else fields["prompt"]
    service.check_length(prompts, "prompt")
    generator = service.served(service.generators, fields["model"]).model
    include_usage = _include_usage(fields)
    config = _config(fields)
    read = sum(_count_tokens(generator, prompt, config.max_new_tokens) for prompt in prompts)
    texts = [TextRequest(prompt, config, sample) for prompt in prompts for sample in range(fields["n"])]
    pieces = service.texts.stream(generator, texts)
    head = {"id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion"}
    head |= {"created": service.started, "model": fields["model"]}
    if fields["stream"]:
        first = await anext(pieces, None)  # an error is still answered with its status
        events = _events(head, first, pieces, read, include_usage)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
    ended = {number: piece.continuation async for number, piece in pieces if piece.continuation}
    found = [ended[number] for number in range(len(texts))]
    choices = [_choice(number, each.text, each) for number, each in enumerate(found)]
    return JSONResponse({**head, "choices": choices, "usage": _usage(read, sum(len(each.tokens) for each in found))})


def _config(fields: dict[str, Any]) -> GenerationConfig:
    stop = fields["stop"] or ()
    return GenerationConfig(
        temperature=float(fields["temperature"]),
        # Only the most probable token reaches a probability of almost 0; nothing is removed at temperature 0.
        top_p=max(float(fields["top_p"]), 1e-6) if fields["temperature"] else 1.0,
        max_new_tokens=fields["max_tokens"],
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=secrets.randbelow(2**32) if fields["seed"] is None else fields["seed"],
    )


def _include_usage(fields: dict[str, Any]) -> bool:
    options = dict(fields["stream_options"])
    include = options.pop("include_usage", False)
    if options or not isinstance(include, bool):
        raise RequestError(400, "stream_options: must be {include_usage: true or false}", field="stream_options")
    return include


def _count_tokens(generator: Generator, prompt: str, new: int) -> int:
    """Returns the number of tokens of a prompt; raises RequestError if it cannot be continued."""
    try:
        count = generator.count_tokens(prompt)
    except InputError as error:
        raise RequestError(400, str(error).replace("prompt 1:", "prompt:"), field="prompt") from None
    context = generator.model.config.max_length
    if count > context:
        raise RequestError(400, f"prompt: has {count} tokens; the model reads at most {context}", field="prompt")
    if count + new - 1 > context:
        raise RequestError(
            400,
            f"max_tokens = {new}: the prompt has {count} tokens and the model's context {context}, "
            f"so max_tokens must be at most {context - count + 1}",
            field="max_tokens",
        )
    return count


async def _events(
    head: dict[str, Any],
    first: tuple[int, Piece] | None,
    pieces: AsyncIterator[tuple[int, Piece]],
    read: int,
    include_usage: bool,
) -> AsyncIterator[str]:
    """Yields the server-sent events of a stream."""
    written = 0

    def event(number: int, piece: Piece) -> str:
        return _event({**head, "choices": [_choice(number, piece.text, piece.continuation)]})

    if first is not None:
        written += 1
        yield event(*first)
    async for number, piece in pieces:
        written += 1
        if piece.text or piece.continuation:
            yield event(number, piece)
    if include_usage:
        yield _event({**head, "choices": [], "usage": _usage(read, written)})
    yield "data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _choice(number: int, text: str, ended: Continuation | None) -> dict[str, Any]:
    reason = None if ended is None else "length" if ended.ending == "length" else "stop"
    return {"text": text, "index": number, "logprobs": None, "finish_reason": reason}


def _usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


async def models(request: Request) -> Response:
    """Lists the language models."""
    service: Service = request.app.state.service
    return JSONResponse({"object": "list", "data": [_model(service, each.name) for each in service.generators]})


async def model(request: Request) -> Response:
    """Describes a language model."""
    service: Service = request.app.state.service
    return JSONResponse(_model(service, service.served(service.generators, request.path_params["name"]).name))


def _model(service: Service, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": service.started, "owned_by": "tfmr"}


ROUTES = [
    Route("/v1/completions", complete, methods=["POST"]),
    Route("/v1/models", models),
    Route("/v1/models/{name}", model),
]
