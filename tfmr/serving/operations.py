"""What operators use: GET /health, GET /metrics."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfmr.serving.service import Service


async def health(request: Request) -> Response:
    """Says that the server runs, which models it has, and whether it is still compiling programs for them."""
    service: Service = request.app.state.service
    names = [served.name for served in service.models]
    return JSONResponse({"status": "ok", "models": names, "compiling": service.compiling})


async def metrics(request: Request) -> Response:
    """Returns the server's counters in Prometheus' text format."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


ROUTES = [Route("/health", health), Route("/metrics", metrics)]
