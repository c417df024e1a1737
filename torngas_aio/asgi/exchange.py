"""One HTTP request and its answer over ASGI.

    application ── write_headers, write, finish (plain calls) ──► outbox ── run ──► await send(...)
    await receive() ── body, one message at a time, only when somebody reads ──► application
                    └── http.disconnect ──► the close callback

Begin with `HTTPExchange.run`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import SimpleNamespace
from typing import Any

from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine
from tornado.iostream import StreamClosedError

from torngas_aio.asgi.request import start_line_of
from torngas_aio.http.contract import SERVER_NAME, BodyError, ClientGone

__all__ = ["HTTPExchange", "Receive", "Send"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 100 * 1024 * 1024
_HIGH_WATER = 64 * 1024
_NO_LENGTH = frozenset({204, 304})


class HTTPExchange(HTTPConnection):
    """A `torngas_aio.http.contract.Exchange` over an ASGI server's receive and send."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        client = scope.get("client")
        scheme = scope.get("scheme", "http")
        self.context = SimpleNamespace(
            remote_ip=client[0] if client else None, protocol={"ws": "http", "wss": "https"}.get(scheme, scheme)
        )
        self.scope = scope
        self.start_line: RequestStartLine = start_line_of(scope)
        self.body = _Body(self)
        self.is_finished = False
        self.is_gone = False
        self._receive = receive
        self._send = send
        self._outbox: deque[Message] = deque()
        self._outbox_bytes = 0
        self._wake: asyncio.Event = asyncio.Event()
        self._below: asyncio.Event = asyncio.Event()
        self._below.set()
        self._close_callback: Callable[[], Any] | None = None
        self._listening: asyncio.Task[None] | None = None

    # The server's side

    async def run(self, task: asyncio.Task[None]) -> None:
        """Send what the application answers, until *task* has ended and everything is sent."""
        task.add_done_callback(lambda _: self._wake.set())
        self._listening = asyncio.ensure_future(self._listen())
        try:
            while True:
                await self._send_out()
                if task.done() and self._is_over and not self._outbox:
                    break
                await self._wake.wait()
                self._wake.clear()
        finally:
            await self._stop_listening()
        task.result()

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    @property
    def _is_over(self) -> bool:
        """Whether nothing more will be said on this connection."""
        return self.is_finished or self.is_gone

    async def refuse(self, status: int, reason: str) -> None:
        """Answer a request that never reaches the application."""
        fields = [("Content-Type", "text/plain; charset=UTF-8")]
        self.respond(status, reason, fields, f"{reason}\n".encode(), False)
        await self._send_out()

    async def _send_out(self) -> None:
        while self._outbox:
            message = self._outbox.popleft()
            self._outbox_bytes -= len(message.get("body", b""))
            if not self.is_gone:
                try:
                    await self._send_one(message)
                except OSError:  # SPEC: ASGI 2.4, the client has gone
                    self._leave()
            if self._outbox_bytes <= _HIGH_WATER:
                self._below.set()

    async def _send_one(self, message: Message) -> None:
        await self._send(message)

    async def _listen(self) -> None:
        """Wait for the end of the body, then for the client to go."""
        await self.body.ended.wait()
        while not self.is_gone:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()

    def _leave(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self._below.set()
        self._wake.set()
        callback, self._close_callback = self._close_callback, None
        if callback is not None and not self.is_finished:
            callback()

    async def receive(self) -> Message:
        """Return the server's next message."""
        return await self._receive()

    def _post(self, message: Message) -> "asyncio.Future[None]":
        self._outbox.append(message)
        self._outbox_bytes += len(message.get("body", b""))
        if self._outbox_bytes > _HIGH_WATER:
            self._below.clear()
        self._wake.set()
        # Whoever writes may await room; a future that nobody awaits costs nothing.
        return asyncio.ensure_future(self.drained()) if not self._below.is_set() else _done()

    # The application's side

    def respond(self, status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes, is_head: bool) -> None:
        """Send one complete response; see `contract.Exchange.respond`."""
        fields = list(headers)
        names = {name for name, _ in fields}
        if "Server" not in names:
            fields.append(("Server", SERVER_NAME))
        if "Content-Length" not in names and status >= 200 and status not in _NO_LENGTH:
            fields.append(("Content-Length", str(len(body))))
        self._refuse_late()
        self._post(self._start(status, fields))
        self._post({"type": "http.response.body", "body": b"" if is_head else body})
        self.is_finished = True

    def write_headers(self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None) -> Any:
        self._refuse_late()
        posted = self._post(self._start(start_line.code, headers.get_all()))
        return self.write(chunk) if chunk else posted

    def write(self, chunk: bytes) -> Any:
        self._refuse_late()
        return self._post({"type": "http.response.body", "body": bytes(chunk), "more_body": True})

    def finish(self) -> None:
        self._refuse_late()
        self.is_finished = True
        self._post({"type": "http.response.body", "body": b""})

    def abort(self) -> None:
        """Leave the response incomplete: the server cuts the connection when it sees that."""
        self._outbox.clear()
        self._outbox_bytes = 0
        self.is_finished = True
        self._leave()

    def detach(self) -> Any:
        """Not over ASGI.

        Raises:
            RuntimeError: Always; WebSockets have a way of their own.
        """
        raise RuntimeError("An ASGI server keeps its connections: detach() wants torngas_aio's server or Tornado's.")

    def set_close_callback(self, callback: Callable[[], Any] | None) -> None:
        self._close_callback = callback

    def set_max_body_size(self, size: int) -> None:
        """Refuse bodies of more than *size* bytes with 413."""
        self.body.limit = size

    def set_body_timeout(self, seconds: float) -> None:
        """Nothing: the ASGI server's own deadlines hold."""

    @property
    def is_drained(self) -> bool:
        """Whether `drained` would return at once."""
        return self._below.is_set() and (self.is_finished or not self.is_gone)

    async def drained(self) -> None:
        """Return when the server has taken what was written, but for 64 KiB.

        Raises:
            StreamClosedError: The client has gone.
        """
        await self._below.wait()
        if self.is_gone and not self.is_finished:
            raise StreamClosedError

    def _start(self, status: int, fields: Iterable[tuple[str, str]]) -> Message:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in fields
            if name.lower() not in {"connection", "transfer-encoding", "keep-alive"}  # the server's own business
        ]
        return {"type": "http.response.start", "status": status, "headers": headers}

    def _refuse_late(self) -> None:
        if self.is_finished:
            raise RuntimeError("This response was finished; nothing more can be written to it.")


class _Body:
    """The request's body: a message is received when somebody reads, never before."""

    def __init__(self, exchange: HTTPExchange) -> None:
        self._exchange = exchange
        self._size = 0
        self.ended = asyncio.Event()
        self.limit = MAX_BODY_BYTES
        self.data = b""
        headers = {bytes(name).lower() for name, _ in exchange.scope["headers"]}
        if not headers & {b"content-length", b"transfer-encoding"}:
            self.ended.set()

    @property
    def is_complete(self) -> bool:
        return self.ended.is_set()

    async def read_all(self) -> bytes:
        chunks = []
        while chunk := await self.read_chunk():
            chunks.append(chunk)
        self.data = b"".join(chunks)
        return self.data

    async def read_chunk(self) -> bytes:
        while not self.ended.is_set():
            message = await self._exchange.receive()
            if message["type"] == "http.disconnect":
                self.ended.set()
                self._exchange._leave()
                raise ClientGone("The client closed the connection.")
            if not message.get("more_body", False):
                self.ended.set()
            chunk: bytes = message.get("body", b"")
            self._size += len(chunk)
            if self._size > self.limit:
                raise BodyError(413, f"The body is larger than {self.limit} bytes.")
            if chunk:
                return chunk
        return b""


def _done() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
