"""The bodies of requests."""

import json
from typing import Any

from starlette.requests import Request

from tfmr.serving.errors import RequestError


async def read_fields(request: Request) -> dict[str, Any]:
    """Returns the fields of a JSON object or of a form.

    Raises:
      RequestError: if the body is neither.
    """
    if request.headers.get("content-type", "").startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        async with request.form(max_files=0) as form:
            return {name: form.getlist(name) if len(form.getlist(name)) > 1 else form[name] for name in form}
    try:
        fields = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise RequestError(400, "the body must be a JSON object")
    return fields
