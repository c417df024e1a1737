"""The exchange: one request and its response on a connection.

    respond                          one complete response, one write           (our handlers)
    write_headers, write, finish     a response in parts, framed here           (streams, Tornado's handlers)
    refuse                           the server's own response to a bad body
    detach                           another protocol takes over

        OPEN ──► HEADED ──► FINISHED        a finished exchange no longer uses its connection

The length of the body must match the response's head: a byte too many or too few closes the connection,
because the client would parse the next response at the wrong offset.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPOutputError, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

from torngas_aio._compat.stdlib import write_parts
from torngas_aio.http.base import Successor
from torngas_aio.http.body import NO_BODY, EmptyBody, IncomingBody
from torngas_aio.http.flow_control import FlowControlledProtocol
from torngas_aio.http.proxies import Peer
from torngas_aio.http.request_parser import PlainHead
from torngas_aio.http.response import BODILESS, MANAGED, allows_body, check_head, check_length, opening, status_line
from torngas_aio.http.stream import StreamProtocol, TransportStream
from torngas_aio.utils.numbers import parse_whole

__all__ = ["ExchangeConnection", "HTTPExchange"]

_OPEN, _HEADED, _FINISHED = range(3)
_SWITCHING = 101
_MAX_GATHERED = 16 * 1024  # bytes of parts that are buffered until the end of the loop's turn
_JOINED_BODY = 64 * 1024  # bytes; a longer body is passed to the transport beside its head, not copied behind it


class ExchangeConnection(FlowControlledProtocol):
    """The connection of an exchange, which continues or closes it after the response."""

    __slots__ = ()

    def must_close(self, body: IncomingBody | EmptyBody) -> bool:
        """Return whether the connection cannot serve another request after the one with *body*."""
        raise NotImplementedError

    def end_exchange(self, exchange: "HTTPExchange") -> None:
        """Continue after *exchange*, whose response is complete."""
        raise NotImplementedError

    def abandon(self, exchange: "HTTPExchange") -> None:
        """Abort the response of *exchange*, so that the client sees it as truncated."""
        raise NotImplementedError

    def send_refusal(self, status: int, reason: str, *, is_head: bool) -> None:
        """Send the server's own response and close the connection after it."""
        raise NotImplementedError

    def limit_body_time(self, body: IncomingBody, seconds: float) -> None:
        """Set the deadline of *body* to *seconds* from now."""
        raise NotImplementedError

    @property
    def stream(self) -> TransportStream:
        """The connection as a Tornado stream."""
        raise NotImplementedError

    def hand_over(self, exchange: "HTTPExchange", successor: Successor) -> None:
        """Hand the transport to *successor*, with all bytes that were read and not used.

        Raises:
            StreamClosedError: The client has gone.
        """
        raise NotImplementedError


