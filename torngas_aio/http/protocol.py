"""One connection: bytes in, request heads and bodies out, one request at a time.

    READY ──head──► BUSY ──responded──► READY           later bytes wait in a small buffer,
      │              ▲                                  so responses are sent in the order of the requests
      └─head with a body──► BODY ──its end──► BUSY
                              └─responded before──► DRAINING ──its end──► READY
    responded 101 ──► SWITCHING ──detach──► (a stream has the transport)
    refused, Connection: close, a body that failed ──► CLOSING: further input is read and dropped

Deadlines are attributes, checked by the sweep of `ServerState`: a request sets no timer. The transport and its
back-pressure are in `flow_control`.
"""

import asyncio
import re
from typing import Any

from tornado.iostream import StreamClosedError

from torngas_aio.http.base import BodyError, ClientGone, Successor
from torngas_aio.http.body import NO_BODY, EmptyBody, IncomingBody
from torngas_aio.http.exchange import ExchangeConnection, HTTPExchange
from torngas_aio.http.limits import MAX_DRAINED, NEVER
from torngas_aio.http.request_parser import CHUNKED, PlainHead, Refusal
from torngas_aio.http.request_task import start_request
from torngas_aio.http.response import opening
from torngas_aio.http.server_state import ServerState, logger
from torngas_aio.http.stream import TransportStream

__all__ = ["HTTPProtocol"]

_READY, _BODY, _BUSY, _DRAINING, _SWITCHING, _CLOSING, _GONE = range(7)

_MAX_AHEAD = 64 * 1024  # bytes of later requests that are buffered during a request
_TURN_BYTES = 16 * 1024  # bytes of a chunked body decoded in one turn of the loop: at most 3,000 chunks, about 2 ms

_empty_lines: Any = re.compile(rb"(?:\r\n)*").match

_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}


