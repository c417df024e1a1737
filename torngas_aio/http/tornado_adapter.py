"""Requests from Tornado's own HTTP server: its delegate interface, adapted to our exchange.

tornado.httpserver ── TornadoAdapter ──► Request ──► application.serve_request
                        feeds TornadoBody       ◄── TornadoExchange ── tornado's HTTPConnection
"""

import asyncio
import contextvars
import copy
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
)

from torngas_aio.http.application import DirectApplication, answer
from torngas_aio.http.base import BodyError
from torngas_aio.http.codings import MIN_FRAMING, TURN_BYTES, ChunkError, FramingBudget, InflateError, Inflater
from torngas_aio.http.request import Request
from torngas_aio.http.target import check_line
from torngas_aio.http.tornado_exchange import TornadoExchange

__all__ = ["TornadoAdapter"]

logger = logging.getLogger("torngas_aio.http")


class TornadoAdapter(HTTPMessageDelegate):
    """One request that arrives through Tornado's server.

    Args:
        application: Serves the request.
        tasks: Owns the request's task until it has ended.
        context_for: Returns the context for a request; by default a copy of the one in which the server was started.
        routed: The request as a router changed it; its target replaces that of the start line.
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
        self._counts_chunks = isinstance(connection, HTTP1Connection)  # other servers count chunks themselves
        self._may_unpack = _take_over_unpacking(connection)

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        exchange = self._exchange
        line = check_line(RequestStartLine(*start_line), headers)
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
        # With `xheaders`, Tornado sets the client's address on the connection only while it reads the request.
        request.remote_ip, request.protocol = request.remote_ip, request.protocol
        exchange.method = line.method
        exchange.body.expect(headers)
        context = contextvars.copy_context() if self._context_for is None else self._context_for(request)
        task = asyncio.get_running_loop().create_task(answer(self._application, request), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            return None
        if "Transfer-Encoding" in headers and self._counts_chunks:
            self._chunks = _ChunkCounter(exchange.stream)
        # Tornado reads the body and checks its limits after this future: `prepare` may change them before.
        task.add_done_callback(self._exchange.body.discard)
        return self._exchange.body.wanted

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if self._chunks is not None and not self._exchange.body.has_failed:
            try:
                self._chunks.check(len(chunk))
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

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A request's task failed.", exc_info=task.exception())
            self._exchange.fail()


def _take_over_unpacking(connection: Any) -> bool:
    """Return whether Tornado's server would decompress gzip bodies on *connection*, and disable that.

    Tornado does not limit the number of members, and does not yield to the loop while it has input.
    """
    params = getattr(connection, "params", None)
    if not getattr(params, "decompress", False):
        return False
    unpacked: Any = copy.copy(params)
    unpacked.decompress = False
    connection.params = unpacked
    return True


class _ChunkCounter:
    """A counter of the chunks that Tornado's server reads from *stream*: it calls `read_until` once for each size."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._read_until = stream.read_until
        self._budget = FramingBudget()
        self._count = 0
        stream.read_until = self._count_and_read

    def _count_and_read(self, *args: object, **kwargs: object) -> object:
        self._count += 1
        return self._read_until(*args, **kwargs)

    def check(self, payload: int) -> None:
        """Check the chunks since the last call, which had *payload* bytes; raises as `FramingBudget.spend`."""
        count, self._count = self._count, 0
        self._budget.spend(payload, count * MIN_FRAMING)

    def stop(self) -> None:
        """Restore the stream's `read_until`."""
        del self._stream.read_until


class _Unpacker:
    """A decompressor that feeds an exchange's body from its gzip input; an error ends the body."""

    def __init__(self, exchange: TornadoExchange) -> None:
        self._exchange = exchange
        self._inflater = Inflater(exchange.chunk_size)
        self._size = 0
        self._worked = 0

    async def feed(self, chunk: bytes) -> None:
        """Decompress *chunk*, over several turns of the loop if its content is large."""
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
        """Fail the body if its last gzip member is incomplete."""
        try:
            self._inflater.end()
        except InflateError as exc:
            self._fail(BodyError(400, str(exc)))

    def _fail(self, error: BodyError) -> None:
        if not self._exchange.body.has_failed:
            self._exchange.body.feed_error(error)
