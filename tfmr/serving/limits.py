"""The middleware that every request passes: its body, its key, its time, and its client's patience."""

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Awaitable
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tfmr.config import ServingConfig
from tfmr.serving.bodies import parse_body
from tfmr.serving.errors import LATER, RequestError, error_response
from tfmr.serving.metrics import Metrics

log = logging.getLogger("tfmr")


class Limits:
    """Reads the body of each request within the limits, and runs the application until it ends, or the client goes.

    What the application waits for is then cancelled.
    """

    def __init__(self, app: ASGIApp, settings: ServingConfig, metrics: Metrics, needs_key: tuple[str, ...]):
        """Takes the application, the limits, and the beginnings of the paths for which a key is needed."""
        self._app, self._settings, self._metrics, self._needs_key = app, settings, metrics, needs_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        request = Request(scope)
        started = time.perf_counter()
        self._metrics.in_progress += 1
        try:
            await self._respond(request, receive, answer)
        except RequestError as error:
            await self._refuse(request, error, answer)
        except Exception:
            log.exception("%s %r failed", scope["method"], scope["path"])
            await self._refuse(request, RequestError(500, "internal error; see the server's log for the cause"), answer)
        finally:
            self._metrics.in_progress -= 1
            self._metrics.count_request(scope["path"], answer.status, time.perf_counter() - started)

    async def _respond(self, request: Request, receive: Receive, answer: "_Answer") -> None:
        if self._metrics.in_progress > self._settings.max_requests:
            raise RequestError(
                503, f"{self._settings.max_requests} requests are in progress; try again later", headers=LATER
            )
        until = time.monotonic() + self._settings.timeout
        body = await self._read_body(request, receive)
        if body is None:
            return
        self._check_key(request, body)
        await self._run(
            self._app(request.scope, _replay(body, gone := asyncio.Event()), answer.send), receive, answer, gone, until
        )

    async def _read_body(self, request: Request, receive: Receive) -> bytes | None:
        """Returns the body; None if the client has gone."""
        most = self._settings.max_body
        too_large = RequestError(413, f"the body is larger than {most} bytes; send less at a time")
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise RequestError(408, f"the body did not arrive within {self._settings.timeout:g} seconds") from None

    def _check_key(self, request: Request, body: bytes) -> None:
        """Raises RequestError unless the request has the key, in a header, in its query, or in its body."""
        path = request.url.path
        if not self._settings.api_key or not path.startswith(self._needs_key):
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        given = given or parse_qs(request.url.query).get("api_key", [""])[0]
        if not given and body:
            given = parse_body(body, request.headers.get("content-type", ""), {}).get("api_key", "")
        if not isinstance(given, str) or not hmac.compare_digest(
            given.encode("utf-8", "replace"), self._settings.api_key.encode()
        ):
            reason = "is wrong" if given else "is missing; send Authorization: Bearer KEY, or the field api_key"
            raise RequestError(401, f"the API key {reason}", headers={"WWW-Authenticate": "Bearer"})

    async def _run(
        self,
        answering: Awaitable[None],
        receive: Receive,
        answer: "_Answer",
        gone: asyncio.Event,
        until: float,
    ) -> None:
        """Runs the application; cancels it when the client goes, or at the end of the time."""
        task, leaving = asyncio.ensure_future(answering), asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({task, leaving}, timeout=until - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and answer.complete:
                await task  # nobody waits for it any more, but it may have something to clean up
            late = not task.done() and not leaving.done()
        finally:
            leaving.cancel()
            gone.set()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if late:
            reason = f"no answer within {self._settings.timeout:g} seconds; try again later"
            raise RequestError(503, reason, headers=LATER)

    async def _refuse(self, request: Request, error: RequestError, answer: "_Answer") -> None:
        if answer.status:
            return
        # Sending waits if the client has not read earlier answers.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.timeout):
                await error_response(request, error)(request.scope, _nothing, answer.send)


class _Answer:
    """What has been sent.

    Attributes:
      status: the HTTP status; 0 as long as nothing has been sent.
      complete: whether everything has been sent.
    """

    def __init__(self, send: Send):
        self._send, self.status, self.complete = send, 0, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True
        await self._send(message)


def _replay(body: bytes, gone: asyncio.Event) -> Receive:
    """Returns a function that gives the application the body, and then waits until the client has gone."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
