"""The OpenAPI description of the public API, at /openapi.json."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tfmr
from tfmr.serving.completions import COMPLETION
from tfmr.serving.fields import Fields
from tfmr.serving.libretranslate import DETECT, TRANSLATE
from tfmr.serving.service import Service

_FORM = "application/x-www-form-urlencoded"
_STRING, _INTEGER = {"type": "string"}, {"type": "integer"}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_CODE_AND_NAME = _object(code=_STRING, name=_STRING, targets=_array(_STRING))
_TEXTS = {"anyOf": [_STRING, _array(_STRING)]}
_DETECTED = _object(confidence={"type": "number", "minimum": 0, "maximum": 100}, language=_STRING)
_TRANSLATED = _object(
    translatedText=_TEXTS,
    detectedLanguage={"anyOf": [_DETECTED, _array(_DETECTED)]},
    missingTerms={"anyOf": [_array(_STRING), _array(_array(_STRING))]},
    alternatives={"anyOf": [_array(_STRING), _array(_array(_STRING))]},
)
_CHOICE = _object(
    text=_STRING, index=_INTEGER, logprobs={"type": "null"}, finish_reason={"enum": ["stop", "length", None]}
)
_USAGE = _object(prompt_tokens=_INTEGER, completion_tokens=_INTEGER, total_tokens=_INTEGER)
_HEAD = {"id": _STRING, "object": _STRING, "created": _INTEGER, "model": _STRING}
_COMPLETED = _object(**_HEAD, choices=_array(_CHOICE), usage=_USAGE)
_HEALTH = _object(status=_STRING, models=_array(_STRING), compiling={"type": "boolean"})
_MODEL = _object(id=_STRING, object=_STRING, created=_INTEGER, owned_by=_STRING)

_REFUSED = {
    400: "The request is wrong; the answer says why.",
    401: "The API key is missing or wrong.",
    404: "There is no such model.",
    408: "The body of the request did not arrive in time.",
    413: "The body of the request is too large.",
    415: "The body of the request is neither JSON nor a form.",
    429: "Too many requests are waiting for the model.",
    503: "The server is too busy to answer in time.",
}


def describe(api_key: bool) -> dict[str, Any]:
    """Returns the description; with `api_key`, requests need one."""
    ours, openais = _object(error=_STRING), _object(error=_object(message=_STRING, type=_STRING))
    paths = {
        "/translate": {"post": _post("Translate texts", TRANSLATE, _TRANSLATED, ours)},
        "/detect": {"post": _post("Detect the language of a text", DETECT, _array(_DETECTED), ours)},
        "/languages": {"get": _get("List the languages", _array(_CODE_AND_NAME), ours)},
        "/v1/completions": {"post": _post("Continue texts", COMPLETION, _COMPLETED, openais)},
        "/v1/models": {"get": _get("List the language models", _object(object=_STRING, data=_array(_MODEL)), openais)},
        "/v1/models/{name}": {"get": _get("Describe a language model", _MODEL, openais)},
        "/health": {"get": _get("Report that the server is running", _HEALTH, ours)},
        "/metrics": {"get": _get("Counters for Prometheus", _STRING, ours, "text/plain")},
    }
    name = {"name": "name", "in": "path", "required": True, "schema": _STRING}
    paths["/v1/models/{name}"]["get"]["parameters"] = [name]
    paths["/v1/completions"]["post"]["responses"]["200"]["content"]["text/event-stream"] = {"schema": _STRING}
    description = {"openapi": "3.1.0", "info": {"title": "tfmr", "version": tfmr.__version__}, "paths": paths}
    if api_key:
        description["components"] = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
        description["security"] = [{"key": []}]
        paths["/health"]["get"]["security"] = []
    return description


def _get(
    summary: str, answer: dict[str, Any], error: dict[str, Any], media_type: str = "application/json"
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": {media_type: {"schema": answer}}}}
    for status, reason in _REFUSED.items():
        responses[str(status)] = {"description": reason, "content": {"application/json": {"schema": error}}}
    return {"summary": summary, "responses": responses}


def _post(summary: str, fields: Fields, answer: dict[str, Any], error: dict[str, Any]) -> dict[str, Any]:
    supported = {name: field for name, field in fields.items() if field.only != ()}
    schema = _object(**{name: field.schema() for name, field in supported.items()})
    schema["required"] = [name for name, field in supported.items() if field.required]
    body = {"required": True, "content": {kind: {"schema": schema} for kind in ("application/json", _FORM)}}
    return {**_get(summary, answer, error), "requestBody": body}


async def openapi(request: Request) -> Response:
    """Returns the description."""
    service: Service = request.app.state.service
    return JSONResponse(describe(bool(service.settings.api_key)))


ROUTES = [Route("/openapi.json", openapi)]
