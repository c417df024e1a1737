"""Requests from Tornado's own HTTP server: its delegate interface, turned into our exchange.

    tornado.httpserver ── TornadoAdapter ──► Request ──► application.serve_request
                            feeds _Body             ◄── TornadoExchange ── tornado's HTTPConnection

Begin with `TornadoAdapter`.
"""

import asyncio
import contextlib
import contextvars
import copy
import functools
import logging
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPOutputError,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import IOStream, SSLIOStream

from torngas_aio.http.base import SERVER_NAME, BodyError, ClientGone, DirectApplication, Successor, answer
from torngas_aio.http.codings import MIN_FRAMING, TURN_BYTES, ChunkError, FramingBudget, InflateError, Inflater
from torngas_aio.http.limits import MAX_BODY_BYTES, MAX_DRAINED
from torngas_aio.http.request import Request
from torngas_aio.http.response import allows_body, check_length, status_line
from torngas_aio.http.target import checked_line
from torngas_aio.utils.numbers import parse_whole

__all__ = ["TornadoAdapter", "TornadoExchange"]

_NO_LIMIT = 1 << 60
_TORNADOS_BUFFER = 100 * 1024 * 1024  # Tornado's `max_buffer_size` where none was given

logger = logging.getLogger("torngas_aio.http")


