"""One request's response on a connection of Tornado's server, with the methods of our server's `exchange`.

TornadoExchange ── detach_to ──► StreamTransport   the connection, for the protocol that takes it over
"""

import asyncio
import contextlib
import functools
import socket
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
from tornado.iostream import IOStream, SSLIOStream

from torngas_aio._compat.tornado import close_after_response, format_timestamp
from torngas_aio.http.base import SERVER_NAME, ClientGone, Successor
from torngas_aio.http.limits import MAX_BODY_BYTES
from torngas_aio.http.response import allows_body, check_length, refuse, status_line
from torngas_aio.http.tornado_body import TornadoBody

__all__ = ["StreamTransport", "TornadoExchange"]

_NO_LIMIT = 1 << 60
_SWITCHING = 101
_TORNADOS_BUFFER = 100 * 1024 * 1024  # Tornado's default `max_buffer_size`


class TornadoExchange(HTTPConnection):
    """One request and its response on a connection of Tornado's server."""

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
        self._is_framed = False  # whether the response's end is known before `finish`
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
        except HTTPInputError as exc:  # HTTPHeaders reports them as a client's error
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
        if start_line.code >= 200 or start_line.code == _SWITCHING:  # otherwise the response is still to come
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
            self.body.drain(self._connection.finish)  # called before the body's end, it closes the connection
        else:
            self._connection.finish()

    def close_after(self) -> None:
        """Send `Connection: close` with the response, and close after it."""
        close_after_response(self._connection)

    def abort(self) -> None:
        """Close the connection at once, so that the client sees an incomplete response as truncated."""
        self.is_finished = True
        getattr(self._connection, "abort", self.stream.close)()

    def fail(self) -> None:
        """Respond with 500 for a failed application, or abort a response that has begun."""
        if self.is_finished:
            return
        if self._written is not None:
            self.abort()
            return
        refuse(self, 500, is_head=self.method == "HEAD")

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
        """Notify the body and the close callback that the client has gone; called once."""
        self.body.feed_error(ClientGone("The client closed the connection."))
        self._has_left = True
        callback, self._close_callback = self._close_callback, None
        if callback is not None:
            callback()

    def _refuse_late(self) -> None:
        if self.is_finished:
            raise RuntimeError("This response was finished; nothing more can be written to it.")


class StreamTransport:
    """The transport methods that a `Successor` uses, over Tornado's stream."""

    _READ_BYTES = 64 * 1024
    _HIGH_WATER = 64 * 1024

    def __init__(self, stream: IOStream, successor: Successor) -> None:
        self._stream = stream
        self._successor = successor
        self._unsent = 0
        self._may_read = True
        self._is_reading = False
        self._is_full = False
        self._at_rest: Callable[[], None] | None = None  # called once everything has been sent
        successor.connection_made(self)  # type: ignore[arg-type]  # as much of a transport as a Successor uses
        stream.set_close_callback(self._lost)
        self._read()

    def _read(self) -> None:
        if self._may_read and not self._is_reading and not self._stream.closed():
            self._is_reading = True
            reading: Any = self._stream.read_bytes(self._READ_BYTES, partial=True)
            reading.add_done_callback(self._on_read)

    def _on_read(self, read: "asyncio.Future[bytes]") -> None:
        self._is_reading = False
        if not read.cancelled() and read.exception() is None:
            self._successor.data_received(read.result())
            self._read()

    def _lost(self) -> None:
        error = self._stream.error
        self._successor.connection_lost(error if isinstance(error, Exception) else None)

    def write(self, data: bytes) -> None:
        if self._stream.closed():
            return
        self._unsent += len(data)
        self._stream.write(data).add_done_callback(functools.partial(self._on_written, len(data)))
        if self._unsent > self._HIGH_WATER and not self._is_full:
            self._is_full = True
            self._successor.pause_writing()

    def _on_written(self, size: int, written: "asyncio.Future[None]") -> None:
        self._unsent -= size
        if written.cancelled() or written.exception() is not None or self._unsent:
            return
        if self._is_full:
            self._is_full = False
            self._successor.resume_writing()
        if self._at_rest is not None:
            self._at_rest()

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def get_extra_info(self, name: str, default: object = None) -> Any:
        return self._stream.socket if name == "socket" else default

    def pause_reading(self) -> None:
        self._may_read = False

    def resume_reading(self) -> None:
        self._may_read = True
        self._read()

    def is_closing(self) -> bool:
        return self._stream.closed() or self._at_rest is not None

    def can_write_eof(self) -> bool:
        return not isinstance(self._stream, SSLIOStream)

    def write_eof(self) -> None:
        self._when_sent(self._shut_down)

    def close(self) -> None:
        self._when_sent(self._stream.close)

    def abort(self) -> None:
        self._stream.close()

    def _when_sent(self, end: Callable[[], None]) -> None:
        self._at_rest = end
        if not self._unsent:
            end()

    def _shut_down(self) -> None:
        if self._stream.closed():  # the client left while the last bytes were sent: there is no socket any more
            return
        with contextlib.suppress(OSError):  # the client has gone
            self._stream.socket.shutdown(socket.SHUT_WR)  # pyright: ignore[reportOptionalMemberAccess]
