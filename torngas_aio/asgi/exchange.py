"""One HTTP request and its response over ASGI.

    application ── write_headers, write, finish (plain calls) ──► Outbox ── run ──► await send(...)
    await receive() ── IncomingBody, one message at a time, only when it is read ──► application
                    └── http.disconnect ──► the close callback

The response must be as long as its Content-Length, as on our own server.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NoReturn, TypeVar

from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPOutputError, RequestStartLine
from tornado.iostream import StreamClosedError

from torngas_aio.asgi.body import IncomingBody
from torngas_aio.asgi.outbox import Message, Outbox
from torngas_aio.asgi.request import client_of, start_line_of
from torngas_aio.http.base import SERVER_NAME
from torngas_aio.http.limits import Limits
from torngas_aio.http.response import allows_body, check_head, check_length, status_line
from torngas_aio.utils.numbers import parse_whole

__all__ = ["HTTPExchange", "Receive", "Send"]

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_T = TypeVar("_T")

LAST_SECONDS = 1.0
"""How long a client may take to read the response to a request that its server has cancelled."""

_SWITCHING = 101
_SERVERS_OWN = frozenset({"keep-alive", "transfer-encoding"})


class HTTPExchange(HTTPConnection):
    """A `torngas_aio.http.base.Exchange` over an ASGI server's receive and send."""

    can_send_files = False

    def __init__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, limits: Limits | None = None
    ) -> None:
        self.context = client_of(scope)
        self.scope = scope
        self.start_line: RequestStartLine = start_line_of(scope)
        self.body = IncomingBody(scope, receive, self._leave, limits or Limits())
        self.status = 0
        self.is_finished = False
        self.is_gone = False
        self._has_begun = False
        self._receive = receive
        self._send = send
        self._outbox = Outbox()
        self._left: int | None = None  # bytes still to come of the Content-Length sent
        self._has_sent = False
        self._close_callback: Callable[[], Any] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None  # of `_listening`, raised to the server
        self._receiving_ahead: asyncio.Task[None] | None = None  # detects a disconnect while the body is not read

    # The server's side

    async def run(self, task: asyncio.Task[_T]) -> _T:
        """Send the application's response, until *task* has ended and everything is sent; return its result.

        An aborted response is left incomplete: the server then closes the connection.

        Raises:
            Exception: Raised by `receive` or *task*; not an OSError of `receive`, which means that the client has gone.
        """
        stirred = self._outbox.stirred
        task.add_done_callback(lambda _: stirred.set())
        self._listening = asyncio.ensure_future(self._listen())
        self._listening.add_done_callback(self._leave_if_failed)
        try:
            while True:
                await self._send_out()
                if task.done() and (self._is_over or _has_failed(task)) and not self._outbox:
                    break
                await stirred.wait()
                stirred.clear()
        finally:
            await self._stop_listening()
            await self.body.aclose()
        if self._failure is not None:
            raise self._failure
        return task.result()

    def _leave_if_failed(self, listening: asyncio.Task[None]) -> None:
        """Treat the client as gone if *listening* failed, because a disconnect could not be noticed any more."""
        if listening.cancelled() or (failure := listening.exception()) is None:
            return
        if not isinstance(failure, OSError):
            self._failure = failure
        self._leave()

    async def _stop_listening(self) -> None:
        for task in (self._listening, self._receiving_ahead):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    @property
    def _is_over(self) -> bool:
        """Whether nothing more will be sent on this connection."""
        return self.is_finished or self.is_gone

    async def refuse(self, status: int, reason: str) -> None:
        """Respond to an invalid request without calling the application; the connection closes."""
        fields = [("Content-Type", "text/plain; charset=UTF-8"), ("Connection", "close")]
        self.respond(status, reason, fields, f"{reason}\n".encode(), self.start_line.method == "HEAD")
        await self._send_out()

    async def send_last(self) -> None:
        """Send the 503 of a request that the server has cancelled; else it sends a 500, unlike the access log.

        Nothing is sent after a part of another response, nor to a client that takes longer than `LAST_SECONDS`.
        """
        if not self._has_sent:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._send_out()

    async def _send_out(self) -> None:
        while self._outbox:
            message = self._outbox.take()
            self._has_sent = True
            try:
                await self._send_one(message)
            except OSError:  # SPEC: ASGI 2.4, the client has gone
                self._note_lost()
            self._outbox.note_sent(message)

    async def _send_one(self, message: Message) -> None:
        await self._send(message)

    def _note_lost(self) -> None:
        """Handle a message that could not be sent."""
        self._leave()

    async def _listen(self) -> None:
        """Wait for the end of the body, then for the disconnect."""
        await self.body.ended.wait()
        while not self.is_gone:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
            else:
                await asyncio.sleep(0)  # some servers repeat that the body has ended

    def _leave(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self.body.cut()
        self._outbox.lose()
        callback, self._close_callback = self._close_callback, None
        if callback is not None and not self.is_finished:
            callback()

    def _post(self, message: Message) -> "asyncio.Future[None]":
        self._outbox.put(message)
        return self._outbox.drained()

    # The application's side

    def respond(self, status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes, is_head: bool) -> bool:
        """Send one complete response; see `http.base.Exchange.respond`.

        Raises:
            HTTPOutputError: *body* does not match its Content-Length, or *status* allows none. Nothing was
                sent; another response may be.
        """
        self._refuse_late()
        fields = list(headers)
        names = {name for name, _ in fields}
        if "Server" not in names:
            fields.append(("Server", SERVER_NAME))
        if "Content-Length" not in names and allows_body(status):
            fields.append(("Content-Length", str(len(body))))
        length = next((value for name, value in fields if name == "Content-Length"), None)
        check_length(status, length, body, is_head=is_head)
        self._post(self._start(status, fields))
        self._post({"type": "http.response.body", "body": b"" if is_head else body})
        self.is_finished = self._has_begun = True
        return not (self._outbox.is_full or self.is_gone)

    def write_headers(self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None) -> Any:
        self._refuse_late()
        if start_line.code < 200 and start_line.code != _SWITCHING:
            return self._outbox.drained()  # ASGI does not support informational responses such as 103
        start = self._start(start_line.code, headers.get_all())
        if chunk:
            self._count(chunk)
        self._has_begun = True
        if not self.body.ended.is_set():
            self._receiving_ahead = asyncio.ensure_future(self.body.receive_ahead())
        posted = self._post(start)
        return self._post(_part(chunk)) if chunk else posted

    def write(self, chunk: bytes) -> Any:
        self._refuse_late()
        if not self._has_begun:
            self.abort()
            raise HTTPOutputError("The head of this response has not been sent: nothing may be sent before it.")
        self._count(chunk)
        return self._post(_part(chunk))

    def finish(self) -> None:
        self._refuse_late()
        self._end_count()
        self.is_finished = True
        self._post({"type": "http.response.body", "body": b""})

    def abort(self) -> None:
        """Leave the response incomplete, so that the server closes the connection."""
        self.is_finished = True
        self._leave()

    def detach(self) -> Any:
        """Refuse to detach: not supported over ASGI.

        Raises:
            RuntimeError: Always; WebSockets use `SocketExchange`.
        """
        raise RuntimeError("An ASGI server keeps its connections: detach() needs torngas_aio's server or Tornado's.")

    def set_close_callback(self, callback: Callable[[], Any] | None) -> None:
        if callback is not None and self.is_gone and not self.is_finished:
            asyncio.get_running_loop().call_soon(callback)  # the client left before the handler was created
        else:
            self._close_callback = callback

    def set_max_body_size(self, size: int) -> None:
        """Set the limit of this request's body to *size* bytes; 413 beyond."""
        self.body.limit = size

    def set_body_timeout(self, seconds: float) -> None:
        """Set the deadline of this request's body to *seconds* from now; 408 after that."""
        self.body.set_timeout(seconds)

    async def drained(self) -> None:
        """Return when at most 64 KiB of what was written have not been accepted by the server.

        Raises:
            StreamClosedError: The client has gone.
        """
        try:
            await self._outbox.drained()
        except StreamClosedError:
            if not self.is_finished:
                raise

    # The response's length

    def _start(self, status: int, fields: Iterable[tuple[str, str]]) -> Message:
        fields = list(fields)
        status_line(status, "")  # checks it
        check_head(fields)
        if status >= 600:
            raise HTTPOutputError(f"Status {status} cannot be sent: ASGI servers know those up to 599.")
        headers: list[tuple[bytes, bytes]] = []
        if self.body.is_refused:  # the server must not parse the rest of it as the next request
            fields = [*((name, value) for name, value in fields if name != "Connection"), ("Connection", "close")]
        self._left = None if allows_body(status) else 0
        for name, value in fields:
            lowered = name.lower()
            if lowered == "content-length" and allows_body(status):
                self._left = self._parse_length(value)
            if lowered not in _SERVERS_OWN and (lowered != "connection" or self._may_close(value)):
                headers.append((lowered.encode("latin-1"), value.encode("latin-1")))
        if self.start_line.method == "HEAD":
            self._left = None  # the header describes a body that is not sent
        self.status = status
        return {"type": "http.response.start", "status": status, "headers": headers}

    def _may_close(self, value: str) -> bool:
        """Return whether a Connection header is passed on: HTTP/2 and later forbid it."""
        return value.lower() == "close" and str(self.scope.get("http_version", "1.1")).startswith("1")

    def _parse_length(self, value: str) -> int:
        length = parse_whole(value)
        if length is None:
            self._fail(f"Content-Length {value!r} is not a number of bytes.")
        return length

    def _count(self, chunk: bytes) -> None:
        if self._left is not None:
            self._left -= len(chunk)
            if self._left < 0:
                self._fail(f"The body is {-self._left} bytes longer than its Content-Length allows.")

    def _end_count(self) -> None:
        if self._left and not self.is_gone:
            self._fail(f"The body is {self._left} bytes shorter than its Content-Length says.")

    def _fail(self, reason: str) -> NoReturn:
        if self._has_begun:  # otherwise another response may still be sent
            self.abort()
        raise HTTPOutputError(reason)

    def _refuse_late(self) -> None:
        if self.is_finished:
            raise RuntimeError("This response was finished; nothing more can be written to it.")


def _part(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": bytes(chunk), "more_body": True}


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None
