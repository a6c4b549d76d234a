"""Requests that are refused."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse

LATER = {"Retry-After": "1"}
"""Tells a client to try again, after how many seconds."""


class RequestError(Exception):
    """A request that the server refuses.

    Attributes:
      status: the HTTP status: 4xx, or 503 if the server cannot answer in time.
      message: what is wrong, the value, and the fix.
      headers: more headers of the answer, such as Retry-After.
      field: the field of the request that is wrong; may be empty.
    """

    def __init__(self, status: int, message: str, *, field: str = "", headers: Mapping[str, str] | None = None):
        """See the attributes."""
        super().__init__(message)
        self.status, self.message, self.field, self.headers = status, message, field, dict(headers or {})


def check_waiting(what: str, *, waiting: int, new: int, most: int) -> None:
    """Raises RequestError if a request has more lines or prompts than may wait, or too many wait already.

    Args:
      what: "lines" or "prompts".
      waiting: how many wait.
      new: how many the request adds.
      most: how many may wait.
    """
    if new > most:
        raise RequestError(400, f"the request has {new} {what}; at most {most} are allowed; send fewer at a time")
    if waiting + new > most:
        reason = f"{waiting} {what} are waiting for the model, and at most {most} may; try again later"
        raise RequestError(429, reason, headers=LATER)


def error_response(request: Request, error: RequestError) -> JSONResponse:
    """Returns the answer, in the form of OpenAI's API below /v1, and in LibreTranslate's elsewhere."""
    if not request.url.path.startswith("/v1/"):
        return JSONResponse({"error": _encodable(error.message)}, error.status, error.headers)
    kinds = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}
    codes = {401: "invalid_api_key", 404: "model_not_found" if error.field == "model" else None}
    content = {
        "message": _encodable(error.message),
        "type": kinds.get(error.status, "invalid_request_error"),
        "param": _encodable(error.field) or None,
        "code": codes.get(error.status),
    }
    return JSONResponse({"error": content}, error.status, error.headers)


def _encodable(text: str) -> str:
    """Returns a text that may quote what a request contains, with halves of surrogate pairs written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