class HTTPExchange(HTTPConnection):
    """A `http.base.Exchange` on our own server.

    Attributes:
        body: The incoming body of the request.
        context: The client: `remote_ip`, `protocol`, `address`; the name is Tornado's.
        keeps_alive: Whether the connection stays open for another request after this response.
        status: The response's status once it has begun; before that 0.
    """

    # Class attributes are the initial values: most exchanges never change them.
    _is_chunking = False
    _body_bytes_left: int | None = None  # of a response in parts; None: of unknown length
    _gathered: bytearray | None = None  # parts sent when this turn of the loop ends; None: nothing sent in this turn
    _is_head_missing = False  # `write_headers` was called but did not send the head
    is_detached = False
    swept_from = 5.0  # seconds: time limits from this length on are checked by the server's sweep, once a second

    def __init__(
        self, protocol: ExchangeConnection, head: PlainHead, body: IncomingBody | EmptyBody, context: Peer
    ) -> None:
        self._protocol = protocol
        self._head = head
        self.body = body
        self.context = context
        self._stage = _OPEN
        self._callback: Callable[[], Any] | None = None
        self.status = 0
        self._is_http11 = self.keeps_alive = True
        if type(head) is not PlainHead:
            self._is_http11 = head.version == "HTTP/1.1"
            self.keeps_alive = head.keeps_alive

    # A complete response

    def respond(
        self,
        status: int,
        reason: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        is_head: bool,
    ) -> bool:
        """Send one complete response and finish; see `http.base.Exchange.respond`.

        If the client has gone, nothing is sent and nothing raised.

        Args:
            headers: Names in Http-Header-Case, as `HTTPHeaders` holds them.

        Raises:
            HTTPOutputError: *body* does not match its Content-Length, or *status* allows none. Nothing was
                sent; another response may be.
        """
        if self._stage:
            raise RuntimeError("The response to this request has been sent; respond() was called too late.")
        protocol = self._protocol
        if protocol.is_gone:
            self._finish()
            return False
        head = opening(status, reason)
        length = None
        for name, value in headers:
            if name not in MANAGED:
                head += f"{name}: {value}\r\n"
            elif name == "Content-Length":
                length = value
            else:
                head = self._add_managed_header(name, value, head)
        if length is None and status not in BODILESS:
            head += f"Content-Length: {len(body)}\r\n"
        elif body or length is not None or status != 304:  # PERF: no call for most (benchmarks, static-304)
            head += self._length_line(status, body, length, is_head)
        if not (self.body.is_received and self.keeps_alive and self._is_http11) or protocol.server_state.is_stopping:
            head += self._connection_line(status)
        text = (head + "\r\n").encode("latin-1")
        self.status = status
        if len(body) > _JOINED_BODY and not is_head:
            protocol.sent += len(text) + len(body)
            write_parts(protocol.transport, (text, body))
        else:
            data = text if is_head else text + body
            protocol.sent += len(data)
            protocol.write(data)
        self._stage = _FINISHED
        self._callback = None
        protocol.end_exchange(self)
        return not protocol.is_writing_paused

    def _add_managed_header(self, name: str, value: str, head: str) -> str:
        """Apply one header of `MANAGED`; return the new *head*."""
        if name == "Connection":
            if "close" in value.lower():
                self.keeps_alive = False
                return head
            return head if value.lower() == "keep-alive" else f"{head}Connection: {value}\r\n"
        if name == "Transfer-Encoding":
            return head  # the framing is decided here
        # The handler's Date or Server replaces the server's.
        kept = [line for line in head.split("\r\n") if not line.startswith(f"{name}: ")]
        return "\r\n".join(kept) + f"{name}: {value}\r\n"

    def _length_line(self, status: int, body: bytes, length: str | None, is_head: bool) -> str:
        """Return the Content-Length line, after checking the length."""
        if length == str(len(body)) and status not in BODILESS:  # PERF: the usual case, without parsing it
            return f"Content-Length: {length}\r\n"
        check_length(status, length, body, is_head=is_head)
        is_told = length is not None and (status == 304 or allows_body(status))
        return f"Content-Length: {length}\r\n" if is_told else ""

    def _number_of(self, length: str) -> int:
        number = parse_whole(length)
        if number is None:
            self._fail(f"Content-Length {length!r} is not a number of bytes.")
        return number

    def _connection_line(self, status: int) -> str:
        if status == _SWITCHING:
            return ""
        if not self.keeps_alive or self._protocol.must_close(self.body):
            self.keeps_alive = False
            return "Connection: close\r\n"
        return "" if self._is_http11 else "Connection: keep-alive\r\n"

    # A response in parts

    def write_headers(
        self, start_line: ResponseStartLine | RequestStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> "asyncio.Future[None]":
        """Send the head of a response together with its first *chunk*.

        Without Content-Length the body is sent in chunks; to an HTTP/1.0 client it ends with the connection.
        An informational status (1xx, except 101) is sent at once, before the response itself.

        Raises:
            ValueError: A name or value contains a line break or NUL.
            HTTPOutputError: *chunk* is longer than Content-Length allows.
                Nothing was sent; another head may be.
        """
        assert isinstance(start_line, ResponseStartLine)
        status = start_line.code
        if self._stage != _OPEN:
            raise RuntimeError("The head of this response has been sent; write_headers() was called too late.")
        self._is_head_missing = True  # until it is sent
        text = status_line(status, start_line.reason)
        check_head(headers.get_all())
        if self._protocol.is_gone:
            return self._protocol.failed()
        if status < 200 and status != _SWITCHING:
            if self._is_http11:
                self._protocol.send(f"{text}{_lines(headers)}\r\n".encode("latin-1"))
            self._is_head_missing = False
            return self._protocol.drain()
        self._choose_framing(status, headers)
        data = f"{text}{_lines(headers)}\r\n".encode("latin-1")
        if chunk:
            data += self._frame_chunk(chunk)
        self.status = status
        self._stage = _HEADED
        self._protocol.send(data)
        return self._protocol.drain()

    def _choose_framing(self, status: int, headers: HTTPHeaders) -> None:
        """Decide how the end of the body is marked, and set *headers* accordingly."""
        is_head = self._head.method == "HEAD"
        length = headers.get("Content-Length")
        self._body_bytes_left = None
        if "close" in headers.get("Connection", "").lower():
            self.keeps_alive = False
        self._is_chunking = self._is_http11 and allows_body(status) and not is_head and length is None
        if self._is_chunking:
            headers["Transfer-Encoding"] = "chunked"
        elif "Transfer-Encoding" in headers:
            del headers["Transfer-Encoding"]
        if is_head or not allows_body(status):
            self._body_bytes_left = 0
        elif length is not None:
            self._body_bytes_left = self._number_of(length)
        elif not self._is_chunking:
            self.keeps_alive = False
        if self._connection_line(status):
            headers["Connection"] = "keep-alive" if self.keeps_alive else "close"

    def write(self, chunk: bytes) -> "asyncio.Future[None]":
        """Send the next part of the body.

        The first part in each turn of the loop is sent at once; later small ones are sent together at its end.

        Called before `write_headers`, it sends *chunk* as a head written by the caller, as Tornado does.

        Raises:
            HTTPOutputError: More than Content-Length allows, or a body where none is allowed; the connection is
                closed.
        """
        if self._stage == _FINISHED:
            raise RuntimeError("The response to this request is finished; write() was called too late.")
        if self._stage == _OPEN:
            self._refuse_headless()
            self._stage = _HEADED
        protocol = self._protocol
        if chunk and not protocol.is_gone:
            self._send_part(self._frame_chunk(chunk))
        if protocol.is_gone or protocol.is_writing_paused:
            return protocol.drain()
        return protocol.server_state.done  # PERF: same as `drain`, without the call (benchmarks, events)

    def _send_part(self, data: bytes) -> None:
        """Send *data*, or buffer it with other parts of this turn of the loop.

        PERF: each write is a system call: 58 % of a stream of 100 events (benchmarks, events).
        """
        gathered = self._gathered
        if gathered is None:
            self._gathered = bytearray()
            self.loop.call_soon(self._end_turn)
            self._protocol.send(data)
        elif len(gathered) + len(data) <= _MAX_GATHERED:
            gathered += data
        else:
            self._send_gathered()
            self._protocol.send(data)
            self._protocol.yield_turn()

    def _end_turn(self) -> None:
        self._send_gathered()
        self._gathered = None

    def _send_gathered(self, last: bytes = b"") -> None:
        """Send the buffered parts followed by *last*."""
        if self._gathered:
            last = bytes(self._gathered) + last
            self._gathered.clear()
        if last:
            self._protocol.send(last)

    @property
    def can_send_files(self) -> bool:
        """Whether `send_file` may follow; otherwise read the file and `write` it."""
        return not self._is_chunking and self._protocol.can_send_files

    async def send_file(self, descriptor: int, start: int, count: int) -> None:
        """Send *count* bytes of an open file, from *start* on, as the next part of the body.

        An error or cancellation closes the connection.

        Raises:
            HTTPOutputError: More than Content-Length allows, or more than the file holds.
            OSError: The file cannot be read.
            StreamClosedError: The client has gone.
        """
        if self._stage != _HEADED:
            raise RuntimeError("send_file() may only follow the head of a response that is not finished.")
        if self._body_bytes_left is not None and count > self._body_bytes_left:
            self._fail(f"The body is {count - self._body_bytes_left} bytes longer than its Content-Length allows.")
        self._send_gathered()
        try:
            missing = await self._protocol.send_file(descriptor, start, count)
        except StreamClosedError:
            raise  # `finish` ends the exchange, as after a late `write`
        except BaseException:
            self.abort()
            raise
        if missing:
            self._fail(f"The file is {missing} bytes shorter than it was when its Content-Length was sent.")
        if self._body_bytes_left is not None:
            self._body_bytes_left -= count

    def _frame_chunk(self, chunk: bytes) -> bytes:
        if self._is_chunking:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        if self._body_bytes_left is not None:
            self._body_bytes_left -= len(chunk)
            if self._body_bytes_left < 0:
                self._fail(f"The body is {-self._body_bytes_left} bytes longer than its Content-Length allows.")
        return chunk

    def finish(self) -> None:
        """End the response.

        Raises:
            HTTPOutputError: Less was sent than Content-Length says, or nothing at all; the connection is closed.
        """
        if self._stage == _FINISHED:
            raise RuntimeError("The response to this request is finished; finish() was called again.")
        protocol = self._protocol
        if not protocol.is_gone:
            self._refuse_headless()
            if self._stage == _OPEN:
                self._fail("finish() was called before anything was sent.")
            if self._body_bytes_left:
                self._fail(f"The body is {self._body_bytes_left} bytes shorter than its Content-Length says.")
            self._send_gathered(b"0\r\n\r\n" if self._is_chunking else b"")
        self._finish()

    def refuse(self, status: int, reason: str) -> None:
        """Send the server's own response, because the application could not read the request; close the connection."""
        if self._stage == _OPEN and not self._protocol.is_gone:
            self.status = status
            self._protocol.send_refusal(status, reason, is_head=self._head.method == "HEAD")
            self.keeps_alive = False
            self._finish()
        else:
            self.abort()

    def abort(self) -> None:
        """Abort the response and close the connection at once, so that the client sees it as truncated."""
        self.keeps_alive = False
        if self._stage != _FINISHED:
            self._send_gathered()
            self._stage = _FINISHED
            self._callback = None
            self._protocol.abandon(self)

    def _refuse_headless(self) -> None:
        """Abort a response that is continued although its head could not be sent."""
        if self._is_head_missing and self._stage == _OPEN:
            self.abort()
            raise HTTPOutputError("The head of this response could not be sent: nothing may follow it.")

    def _fail(self, message: str) -> NoReturn:
        if self._stage != _OPEN:  # while it is open, another response may still be sent
            self.abort()
        raise HTTPOutputError(message)

    def _finish(self) -> None:
        self._stage = _FINISHED
        self._callback = None
        self._protocol.end_exchange(self)

    # State

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the connection is on."""
        return self._protocol.server_state.loop

    @property
    def is_finished(self) -> bool:
        """Whether the response is complete, aborted, or not needed any more."""
        return self._stage == _FINISHED

    @property
    def has_begun(self) -> bool:
        """Whether bytes of the response have been sent."""
        return self._stage != _OPEN

    @property
    def stream(self) -> Any:
        """The connection as a Tornado stream: `socket`, `closed()`, `close()`, `set_nodelay()`."""
        return self._protocol.stream

    async def drained(self) -> None:
        """Return when the transport's buffer is below its high-water mark.

        Raises:
            StreamClosedError: The client has gone.
        """
        protocol = self._protocol
        is_given = self._stage == _FINISHED and self.status > 0  # the connection may be closing after this response
        await (protocol.drained() if is_given else protocol.drain())

    def set_close_callback(self, callback: Callable[[], Any] | None) -> None:
        """Set the *callback* for a client that leaves before the exchange is finished; called once."""
        if self._stage == _FINISHED:
            return
        if callback is not None and self._protocol.is_gone:
            self._protocol.server_state.loop.call_soon(callback)
        else:
            self._callback = callback

    def client_left(self) -> None:
        """Call the close callback: the client has gone. Called once, by the connection."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def set_max_body_size(self, max_body_size: int) -> None:
        """Set the limit of this request's body to *max_body_size* bytes."""
        if isinstance(self.body, IncomingBody):
            self.body.limit = max_body_size

    def set_body_timeout(self, timeout: float) -> None:
        """Set the deadline of this request's body to *timeout* seconds from now."""
        if isinstance(self.body, IncomingBody):
            self._protocol.limit_body_time(self.body, timeout)

    def detach(self) -> Any:
        """Leave HTTP: return an IOStream over the same transport, unread bytes included.

        Raises:
            RuntimeError: The exchange is finished, and not with 101.
            StreamClosedError: The client has gone.
        """
        stream = self.stream
        self.detach_to(StreamProtocol(stream))
        return stream

    def detach_to(self, successor: Successor) -> None:
        """Leave HTTP: hand the transport and unread bytes to *successor*; raises as `detach`."""
        if self._stage == _FINISHED and self.status != _SWITCHING:
            if not self.status:  # nothing could be sent
                raise StreamClosedError
            raise RuntimeError("The exchange is finished; its connection serves another request.")
        self._send_gathered()
        self._protocol.hand_over(self, successor)
        self._stage = _FINISHED
        self._callback = None
        self.body = NO_BODY
        self.is_detached = True


def _lines(headers: HTTPHeaders) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.get_all()])
