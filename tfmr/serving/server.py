"""Runs the application with uvicorn until a signal arrives."""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tfmr.errors import InputError

IDLE = 10
"""Seconds after which a connection without a request, or whose client does not read the answer, is closed."""


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address, but does not accept connections yet.

    Raises:
      InputError: if the address cannot be used.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"--port {port}: must be from 0 to {2**16 - 1}")
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror}); choose another host or port"
        ) from None
    return bound


def run_server(app: ASGIApp, bound: socket.socket, timeout: float, ready: Callable[[], None]) -> None:
    """Answers requests until SIGINT or SIGTERM, and then those that it has accepted. A second signal ends it at once.

    Args:
      app: the application.
      bound: the socket of `listen`.
      timeout: how long it waits for the last answers, in seconds.
      ready: called as soon as it accepts connections.
    """
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # the application logs its errors itself
    options: dict[str, Any] = dict(http="h11", loop="asyncio", ws="none", lifespan="on", server_header=False)
    options |= dict(log_config=None, access_log=False, timeout_graceful_shutdown=math.ceil(timeout))
    _Server(uvicorn.Config(app, **options), ready).run([bound])


class _Server(uvicorn.Server):
    """Closes connections that are of no use, and stops at signals without raising them again at the end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self._ready = ready
        self._useless_since: dict[Any, float] = {}

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._stop)  # and stays: the process ends soon after
        yield

    def _stop(self, number: int, frame: Any) -> None:
        self.force_exit = self.should_exit  # the second time
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._closing = asyncio.create_task(self._close_useless_connections())
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._closing.cancel()

    async def _close_useless_connections(self) -> None:
        while True:
            now = time.monotonic()
            # A connection with its newest request, so that the time starts anew with each.
            connections: set[Any] = self.server_state.connections
            useless = [(each, each.cycle) for each in connections if _is_useless(each)]
            self._useless_since = {each: self._useless_since.get(each, now) for each in useless}
            for (connection, _), since in self._useless_since.items():
                if now - since > IDLE:
                    connection.transport.abort()
            await asyncio.sleep(1)


def _is_useless(connection: Any) -> bool:
    """Returns whether a connection has no request in progress: none has arrived, or the answer waits to be read."""
    cycle = connection.cycle
    return cycle is None or cycle.response_complete or connection.transport.is_closing()
