"""One request's response on a connection of Tornado's server, with the methods of our server's `exchange`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPOutputError,
    ResponseStartLine,
)

from torngas_aio._compat.tornado import format_timestamp
from torngas_aio.http.base import SERVER_NAME, ClientGone, Successor
from torngas_aio.http.limits import MAX_BODY_BYTES
from torngas_aio.http.response import allows_body, check_length, status_line
from torngas_aio.http.tornado_body import TornadoBody
from torngas_aio.http.tornado_transport import StreamTransport

__all__ = ["TornadoExchange"]

_NO_LIMIT = 1 << 60
_SWITCHING = 101
_TORNADOS_BUFFER = 100 * 1024 * 1024  # Tornado's `max_buffer_size` where none was given


class TornadoExchange(HTTPConnection):
    """One request and its answer on a connection of Tornado's server."""

    can_send_files = False

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection: Any = connection
        self.context = getattr(connection, "context", None)
        self.body = TornadoBody()
        self.method: str | None = None
        self.status = 0
        self.is_finished = False
        params = getattr(connection, "params", None)
        self.chunk_size: int = getattr(params, "chunk_size", 65536)
        buffer = self.stream.max_buffer_size
        self.body.limit = getattr(params, "max_body_size", None) or (
            MAX_BODY_BYTES if buffer == _TORNADOS_BUFFER else buffer
        )
        connection.set_max_body_size(_NO_LIMIT)  # type: ignore[attr-defined]  # the body counts: a 413, not Tornado's 400
        self._is_framed = False  # whether the answer's end is seen before `finish`
        self._written: Awaitable[None] | None = None
        self._close_callback: Callable[[], object] | None = None
        self._has_left = False
        connection.set_close_callback(self.client_left)  # type: ignore[attr-defined]  # as Tornado's handlers do

    @property
    def stream(self) -> Any:
        """The connection's `tornado.iostream.IOStream`."""
        return self._connection.stream

    def respond(self, status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes, is_head: bool) -> bool:
        fields = HTTPHeaders()
        try:
            for name, value in headers:
                fields.add(name, value)
        except HTTPInputError as exc:  # HTTPHeaders takes them for a client's
            raise HTTPOutputError(str(exc)) from exc
        if "Server" not in fields:
            fields["Server"] = SERVER_NAME
        if "Date" not in fields:
            fields["Date"] = format_timestamp(time.time())
        fields.pop("Transfer-Encoding", None)  # the framing is decided here
        if "Content-Length" not in fields and allows_body(status):
            fields["Content-Length"] = str(len(body))
        check_length(status, fields.get("Content-Length"), body, is_head=is_head)
        self.write_headers(ResponseStartLine("", status, reason), fields, b"" if is_head else body)
        self.finish()
        return False

    def write_headers(self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None) -> Any:
        self._refuse_late()
        status_line(start_line.code, start_line.reason)  # checks them
        body = self.body
        if body.has_failed or (body.is_unread and not body.may_drain):
            self.close_after()
        self._is_framed = "Content-Length" in headers
        self._written = self._connection.write_headers(start_line, headers, chunk)
        if start_line.code >= 200 or start_line.code == _SWITCHING:  # else the answer is still to come
            self.status = start_line.code
        return self._written

    def write(self, chunk: bytes) -> Any:
        self._refuse_late()
        self._written = self._connection.write(chunk)
        return self._written

    def finish(self) -> None:
        self._refuse_late()
        self.is_finished = True
        self._close_callback = None
        self._connection.set_close_callback(None)
        if self._is_framed and self.body.may_drain:
            self.body.drain(self._connection.finish)  # Tornado closes the connection where it is called earlier
        else:
            self._connection.finish()

    def close_after(self) -> None:
        """Have the answer say `Connection: close`, and close after it."""
        self._connection._disconnect_on_finish = True  # Tornado has no public way

    def abort(self) -> None:
        """Close the connection at once; what was promised and not sent is seen as missing."""
        self.is_finished = True
        getattr(self._connection, "abort", self.stream.close)()

    def fail(self) -> None:
        """Answer 500 for an application that cannot, or cut an answer that has begun."""
        if self.is_finished:
            return
        if self._written is not None:
            self.abort()
            return
        fields = (("Content-Type", "text/plain; charset=UTF-8"), ("Connection", "close"))
        self.respond(500, "Internal Server Error", fields, b"500 Internal Server Error\n", self.method == "HEAD")

    def set_close_callback(self, callback: Callable[[], object] | None) -> None:
        if callback is not None and self._has_left and not self.is_finished:
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._close_callback = callback

    def set_max_body_size(self, size: int) -> None:
        self.body.limit = size

    def set_body_timeout(self, seconds: float) -> None:
        self._connection.set_body_timeout(seconds)

    def detach(self) -> Any:
        self.is_finished = True
        self._connection.set_close_callback(None)
        return self._connection.detach()

    def detach_to(self, successor: Successor) -> None:
        StreamTransport(self.detach(), successor)

    async def drained(self) -> None:
        if self._written is not None:
            await self._written

    def client_left(self) -> None:
        """Tell those who wait that the client has gone; once."""
        self.body.feed_error(ClientGone("The client closed the connection."))
        self._has_left = True
        callback, self._close_callback = self._close_callback, None
        if callback is not None:
            callback()

    def _refuse_late(self) -> None:
        if self.is_finished:
            raise RuntimeError("This response was finished; nothing more can be written to it.")
