"""What operators look at: GET /health."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def health(request: Request) -> Response:
    """Says that the server runs."""
    return JSONResponse({"status": "ok"})


ROUTES = [Route("/health", health)]
