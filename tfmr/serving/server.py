"""Runs the application with uvicorn until a signal arrives."""

import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn

from tfmr.errors import InputError
from tfmr.serving.app import make_app
from tfmr.serving.service import Service


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address, before any work.

    Raises:
      InputError: if the address cannot be used.
    """
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(f"--host {host} --port {port}: cannot be used ({error.strerror}); choose others") from None
    return bound


class _Server(uvicorn.Server):
    """Stops at SIGINT and SIGTERM, after it has answered all requests that it has accepted."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # uvicorn's would raise the signals again at the end
        stopping = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in stopping}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_server(service: Service, bound: socket.socket) -> None:
    """Answers requests until SIGINT or SIGTERM, and then those that have been accepted."""
    config = uvicorn.Config(make_app(service), log_level="warning", access_log=False, lifespan="on")
    _Server(config).run([bound])
