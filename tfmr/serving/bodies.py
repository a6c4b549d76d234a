"""The bodies of requests: JSON objects, or forms."""

import json
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

from tfmr.serving.errors import RequestError
from tfmr.serving.fields import Fields, check_fields, from_form

_FORM = "application/x-www-form-urlencoded"
_MOST_VALUES = 10_000


async def read_fields(request: Request, fields: Fields | None = None) -> dict[str, Any]:
    """Returns the fields of a JSON object or of a form, without `api_key`. A field that a form repeats is a list.

    Args:
      request: the request.
      fields: what is allowed. None: anything, unchecked.

    Raises:
      RequestError: if the body is neither, or a field is wrong.
    """
    values = parse_body(await request.body(), request.headers.get("content-type", ""), fields or {})
    values.pop("api_key", None)
    return values if fields is None else check_fields(values, fields)


def parse_body(body: bytes, content_type: str, fields: Fields) -> dict[str, Any]:
    """Returns the fields of a body, not checked yet; raises RequestError if it is neither a JSON object nor a form."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _FORM:
        return from_form(_of_form(body), fields)
    if kind.startswith("multipart/"):
        raise RequestError(415, f"Content-Type {kind}: is not supported; send JSON or {_FORM}")
    return _of_json(body)


def _of_form(body: bytes) -> dict[str, Any]:
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_VALUES)
    except ValueError as error:
        raise RequestError(400, f"the body is not a form in UTF-8: {str(error)[:200]}") from None
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def _of_json(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise RequestError(400, f"the body is not JSON: {reason[:200]}") from None
    if not isinstance(values, dict):
        raise RequestError(400, f"the body is JSON, but not an object: {body[:60].decode(errors='replace')!r}")
    return values


def _not_a_number(name: str) -> None:
    raise ValueError(f"{name} is not valid in JSON")
