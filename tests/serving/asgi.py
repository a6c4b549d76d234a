"""An application with its tasks, and clients that do what well-behaved ones do not."""

import asyncio
from typing import Any

from tfmr.serving import Service, make_app


class Client:
    """Speaks ASGI to an application, so that it can do what well-behaved clients do not."""

    def __init__(self, app: Any, path: str = "/translate", **headers: str):
        self.sent: list[dict[str, Any]] = []
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": names}
        scope |= {"http_version": "1.1", "scheme": "http", "server": ("testserver", 80), "client": ("client", 1)}
        self.task = asyncio.create_task(app(scope, self.messages.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def body(self, body: bytes, more: bool = False) -> None:
        self.messages.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def go(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})

    @property
    def status(self) -> int:
        return self.sent[0]["status"]


class Application:
    """An application with its tasks, without a client."""

    def __init__(self, service: Service):
        self.app = make_app(service)

    async def __aenter__(self) -> Any:
        self.lifespan = self.app.router.lifespan_context(self.app)
        await self.lifespan.__aenter__()
        return self.app

    async def __aexit__(self, *error: Any) -> None:
        await self.lifespan.__aexit__(*error)
