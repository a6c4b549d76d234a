"""The application: its routes, its limits, and its files."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from tfmr.errors import InputError
from tfmr.serving import libretranslate, operations
from tfmr.serving.errors import RequestError, error_response
from tfmr.serving.service import Service

ROUTES: list[BaseRoute] = [
    *libretranslate.ROUTES,
    *operations.ROUTES,
]
"""The routes of all modules. The page is behind them."""


def make_app(service: Service) -> Starlette:
    """Returns the application that serves models."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        batches = asyncio.create_task(service.batcher.run())
        yield
        batches.cancel()
        service.worker.close()

    page = StaticFiles(directory=Path(__file__).parent / "page", html=True)
    app = Starlette(
        routes=[*ROUTES, Mount("/", page)],
        lifespan=lifespan,
        exception_handlers={RequestError: _refused, InputError: _wrong_input},
    )
    app.state.service = service
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(request, error)


async def _wrong_input(request: Request, error: Exception) -> Response:
    return error_response(request, RequestError(400, str(error)))
