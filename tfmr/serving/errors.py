"""Requests that are refused."""

from starlette.requests import Request
from starlette.responses import JSONResponse


class RequestError(Exception):
    """A request that the server refuses.

    Attributes:
      status: the HTTP status, 4xx; 503 if the server cannot answer in time.
      message: what is wrong, the value, and the fix.
      headers: more headers of the answer, such as Retry-After.
      field: the field of the request that is wrong; may be empty.
    """

    def __init__(self, status: int, message: str, *, field: str = "", headers: dict[str, str] | None = None):
        """See the attributes."""
        super().__init__(message)
        self.status, self.message, self.field, self.headers = status, message, field, headers or {}


def busy(message: str) -> RequestError:
    """Returns the error of a request that comes while too many others wait."""
    return RequestError(429, f"{message}; try again later", headers={"Retry-After": "1"})


def error_response(request: Request, error: RequestError) -> JSONResponse:
    """Returns the answer, in the form of OpenAI's API below /v1, and in LibreTranslate's elsewhere."""
    if not request.url.path.startswith("/v1/"):
        return JSONResponse({"error": error.message}, error.status, error.headers)
    kind = {401: "authentication_error", 429: "rate_limit_error", 503: "server_error"}
    content = {
        "message": error.message,
        "type": kind.get(error.status, "invalid_request_error"),
        "param": error.field or None,
        "code": "invalid_api_key" if error.status == 401 else None,
    }
    return JSONResponse({"error": content}, error.status, error.headers)