class HTTPProtocol(ExchangeConnection):
    """The server's side of one connection."""

    __slots__ = (
        "_at",
        "_body",
        "_buffer",
        "_deadline",
        "_exchange",
        "_left_to_serve",
        "_seen",
        "_state",
        "_stream",
    )

    def __init__(self, server_state: ServerState) -> None:
        super().__init__(server_state)
        self._state = _READY
        self._buffer = b""
        self._at = 0  # start of the next request in `_buffer`
        self._seen = 0  # bytes of an incomplete head that have been scanned; 0: no head has begun
        self._exchange: HTTPExchange | None = None
        self._body: IncomingBody | None = None
        self._stream: TransportStream | None = None
        self._left_to_serve = server_state.requests_per_connection
        self._deadline = NEVER

    # Callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the connection."""
        super().connection_made(transport)
        if self.server_state.is_closed:  # the server closed during the TLS handshake
            self.cut()
            return
        self.server_state.add(self)
        self._deadline = self._in(self.server_state.limits.header_timeout)

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""
        state = self._state
        if state == _READY:
            if not (self._buffer or self.is_writing_paused):
                head = self.server_state.parser.recognize(data)  # PERF: -0.4 us a request (benchmarks, plain)
                if head is not None:
                    self._begin(head)
                    return
            self._buffer = self._buffer[self._at :] + data if self._buffer else data
            self._at = 0
            if self.is_writing_paused:
                self._hold_back()
            else:
                self._read_head()
        elif state in (_BODY, _DRAINING):
            if self._buffer:  # an earlier part of the body is still to be decoded
                self._buffer += data
                self._pause_reading()
            else:
                self._feed(data)
        elif state != _CLOSING:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
            self._hold_back()

    def _hold_back(self) -> None:
        if len(self._buffer) > _MAX_AHEAD:
            self._pause_reading()

    def eof_received(self) -> None:
        """Treat the client as gone; few clients that close their sending side still read a response."""
        self.is_gone = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the body, the stream and the exchange that the client has gone."""
        super().connection_lost(exc)
        self._state = _GONE
        self._deadline = NEVER
        self._buffer = b""
        self.server_state.remove(self)
        body, self._body = self._body, None
        if body is not None:
            body.fail(ClientGone("The client closed the connection before the end of its request."))
        if self._stream is not None:
            self._stream.lose(exc)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_left()
        self.server_state.adapter.connection_closed(self)

    def resume_writing(self) -> None:
        """Let waiting writers continue, then the next request."""
        super().resume_writing()
        if self._state == _READY and self._at < len(self._buffer):
            self._read_head()

    # Parsing requests

    def _read_head(self, *, at_once: bool = True) -> None:
        """Begin the request whose head is at the front of the buffer, if the head is complete.

        Args:
            at_once: See `start_request`; False keeps pipelined requests from running within one another.
        """
        data, at = self._buffer, self._at
        if data.startswith(b"\r\n", at):  # SPEC: RFC 9112 2.2: empty lines before a request are skipped
            at = _empty_lines(data, at).end()
        parser = self.server_state.parser
        try:
            end = parser.scan(data, at, self._seen)
            if end < 0:
                self._await_head(at)
                return
            self._at, self._seen = end, 0
            if end - at == len(data):
                head = parser.parse(data)  # if it came in one piece, `recognize` has failed on it
            else:
                piece = data[at:end]
                head = parser.recognize(piece) or parser.parse(piece)
        except Refusal as exc:
            self._refuse(exc.status, str(exc), is_head=data.startswith(b"HEAD ", at))
            return
        if end == len(data):
            self._buffer = b""
            self._at = 0
        self._begin(head, at_once=at_once)

    def _await_head(self, at: int) -> None:
        self._resume_reading()
        self._buffer, self._at = self._buffer[at:], 0
        is_beginning = self._buffer not in (b"", b"\r")
        if is_beginning and not self._seen and not self.is_fresh:  # a new connection's deadline was set on accept
            self._deadline = self._in(self.server_state.limits.header_timeout)
        self._seen = len(self._buffer) if is_beginning else 0

    def _begin(self, head: PlainHead, *, at_once: bool = True) -> None:
        """Start the exchange for *head*, with the part of its body that has arrived."""
        server_state = self.server_state
        peer = self.context if server_state.proxies is None else server_state.proxies.client_of(self.context, head.raw)
        if head.length:
            body = self._open_body(head)
            self._exchange = exchange = HTTPExchange(self, head, body, peer)
            data, self._buffer, self._at = self._buffer[self._at :], b"", 0
            # Reading may be paused for pipelined bytes; until the end of the body only the body pauses it.
            if self._is_reading_paused:
                self._resume_reading()
            if len(data) == head.length:  # PERF: most bodies arrive with their head: -1 us (benchmarks, form)
                body.fill(data)
                self._state = _BUSY
                self._deadline = NEVER
            else:
                self._body = body
                self._state = _BODY
                if data:
                    self._feed(data)
                if not body.is_ended:
                    self._set_body_deadlines(body)
        else:
            self._exchange = exchange = HTTPExchange(self, head, NO_BODY, peer)
            self._state = _BUSY
            self._deadline = NEVER
        self._left_to_serve -= 1
        if not self._left_to_serve:
            exchange.keeps_alive = False
        start_request(server_state, self, exchange, head, at_once=at_once)

    def _open_body(self, head: PlainHead) -> IncomingBody:
        limits = self.server_state.limits
        body = IncomingBody(self, head.length, limits.max_body_size, limits.chunk_size)
        if limits.decompress_request and head.is_gzipped:
            body.unpack()
        if head.expects_continue:
            body.hold_back()
        return body

    def _set_body_deadlines(self, body: IncomingBody) -> None:
        body.deadline = self._in(self.server_state.limits.body_timeout)
        self._restart_window(body)

    def _feed(self, data: bytes) -> None:
        """Pass *data* to the current body; of a chunked body at most `_TURN_BYTES` in one turn of the loop."""
        body = self._body
        assert body is not None
        later = b""
        if len(data) > _TURN_BYTES and body.length == CHUNKED:
            data, later = data[:_TURN_BYTES], data[_TURN_BYTES:]
        rest = body.feed(data)
        if not body.is_ended:
            if later:
                self._feed_later(later)
            return
        is_drained = self._state == _DRAINING
        self._body = None
        self._deadline = NEVER
        self._state = _CLOSING if body.has_failed else _BUSY
        self._buffer, self._at = rest + later, 0
        if is_drained:
            self._continue_after(body)

    def _feed_later(self, data: bytes) -> None:
        """Buffer *data* and pause reading until the loop has served other connections."""
        self._buffer = data
        self._pause_reading()
        self.server_state.loop.call_soon(self._feed_kept)

    def _feed_kept(self) -> None:
        if self._state not in (_BODY, _DRAINING) or not self._buffer:
            return
        data, self._buffer = self._buffer, b""
        self._feed(data)
        if self._body is None:
            may_read = len(self._buffer) <= _MAX_AHEAD
        else:
            may_read = not self._buffer and not self._body.is_paused
        if may_read:
            self._resume_reading()

    def send_continue(self) -> None:
        """Send `100 Continue`, unless the response has begun."""
        if self._exchange is not None and not self._exchange.has_begun and not self.is_gone:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._body is not None:
            self._restart_window(self._body)

    # Between two requests

    def must_close(self, body: IncomingBody | EmptyBody) -> bool:
        if self.server_state.is_stopping and self._at >= len(self._buffer):  # received requests are still served
            return True
        if isinstance(body, EmptyBody) or body.is_received:
            return False
        return body.has_failed or body.is_held_back or body.missing > MAX_DRAINED

    def end_exchange(self, exchange: HTTPExchange) -> None:
        if self._exchange is not exchange:
            return
        self._exchange = None
        if exchange.status == 101:
            self._exchange = exchange
            self._state = _SWITCHING
            self._deadline = self._in(self.server_state.limits.header_timeout)
        elif not exchange.keeps_alive or self.is_gone:
            self._close(lingers=self._state != _BUSY or self._at < len(self._buffer))
        elif self._state == _BUSY:  # its body has been read
            self._read_next()
        else:
            self._continue_after(exchange.body)

    def _continue_after(self, body: IncomingBody | EmptyBody) -> None:
        """Read the rest of *body*, then the next request."""
        if isinstance(body, IncomingBody) and not body.is_ended:
            self._state = _DRAINING
            body.discard()
            self._restart_window(body)
        elif self._state == _CLOSING:
            self._close(lingers=True)
        else:
            self._read_next()

    def _read_next(self) -> None:
        """Read the next request, or wait for it."""
        server_state = self.server_state
        self._state = _READY
        if self._buffer and self._at < len(self._buffer):
            if not self.is_writing_paused:  # a client that does not read gets no further responses
                self._read_head(at_once=False)
        elif server_state.is_stopping:
            self._close()
        else:
            if self._is_reading_paused:
                self._resume_reading()
            self._deadline = server_state.idle_until

    def abandon(self, exchange: HTTPExchange) -> None:
        if self._exchange is exchange:
            self._exchange = None
            self._state = _CLOSING
            self.cut()

    def _refuse(self, status: int, reason: str, *, is_head: bool = False) -> None:
        """Respond to an invalid request and close."""
        self.send_refusal(status, reason, is_head=is_head)
        self._close(lingers=True)

    def send_refusal(self, status: int, reason: str, *, is_head: bool) -> None:
        self.server_state.refused[status] += 1
        logger.info("Refused a request from %s with %d: %s", self.context, status, reason)
        body = f"{status}: {reason}\n".encode()
        head = (
            f"{opening(status, _REASONS.get(status, 'Refused'))}Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.write(head.encode("latin-1") + (b"" if is_head else body))

    def _close(self, *, lingers: bool = False) -> None:
        """Close once everything has been sent; until then further input is read and dropped.

        With unread input the kernel would reset the connection, and the client might never see the response.
        """
        self.is_gone = True
        self._state = _CLOSING
        self._buffer, self._at = b"", 0
        if lingers and not self.transport.is_closing():
            self._resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._deadline = self._in(self.server_state.limits.linger_timeout)
        else:
            self._deadline = NEVER
            self.transport.close()

    # Deadlines

    def check(self, now: float) -> None:
        """Enforce the deadlines that have passed at *now*."""
        self.check_writing(now)
        if now >= self._deadline:
            self._expire(now)

    def _expire(self, now: float) -> None:
        if self._state == _READY and self._seen:
            self._refuse(408, "The header did not arrive in time.")
        elif self._state in (_BODY, _DRAINING):
            self._check_body(now)
        elif self._state == _CLOSING:
            self._deadline = NEVER
            self.transport.close()
        elif not self.is_writing_paused:  # otherwise the write deadline decides
            self._close()

    def _check_body(self, now: float) -> None:
        """Fail a body that arrives too slowly; back-pressure from this side does not count as slow."""
        body = self._body
        assert body is not None
        limits = self.server_state.limits
        enough = limits.min_rate * limits.body_rate_timeout
        is_slow = now >= body.window_deadline and body.received - body.window_received < enough
        if now < body.deadline and not (is_slow and body.is_awaited):
            self._restart_window(body)
            return
        self._deadline = NEVER
        if self._state == _DRAINING:
            self._close()
            return
        self._state = _CLOSING
        self._body = None
        body.fail(BodyError(408, "The body did not arrive in time."))

    def _restart_window(self, body: IncomingBody) -> None:
        body.window_received = body.received
        body.window_deadline = self._in(self.server_state.limits.body_rate_timeout)
        self._deadline = min(body.window_deadline, body.deadline)

    def limit_body_time(self, body: IncomingBody, seconds: float) -> None:
        if body is self._body:
            body.deadline = self._in(seconds)
            self._deadline = min(body.window_deadline, body.deadline)

    def pause_body(self) -> None:
        """Stop reading from the socket until the body has been read further."""
        self._pause_reading()

    def resume_body(self) -> None:
        """Resume reading the body from the socket."""
        self._resume_reading()
        if self._body is not None:
            self._restart_window(self._body)

    # Handing over the transport

    @property
    def stream(self) -> TransportStream:
        if self._stream is None:
            self._stream = TransportStream(self.transport)
            if self._state == _GONE:
                self._stream.lose(None)
        return self._stream

    def hand_over(self, exchange: HTTPExchange, successor: Successor) -> None:
        if self.is_gone or self._exchange is not exchange:
            raise StreamClosedError
        unread = (b"" if self._body is None else self._body.take_raw()) + self._buffer[self._at :]
        self._release_writers(has_failed=False)
        self._exchange = self._body = None
        self._buffer = b""
        self._state = _GONE
        self.is_gone = self.is_lost = True
        self._deadline = self._write_deadline = NEVER
        self._resume_reading()
        self.server_state.successors.add(successor)
        self.transport.set_protocol(successor)
        successor.connection_made(self.transport)
        if self.is_writing_paused:
            successor.pause_writing()
        if unread:
            successor.data_received(unread)
        self.server_state.remove(self)

    # Stopping

    @property
    def is_fresh(self) -> bool:
        """Whether no request has begun on this connection yet."""
        return self._state == _READY and self._left_to_serve == self.server_state.requests_per_connection

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or served."""
        return self._state == _READY and self._at >= len(self._buffer)

    def close(self) -> None:
        """Close once everything has been sent."""
        self._close()
