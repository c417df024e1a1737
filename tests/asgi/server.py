"""An ASGI server without a socket: each message is the test's own."""

import asyncio
from collections.abc import Iterable
from typing import Any

from torngas_aio.asgi import AsgiApplication

__all__ = ["Server", "http_scope", "socket_scope"]


def http_scope(path: str = "/", method: str = "GET", **more: Any) -> dict[str, Any]:
    """The scope of a request; without a client unless one is given."""
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [(b"host", b"test")], **more,
    }  # fmt: skip


def socket_scope(path: str = "/", **more: Any) -> dict[str, Any]:
    """The scope of a WebSocket, as HTTP/2 servers give it: without the handshake's headers."""
    return {**http_scope(path), "type": "websocket", "scheme": "ws", "http_version": "2", "subprotocols": [], **more}


class Server:
    """One connection to *application*, served in a task.

    Args:
        failing: The type of the message whose sending fails as if the client had gone.
        slow: Whether `send` waits for `take`.
    """

    def __init__(
        self,
        application: Any,
        scope: dict[str, Any],
        messages: Iterable[dict[str, Any]] = (),
        *,
        failing: str = "",
        slow: bool = False,
        **options: Any,
    ) -> None:
        self.sent: list[Any] = []
        self.receives = 0
        self._failing = failing
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._allowed = asyncio.Semaphore(0) if slow else None
        self._arrived = asyncio.Condition()
        for message in messages:
            self.give(message)
        self.task = asyncio.ensure_future(AsgiApplication(application, **options)(scope, self._receive, self._send))

    def give(self, message: dict[str, Any]) -> None:
        """Have the application receive *message*."""
        self._inbox.put_nowait(message)

    def take(self, count: int = 1) -> None:
        """Let *count* messages be sent."""
        assert self._allowed is not None
        for _ in range(count):
            self._allowed.release()

    async def ended(self) -> list[Any]:
        """Return what was sent, once the application has returned."""
        async with asyncio.timeout(5):
            await self.task
        return self.sent

    async def said(self, count: int) -> list[Any]:
        """Return what was sent, once it is *count* messages."""
        async with asyncio.timeout(5), self._arrived:
            await self._arrived.wait_for(lambda: len(self.sent) >= count)
        return self.sent

    async def _receive(self) -> dict[str, Any]:
        message = await self._inbox.get()
        self.receives += 1
        return message

    async def _send(self, message: Any) -> None:
        if self._allowed is not None:
            await self._allowed.acquire()
        if message["type"] == self._failing:
            raise OSError("the client has gone")
        async with self._arrived:
            self.sent.append(message)
            self._arrived.notify_all()
