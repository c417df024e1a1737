"""Messages of a mounted ASGI application: one request and its response, or one WebSocket.

request body   ◄── receive, one part per call
response       ◄── send, which returns when the client has read enough
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError

from torngas_aio._cleanup import cancel_tasks, is_imposed
from torngas_aio.handler.receiving import wait_for_client
from torngas_aio.handler.recovery import report_error
from torngas_aio.http.base import BodyError, ClientGone
from torngas_aio.http.response import BODILESS
from torngas_aio.utils.numbers import parse_whole

__all__ = ["HTTPExchange", "Running", "SocketExchange"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "sec-websocket-accept", "sec-websocket-protocol"}
)
_LOST = 1006  # SPEC: RFC 6455 7.4.1


class Running(Protocol):
    """A mounted application that has started."""

    state: dict[str, object]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None: ...


class HTTPExchange:
    """One request of a mounted application, and its response."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._gone = asyncio.Event()
        self._body_refusal: BodyError | None = None
        self._has_body = self._has_begun = self.is_finished = False
        self._chunk = b""  # read for a `receive` that was cancelled
        self._size = 0  # bytes received
        self._length = parse_whole(handler.request.headers.get("Content-Length", ""))

    async def run(self, running: Running) -> None:
        """Run the application.

        Raises:
            BodyError: The request's body was refused; takes precedence over the application's own error.
            ClientGone: The client has gone; takes precedence over the application's own error.
            RuntimeError: The application has returned without a complete response.
        """
        handler = self._handler
        try:
            await running(handler.scope_for(running.state), self.receive, self.send)
        except Exception as exc:
            if self._body_refusal is not None and not self.is_finished:
                raise self._body_refusal from None
            if self._gone.is_set() and _is_failed_send(exc):
                raise ClientGone("The client closed the connection.") from exc
            raise
        if self._gone.is_set() and not self.is_finished:
            raise ClientGone("The client closed the connection.")
        if not self.is_finished:
            raise self._body_refusal or RuntimeError(f"{handler.mount!r} returned without a complete response.")

    def leave(self) -> None:
        """Note that the client has gone."""
        self._gone.set()

    async def receive(self) -> Message:
        """Return the next part of the body, then the client's disconnection."""
        if not self._has_body and not self._gone.is_set():
            body = self._handler.request.connection.body
            try:
                if not self._chunk:
                    self._chunk = await wait_for_client(self._handler, body.read_chunk())
                    self._size += len(self._chunk)
                # `more_body` is already False for the last part: some applications call `receive` no further.
                self._has_body = not self._chunk or (self._size == self._length and not await body.read_chunk())
            except ClientGone:
                self.leave()
            except BodyError as exc:
                self._body_refusal = exc
                raise
            else:
                chunk, self._chunk = self._chunk, b""
                return {"type": "http.request", "body": chunk, "more_body": not self._has_body}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the response; return when the client has read enough.

        Raises:
            OSError: The client has gone.
        """
        kind = message["type"]
        if kind == "http.response.start" and not self._has_begun:
            if self._body_refusal is not None:
                raise self._body_refusal
            self._begin(message)
        elif kind == "http.response.body" and self._has_begun and not self.is_finished:
            await self._continue(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"{self._handler.mount!r} sent {kind!r}, which cannot follow here.")

    def _begin(self, message: Message) -> None:
        status = message["status"]
        if not 200 <= status <= 999:
            raise ValueError(f"{self._handler.mount!r} sent the status {status!r}: 200 to 999 are allowed.")
        self._has_begun = True
        self._handler.set_status(status)
        self._handler.clear_header("Content-Type")
        _add_fields(self._handler, message)

    async def _continue(self, chunk: bytes, has_more: bool) -> None:
        handler = self._handler
        if self._gone.is_set():
            raise StreamClosedError
        if chunk and handler.get_status() not in BODILESS:
            handler.write(bytes(chunk))
        is_unmeasured = handler.request.method == "HEAD" and not handler._has_header("Content-Length")
        if has_more or (is_unmeasured and not handler._headers_written):
            await handler.flush()
        if not has_more:
            self.is_finished = True
            await handler.finish()
            self._gone.set()


class SocketExchange:
    """One WebSocket of a mounted application."""

    def __init__(self, handler: Any) -> None:
        loop = asyncio.get_running_loop()
        self._handler = handler
        self._answered: asyncio.Future[bool] = loop.create_future()  # whether the socket is accepted
        self.is_open: asyncio.Future[None] = loop.create_future()
        self.subprotocol: str | None = None
        self._refusal: HTTPExchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._message: Message | None = {"type": "websocket.connect"}
        self._taken: asyncio.Future[None] = loop.create_future()
        self._is_readable = asyncio.Event()
        self._is_readable.set()
        self._is_gone = False

    async def run(self, running: Running, handshake: Any) -> None:
        """Let the application accept or refuse the socket, and serve it.

        Raises:
            HTTPError: 403: the application refuses it.
            RuntimeError: The application has returned without a message.
        """
        task = self._task = asyncio.create_task(self._run(running))
        try:
            await asyncio.wait((task, self._answered), return_when=asyncio.FIRST_COMPLETED)
            is_accepted = self._answered.done() and self._answered.result()
            if is_accepted:
                await handshake.accept_connection(self._handler)
                self.leave()
            await task
        finally:
            await cancel_tasks([] if task.done() else [task])
        if not is_accepted and not self._handler._response_state.is_finished:
            if not self._answered.done() or self._refusal is not None:
                raise RuntimeError(f"{self._handler.mount!r} returned without a response to the handshake.")
            raise HTTPError(403, "%r refused the socket", self._handler.mount)

    def leave(self) -> None:
        """Note that the client has gone, or that there is no socket."""
        self._is_gone = True
        self._is_readable.set()
        if not self.is_open.done():
            self.is_open.set_exception(StreamClosedError())
            self.is_open.exception()  # retrieved: the application may not await it

    async def give(self, message: str | bytes) -> None:
        """Pass *message* to the application; return when it has received it, or has ended."""
        key = "text" if isinstance(message, str) else "bytes"
        self._message = {"type": "websocket.receive", key: message}
        self._taken = asyncio.get_running_loop().create_future()
        self._is_readable.set()
        assert self._task is not None
        await asyncio.wait((self._taken, self._task), return_when=asyncio.FIRST_COMPLETED)

    async def receive(self) -> Message:
        """Return the next message."""
        await self._is_readable.wait()
        message, self._message = self._message, None
        if message is None:
            code = self._handler.close_code
            reason = self._handler.close_reason or ""
            return {"type": "websocket.disconnect", "code": _LOST if code is None else code, "reason": reason}
        if not self._taken.done():
            self._taken.set_result(None)
        if not self._is_gone:
            self._is_readable.clear()
        return message

    async def send(self, message: Message) -> None:
        """Process *message*; return when the client has read enough.

        Raises:
            OSError: The client has gone.
        """
        kind = message["type"]
        if kind.startswith("websocket.http.response."):
            await self._refuse(kind, message)
        elif not self._answered.done():
            await self._answer(kind, message)
        elif kind == "websocket.send" and self._answered.result():
            await self._write(message)
        elif kind == "websocket.close" and self._answered.result():
            self._handler.close(message.get("code", 1000), message.get("reason") or None)
        else:
            raise RuntimeError(f"{self._handler.mount!r} sent {kind!r}, which cannot follow here.")

    async def _answer(self, kind: str, message: Message) -> None:
        if kind not in {"websocket.accept", "websocket.close"}:
            raise RuntimeError(f"{self._handler.mount!r} sent {kind!r} before it has accepted the socket.")
        if kind == "websocket.accept":
            self.subprotocol = message.get("subprotocol")
            _add_fields(self._handler, message)
        self._answered.set_result(kind == "websocket.accept")
        if kind == "websocket.accept":
            await self.is_open

    async def _refuse(self, kind: str, message: Message) -> None:
        if self._refusal is None:
            self._refusal = HTTPExchange(self._handler)
        if not self._answered.done():
            self._answered.set_result(False)
        if self._answered.result():
            raise RuntimeError(f"{self._handler.mount!r} sent {kind!r} after it has accepted the socket.")
        await self._refusal.send({**message, "type": kind.removeprefix("websocket.")})

    async def _write(self, message: Message) -> None:
        text = message.get("text")
        try:
            if text is not None:
                await self._handler.write_message(text)
            else:
                await self._handler.write_message(message["bytes"], binary=True)
        except WebSocketClosedError as exc:
            raise StreamClosedError from exc

    async def _run(self, running: Running) -> None:
        """Run the application; an exception after the socket is open closes it with 1011."""
        handler = self._handler
        code = 1000
        try:
            await running(handler.scope_for(running.state), self.receive, self.send)
        except BaseException as exc:
            if is_imposed(exc) or not self.is_open.done():
                raise
            if not isinstance(exc, StreamClosedError):
                await report_error(handler, exc)
            code = 1011
        if self.is_open.done() and not self._is_gone:
            handler.close(code)


def _is_failed_send(error: BaseException | None) -> bool:
    """Return whether *error* was caused by a failed send; Starlette wraps it in an exception of its own."""
    while error is not None:
        if isinstance(error, StreamClosedError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _add_fields(handler: RequestHandler, message: Message) -> None:
    add: Callable[[str, str], None] = handler.add_header
    for name, value in message.get("headers", ()):
        text = bytes(name).decode("latin-1")
        if text.lower() not in _HOP_BY_HOP:
            add(text, bytes(value).decode("latin-1"))
