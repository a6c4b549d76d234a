"""The application: its routes, its limits, and its files."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tfmr.errors import InputError
from tfmr.serving import completions, libretranslate, openapi, operations
from tfmr.serving.errors import RequestError, error_response
from tfmr.serving.explore import routes as explore
from tfmr.serving.limits import Limits
from tfmr.serving.service import Service
from tfmr.serving.usual_programs import compile_programs

ROUTES: list[Route] = [
    *libretranslate.ROUTES,
    *completions.ROUTES,
    *operations.ROUTES,
    *explore.ROUTES,
    *openapi.ROUTES,
]
"""The routes of all modules. The files of the page come after them."""

NEEDS_NO_KEY = ("/health", "/languages", "/openapi.json")
"""What anyone may read, as well as the files of the page. LibreTranslate's clients send no header for the languages."""


def make_app(service: Service, *, compile_first: bool = False) -> Starlette:
    """Returns the application that serves models.

    With `compile_first`, programs for texts of the usual sizes are compiled at the start, before they are needed.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        running = service.batcher.run(), service.texts.run(), *([compile_programs(service)] if compile_first else [])
        tasks = [asyncio.create_task(each) for each in running]
        yield
        for task in tasks:
            task.cancel()
        service.worker.close()
        service.reader.close()

    paths = {route.path for route in ROUTES}
    service.metrics.know_paths(paths)
    needs_key = tuple(path.partition("{")[0] for path in paths.difference(NEEDS_NO_KEY))
    middleware = [Middleware(Limits, service.settings, service.metrics, needs_key)]
    if origins := service.settings.cors_origins:
        headers = ["Authorization", "Content-Type"]
        middleware.insert(0, Middleware(CORSMiddleware, origins, ["GET", "POST"], headers))
    page = _Page(directory=Path(__file__).parent / "page", html=True)
    app = Starlette(
        routes=[*ROUTES, *map(_refusing_methods, sorted(paths)), Mount("/", page)],
        lifespan=lifespan,
        middleware=middleware,
        exception_handlers={HTTPException: _refused, RequestError: _refused, InputError: _refused},
    )
    app.state.service = service
    return app


class _Page(StaticFiles):
    """The files of the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Refuses a path without a file as such, whatever the method."""
        if scope["method"] in ("GET", "HEAD"):
            return await super().get_response(path, scope)
        await super().get_response(path, {**scope, "method": "GET"})
        raise HTTPException(405)


def _refusing_methods(path: str) -> Route:
    """Returns the route for the methods that a path does not take."""

    async def refuse(request: Request) -> Response:
        raise HTTPException(405)

    route = Route(path, refuse)
    route.methods = None  # all that come here
    return route


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = RequestError(error.status_code, _REASONS.get(error.status_code, error.detail), headers=error.headers)
    elif not isinstance(error, RequestError):
        error = RequestError(400, str(error))
    return error_response(request, error)


_REASONS = {
    404: "there is nothing at this path; /openapi.json lists the paths",
    405: "this path does not take this method; /openapi.json lists the methods",
}