class TornadoAdapter(HTTPMessageDelegate):
    """One request that arrives through Tornado's server.

    Args:
        application: Answers the request.
        tasks: Owns the request's task until it has ended.
        context_for: Gives the context to run a request in; else a copy of the one the server was started in.
        routed: The request as a router has it, whose target counts.
    """

    def __init__(
        self,
        application: DirectApplication,
        server_connection: object,
        connection: HTTPConnection,
        tasks: set[asyncio.Task[None]],
        context_for: Callable[[Request], contextvars.Context] | None = None,
        *,
        routed: HTTPServerRequest | None = None,
    ) -> None:
        self._application = application
        self._routed = routed
        self._server_connection = server_connection
        self._exchange = TornadoExchange(connection)
        self._tasks = tasks
        self._context_for = context_for
        self._unpacker: _Unpacker | None = None
        self._chunks: _ChunkCounter | None = None
        self._counts_chunks = isinstance(connection, HTTP1Connection)  # else another server has counted
        self._may_unpack = _take_over_unpacking(connection)

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        exchange = self._exchange
        line = checked_line(RequestStartLine(*start_line), headers)
        if self._may_unpack and headers.get("Content-Encoding", "").lower() in {"gzip", "x-gzip"}:
            headers["X-Consumed-Content-Encoding"] = headers.pop("Content-Encoding")  # as Tornado does
            self._unpacker = _Unpacker(exchange)
        HTTPServerRequest(start_line=line, headers=headers)  # Tornado's checks of host and query: raises HTTPInputError
        request = Request(line, headers, exchange, self._server_connection)
        routed = self._routed
        if routed is not None:
            request.uri, request.path, request.query = routed.uri or "", routed.path, routed.query
            request.root_path = getattr(routed, "root_path", "")
            self._routed = None
        # Tornado's `xheaders` lends the client's address to the connection only while it reads the request.
        request.remote_ip, request.protocol = request.remote_ip, request.protocol
        exchange.method = line.method
        exchange.body.expect(headers)
        context = contextvars.copy_context() if self._context_for is None else self._context_for(request)
        task = asyncio.get_running_loop().create_task(answer(self._application, request), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            return None
        if "Transfer-Encoding" in headers and self._counts_chunks:
            self._chunks = _ChunkCounter(exchange.stream)
        # Tornado reads the body, and looks at its limits, when this is done: `prepare` may change them before.
        task.add_done_callback(self._exchange.body.discard)
        return self._exchange.body.wanted

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._chunks is not None and not self._exchange.body.has_failed:
            try:
                self._chunks.weigh(len(chunk))
            except ChunkError as exc:
                self._exchange.body.feed_error(BodyError(400, f"The chunked body is broken: {exc}."))
        if self._unpacker is not None:
            return self._unpacker.feed(chunk)
        return self._exchange.body.feed(chunk)

    def finish(self) -> None:
        self._stop_counting()
        if self._unpacker is not None:
            self._unpacker.end()
        self._exchange.body.feed_end()

    def on_connection_close(self) -> None:
        self._stop_counting()
        self._exchange.client_left()

    def _stop_counting(self) -> None:
        if self._chunks is not None:
            self._chunks.stop()
            self._chunks = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A request's task failed.", exc_info=task.exception())
            self._exchange.fail()


def _take_over_unpacking(connection: Any) -> bool:
    """Return whether Tornado's server was to unpack gzip bodies on *connection*; it does not any more.

    Tornado puts no limit on the number of members, and works on a body for as long as it has input.
    """
    params = getattr(connection, "params", None)
    if not getattr(params, "decompress", False):
        return False
    connection.params = copy.copy(params)
    connection.params.decompress = False
    return True


class _ChunkCounter:
    """Counts the chunks that Tornado's server reads from *stream*: it asks once for the size of each."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._read_until = stream.read_until
        self._budget = FramingBudget()
        self._count = 0
        stream.read_until = self._count_and_read

    def _count_and_read(self, *args: Any, **kwargs: Any) -> Any:
        self._count += 1
        return self._read_until(*args, **kwargs)

    def weigh(self, payload: int) -> None:
        """Weigh the chunks since the last call, which brought *payload* bytes; raises as `FramingBudget.spend`."""
        count, self._count = self._count, 0
        self._budget.spend(payload, count * MIN_FRAMING)

    def stop(self) -> None:
        """Leave the stream as it was."""
        del self._stream.read_until


class _Unpacker:
    """Feeds an exchange's body with what gzip makes of the bytes that arrive; an error ends the body."""

    def __init__(self, exchange: "TornadoExchange") -> None:
        self._exchange = exchange
        self._inflater = Inflater(exchange.chunk_size)
        self._size = 0
        self._worked = 0

    async def feed(self, chunk: bytes) -> None:
        """Unpack *chunk*, in several turns of the loop where it becomes much."""
        body = self._exchange.body
        self._worked += len(chunk)
        try:
            for part in self._inflater.inflate(chunk):
                if body.has_failed or self._exchange.is_finished:
                    return
                self._count(len(part))
                taken = body.feed(part) if part else None
                if taken is not None:
                    await taken
                if self._worked >= TURN_BYTES:
                    self._worked = 0
                    await asyncio.sleep(0)
        except InflateError as exc:
            self._fail(BodyError(400, str(exc)))
        except BodyError as exc:
            self._fail(exc)

    def _count(self, size: int) -> None:
        self._worked += size
        self._size += size
        self._exchange.body.check_size(self._size)

    def end(self) -> None:
        """Fail the body when its last member is not complete."""
        try:
            self._inflater.end()
        except InflateError as exc:
            self._fail(BodyError(400, str(exc)))

    def _fail(self, error: BodyError) -> None:
        if not self._exchange.body.has_failed:
            self._exchange.body.feed_error(error)


class TornadoExchange(HTTPConnection):
    """One request and its answer on a connection of Tornado's server."""

    can_send_files = False

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection: Any = connection
        self.context = getattr(connection, "context", None)
        self.body = _Body()
        self.method: str | None = None
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
        self._close_callback: Callable[[], Any] | None = None
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

    def set_close_callback(self, callback: Callable[[], Any] | None) -> None:
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


class _Body:
    """The request's body, between Tornado's reader and the application.

    Attributes:
        limit: The largest size that is handed on.
        wanted: Done when Tornado may read the body.
    """

    def __init__(self) -> None:
        self.limit = MAX_BODY_BYTES
        self._length: int | None = None
        self._size = 0
        self._expects_continue = False
        self._after_end: Callable[[], None] | None = None
        self._chunks: deque[bytes] = deque()
        self._has_ended = False
        self._error: Exception | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._taken: asyncio.Future[None] | None = None
        self._is_discarded = False
        self._is_streaming = False
        self.wanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self, headers: HTTPHeaders) -> None:
        """Note what the request's head says about the body."""
        if "Transfer-Encoding" not in headers:
            self._length = parse_whole(headers.get("Content-Length", ""))
        self._expects_continue = "Expect" in headers

    @property
    def is_unread(self) -> bool:
        """Whether a body is to come that has not been asked for."""
        return not (self._has_ended or self.wanted.done())

    @property
    def may_drain(self) -> bool:
        """Whether the body can be read and dropped, to keep the connection: it is unread, small and on its way."""
        is_small = self._length is not None and self._length <= MAX_DRAINED
        return self.is_unread and is_small and not self._expects_continue

    def drain(self, after: Callable[[], None]) -> None:
        """Drop the body, and call *after* at its end."""
        self._after_end = after
        self.discard()

    def check_size(self, size: int) -> None:
        """Raise BodyError where the body is larger than it may be."""
        if size > self.limit:
            raise BodyError(413, f"The body is larger than {self.limit} bytes.")

    def discard(self, *_: object) -> None:
        """Drop what is here and what still arrives: this body is not read any more."""
        self._is_discarded = True
        self._chunks.clear()
        self._want()
        self._let_go()

    def _want(self) -> None:
        if not self.wanted.done():
            self.wanted.set_result(None)

    @property
    def is_complete(self) -> bool:
        return self._has_ended

    @property
    def data(self) -> bytes:
        return b"".join(self._chunks)

    def feed(self, chunk: bytes) -> Awaitable[None] | None:
        if self._is_discarded or self._error is not None:
            return None
        self._size += len(chunk)
        try:
            self.check_size(self._size)
        except BodyError as exc:
            self.feed_error(exc)
            return None
        self._chunks.append(bytes(chunk))
        self._wake()
        if not self._is_streaming:
            return None  # bounded by the limit
        self._taken = asyncio.get_running_loop().create_future()
        return self._taken

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def feed_end(self) -> None:
        self._has_ended = self._error is None
        self._wake()
        if self._after_end is not None:
            self._after_end()

    def feed_error(self, error: Exception) -> None:
        if not self._has_ended:
            self._error = error
        self._wake()
        self._let_go()

    async def read_all(self) -> bytes:
        self._check_length()
        self._is_streaming = False  # a chunk that waits to be taken must not hold back the rest
        self._want()
        self._let_go()
        while not self._has_ended:
            await self._wait()
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    async def read_chunk(self) -> bytes:
        self._check_length()
        self._is_streaming = True
        self._want()
        while not self._chunks:
            if self._has_ended:
                return b""
            self._let_go()
            await self._wait()
        return self._chunks.popleft()

    def _check_length(self) -> None:
        """Raise BodyError where the announced length is too large, before Tornado tells the client to send it."""
        if self._error is None and not self._has_ended:
            try:
                self.check_size(self._length or 0)
            except BodyError as exc:
                self.feed_error(exc)
                raise

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._arrived = asyncio.get_running_loop().create_future()
        await self._arrived
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _let_go(self) -> None:
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)


class StreamTransport:
    """The methods of a transport that a `Successor` needs, over Tornado's stream."""

    _READ_BYTES = 64 * 1024
    _HIGH_WATER = 64 * 1024

    def __init__(self, stream: IOStream, successor: Successor) -> None:
        self._stream = stream
        self._successor = successor
        self._unsent = 0
        self._may_read = True
        self._is_reading = False
        self._is_full = False
        self._at_rest: Callable[[], None] | None = None  # once everything has been sent
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

    def get_extra_info(self, name: str, default: Any = None) -> Any:
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
        if self._stream.closed():  # the client went while the last bytes left; there is no socket any more
            return
        with contextlib.suppress(OSError):  # the client has gone
            self._stream.socket.shutdown(socket.SHUT_WR)
