"""A WebSocket on an asyncio transport, with the interface that Tornado's `WebSocketHandler` expects of its connection.

transport ──data_received──► MessageReader ──► `run`, as the request's task ──► on_message, one at a time
write_message ──► frame ──► transport.write          full: `pause_writing`, the returned future waits

either side closes: close frame out, close frame in (5 s at most), transport closed
the client violates the protocol: close frame with the code, further input is read and dropped (5 s at most)
"""

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any, Protocol

from tornado.escape import json_encode
from tornado.websocket import WebSocketClosedError

from torngas_aio._cleanup import is_imposed
from torngas_aio._compat.tornado import convert_yielded
from torngas_aio.http.base import Successor
from torngas_aio.http.deflate import Deflate, ProtocolError
from torngas_aio.http.flow_control import queued_bytes
from torngas_aio.http.frames import BINARY, CLOSE, PING, PONG, TEXT, MessageReader, close_frame, frame_of
from torngas_aio.http.task_body import TaskBody, until_resumed

__all__ = ["WebSocketConnection", "WebSocketEvents", "accept_value", "payload_of"]

HIGH_WATER = 64 * 1024
"""Unread bytes from the client above which reading from the socket pauses."""

MAX_BACKLOG = 16 * 1024 * 1024
"""Buffered bytes for a client that does not read, above which the connection is aborted."""

CLOSE_SECONDS = 5.0
WRITE_SECONDS = 15.0
_FRAMES_PER_TURN = 64
_TURN_BYTES = 256 * 1024
_DATA = frozenset({TEXT, BINARY})
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # SPEC: RFC 6455 1.3

logger = logging.getLogger("torngas_aio.http")


class WebSocketEvents(Protocol):
    """Methods of Tornado's `WebSocketHandler` called by a connection; each result is awaited before the next call."""

    def on_message(self, message: Any) -> Any:
        """Handle a message."""

    def on_ping(self, data: bytes) -> Any:
        """Handle a ping, after its pong was sent."""

    def on_pong(self, data: bytes) -> Any:
        """Handle a pong."""

    def end_call(self, error: BaseException | None = None) -> Awaitable[None] | None:
        """Finish a call of one of these, which returned or raised *error*; return an awaitable for the rest, if any."""

    def on_lost(self, *, is_calling: bool) -> None:
        """Handle the loss of the connection; *is_calling*: one of these, or the opening or closing code, is running."""


def accept_value(key: str) -> str | None:
    """Return the `Sec-WebSocket-Accept` for a client's key; None if the key is not 16 bytes in base64."""
    try:
        is_valid = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        is_valid = False
    if not is_valid:
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def payload_of(message: str | bytes | dict[str, object]) -> bytes:
    """Return the bytes to send for *message*; a dict is sent as JSON.

    Raises:
        TypeError: It is of another type.
    """
    if isinstance(message, str):
        return message.encode()
    if isinstance(message, dict):
        return json_encode(message).encode()
    if not isinstance(message, _BYTES):
        raise TypeError(f"A WebSocket message is str, bytes or dict, not {type(message).__name__}.")
    return message


_BYTES: type[object] = bytes  # checked at run time, for callers without type checks


class WebSocketConnection(Successor):
    """One open WebSocket.

    Args:
        events: Receives messages and pings.
        report: Awaited with an exception of `events`, after which the connection closes with 1011.
        max_message_bytes: A larger message closes the connection with 1009.
        deflate: The negotiated compression.
        ping_interval: Seconds between two pings; 0 for none.
        ping_timeout: Seconds within which data must arrive after a ping; at most the interval, 0 for no limit.

    Attributes:
        close_code: The code of the client's close frame, None without one.
        close_reason: Its reason, None without one.
        deflate: The negotiated compression.
    """

    __slots__ = (
        "_body", "_close_timer", "_done", "_events", "_has_received", "_is_cut", "_is_lost", "_is_reading_paused",
        "_is_writing_paused", "_is_yielding", "_loop", "_ping_timer", "_pong", "_reader", "_received_close", "_report",
        "_sent", "_sent_close", "_transport", "_write_mark", "_write_time", "_write_timer", "_writers", "_yields_at",
        "close_code", "close_reason", "deflate", "ping_interval", "ping_timeout", "selected_subprotocol",
    )  # fmt: skip

    def __init__(
        self,
        events: WebSocketEvents,
        report: Callable[[BaseException], Awaitable[None]],
        *,
        max_message_bytes: int,
        deflate: Deflate | None = None,
        ping_interval: float = 0,
        ping_timeout: float | None = None,
    ) -> None:
        self._events = events
        self._report = report
        self._reader = MessageReader(max_message_bytes, deflate)
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._body: TaskBody | None = None
        self._writers: list[asyncio.Future[None]] | None = None
        self._done: asyncio.Future[None] | None = None
        self._is_lost = False  # the transport has gone
        self._is_cut = False  # further input is dropped: after a protocol error, or `abort`
        self._is_reading_paused = self._is_writing_paused = self._is_yielding = False
        self._sent_close = self._received_close = False  # close frames: the first begins the closing, both end it
        self._has_received = False  # data arrived since the last ping
        self._pong: bytes | None = None
        self._sent = self._write_mark = 0
        self._yields_at = _TURN_BYTES
        self._write_time = 0.0
        self._close_timer: asyncio.TimerHandle | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self.deflate = deflate
        self.ping_interval = ping_interval
        self.ping_timeout = ping_interval if ping_timeout is None else min(ping_timeout, ping_interval)
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.selected_subprotocol: str | None = None

    # Callbacks of the transport

    def connection_made(self, transport: Any) -> None:
        """Take over *transport*."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Buffer *data* and continue `run`, within this callback if possible."""
        self._has_received = True
        if self._is_cut:
            return
        if self._reader.feed(data) > HIGH_WATER and not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = True
            self._transport.pause_reading()
        if self._body is not None:
            self._body.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the handler, stop the timers and release everything that waits."""
        self._is_lost = True
        self._events.on_lost(is_calling=self._body is None or not self._body.is_waiting)
        for timer in (self._close_timer, self._ping_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._wake()
        self._release_writers()

    def pause_writing(self) -> None:
        """Make writers wait, and start to check whether the client reads."""
        if not self._is_writing_paused or self._is_yielding:
            self._is_writing_paused, self._is_yielding = True, False
            self._watch_writing()

    def resume_writing(self) -> None:
        """Let waiting writers continue."""
        self._is_writing_paused = False
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._release_writers()
        pong, self._pong = self._pong, None
        if pong is not None and not self.is_closing():
            self._write(frame_of(PONG, pong))

    # Input

    async def run(self) -> None:
        """Pass the client's messages to the handler until the connection ends; the transport is then closed.

        Raises:
            asyncio.CancelledError: The caller's task was cancelled; the connection is aborted.
        """
        try:
            self._body = TaskBody(self._read_messages())
            await self._body
        except ProtocolError as exc:
            logger.info("A WebSocket was closed with %d: %s", exc.code, exc)
            self.fail(exc.code, str(exc))
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._body = None
            self._stop_pinging()

    async def _read_messages(self) -> None:
        frames = 0
        reader, events = self._reader, self._events
        while not (self._received_close or self._is_cut):
            message = reader.next()
            if message is None:
                if self._is_lost:
                    return
                self._resume_reading()
                await until_resumed()
                frames = 0
                continue
            opcode, content = message
            try:
                waits_for = events.on_message(content) if opcode in _DATA else self._dispatch(opcode, content)
                if waits_for is not None:
                    is_awaitable = type(waits_for) is CoroutineType or hasattr(waits_for, "__await__")
                    await (waits_for if is_awaitable else convert_yielded(waits_for))
                ending = events.end_call()
                if ending is not None:
                    await ending
            except BaseException as exc:
                ending = events.end_call(exc)
                if ending is not None:
                    await ending
                if is_imposed(exc):
                    raise
                await self.fail_with(exc)
            frames += 1
            if frames >= _FRAMES_PER_TURN:
                frames = 0
                await asyncio.sleep(0)

    def _resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _wake(self) -> None:
        if self._body is not None:
            self._body.wake()

    def _dispatch(self, opcode: int, content: Any) -> Any:
        """Process a control frame, ignore `UNFINISHED`; return an awaitable for the next frame to wait for, or None."""
        if opcode == PING:
            self._answer_ping(content)
            return self._events.on_ping(content)
        if opcode == PONG:
            return self._events.on_pong(content)
        if opcode == CLOSE:
            self._received_close = True
            self.close_code, self.close_reason = content
            self.close(self.close_code)
        return None

    async def fail_with(self, error: BaseException) -> None:
        """Report an exception of the handler, and close the connection.

        Raises:
            KeyboardInterrupt: *error* is one.
        """
        try:
            await self._report(error)
        finally:
            self.fail(1011, "The server failed.")
        if isinstance(error, KeyboardInterrupt):
            raise error

    def _answer_ping(self, data: bytes) -> None:
        """Send a pong; while the client does not read, keep only the last ping's. SPEC: RFC 6455 5.5.3"""
        if self.is_closing():
            return
        if self._is_writing_paused:
            self._pong = data
        else:
            self._write(frame_of(PONG, data))

    # Output

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> "asyncio.Future[None]":
        """Send *message*.

        Returns:
            A future that is done when the transport holds less than its high-water mark. It need not be awaited.

        Raises:
            WebSocketClosedError: The connection is closing, or was aborted because its client does not read.
            TypeError: The type of the message cannot be sent.
        """
        payload = message.encode() if isinstance(message, str) else payload_of(message)
        opcode = BINARY if binary else TEXT
        if self.deflate is None:
            return self.send_frame(frame_of(opcode, payload))
        return self.send_frame(frame_of(opcode, self.deflate.compress(payload), is_compressed=True))

    def send_frame(self, frame: bytes) -> "asyncio.Future[None]":
        """Send a complete frame, as `write_message` does.

        Raises:
            WebSocketClosedError: The connection is closed.
        """
        transport = self._transport
        # PERF: `is_closing()`, without the calls: -0.1 us (benchmarks, websocket-echo)
        if self._sent_close or self._received_close or self._is_lost or transport is None or transport.is_closing():
            raise WebSocketClosedError
        self._sent = sent = self._sent + len(frame)
        transport.write(frame)
        if sent >= self._yields_at:
            self._yield_turn(sent)
        if not self._is_writing_paused:
            if self._done is None:
                self._done = self._loop.create_future()
                self._done.set_result(None)
            return self._done
        if self._transport.get_write_buffer_size() > MAX_BACKLOG:
            logger.info("A WebSocket was cut: its client left %d bytes unread.", MAX_BACKLOG)
            self.abort()
            raise WebSocketClosedError
        writer = self._loop.create_future()
        if self._writers is None:
            self._writers = []
        self._writers.append(writer)
        return writer

    def _yield_turn(self, sent: int) -> None:
        """Make writers wait for the loop's next turn; see `FlowControlledProtocol.yield_turn`."""
        self._yields_at = sent + _TURN_BYTES
        if not self._is_writing_paused:
            self._is_writing_paused = self._is_yielding = True
            self._loop.call_soon(self._end_yielding)

    def _end_yielding(self) -> None:
        if self._is_yielding:  # otherwise the transport has paused writing
            self._is_yielding = False
            self.resume_writing()

    def write_ping(self, data: bytes) -> None:
        """Send a ping.

        Raises:
            WebSocketClosedError: The connection is closing.
            ValueError: *data* is longer than 125 bytes.
        """
        if len(data) > 125:
            raise ValueError(f"A ping carries at most 125 bytes, not {len(data)}.")
        if self.is_closing():
            raise WebSocketClosedError
        self._write(frame_of(PING, data))

    def _write(self, frame: bytes) -> None:
        self._sent += len(frame)
        self._transport.write(frame)

    def _release_writers(self) -> None:
        writers, self._writers = self._writers, None
        for writer in writers or ():
            if writer.done():
                continue
            if self._is_lost:
                writer.set_exception(WebSocketClosedError())
                writer.exception()  # retrieved, so that asyncio does not warn if it is never awaited
            else:
                writer.set_result(None)

    def _watch_writing(self) -> None:
        self._write_mark = self._sent - self._unread()
        self._write_time = self._loop.time()
        self._write_timer = self._loop.call_later(WRITE_SECONDS / 3, self._check_writing)

    def _check_writing(self) -> None:
        """Abort the connection between two thirds and all of `WRITE_SECONDS` after the last acknowledged byte."""
        if self._sent - self._unread() > self._write_mark:
            self._watch_writing()
        elif self._loop.time() - self._write_time < WRITE_SECONDS / 2:
            self._write_timer = self._loop.call_later(WRITE_SECONDS / 3, self._check_writing)
        else:
            logger.info("A WebSocket was cut: its client did not read for %.0f s.", WRITE_SECONDS)
            self.abort()

    def _unread(self) -> int:
        """Return the number of bytes that the client has not acknowledged."""
        return int(self._transport.get_write_buffer_size()) + queued_bytes(self._transport.get_extra_info("socket"))

    def set_nodelay(self, value: bool) -> None:
        """Do nothing: asyncio's transports set TCP_NODELAY."""

    # Pings

    def start_pinging(self) -> None:
        """Send pings from now on, if an interval is set."""
        if self.ping_interval > 0 and self._ping_timer is None:
            self._ping_timer = self._loop.call_later(self.ping_interval, self._ping)

    def _ping(self) -> None:
        if self.is_closing():
            return
        self._has_received = False
        if not self._is_writing_paused:
            self._write(frame_of(PING, b""))
        self._ping_timer = self._loop.call_later(self.ping_timeout, self._check_pong)

    def _check_pong(self) -> None:
        if self.ping_timeout > 0 and not (self._has_received or self._is_reading_paused):
            self.close(reason="ping timed out")
        else:
            self._ping_timer = self._loop.call_later(max(self.ping_interval - self.ping_timeout, 0), self._ping)

    def _stop_pinging(self) -> None:
        if self._ping_timer is not None:
            self._ping_timer.cancel()

    # Closing

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Send a close frame; the connection ends when the client's close frame arrives, 5 s later at most.

        Raises:
            ValueError: *code* may not be sent, or *reason* is longer than 123 bytes.
        """
        if not self._sent_close:
            frame = close_frame(code, reason)
            self._sent_close = True
            self._stop_pinging()
            if not self._is_closed():
                self._write(frame)
        if self._is_closed():
            return
        if self._received_close:
            self._transport.close()
        if self._close_timer is None:
            self._close_timer = self._loop.call_later(CLOSE_SECONDS, self.abort)

    def fail(self, code: int, reason: str) -> None:
        """Close with *code* and drop further input: unread input would cause a reset that loses the close frame."""
        self._received_close = True
        self._is_cut = True
        if not self._sent_close and not self._is_closed():
            self._sent_close = True
            self._write(close_frame(code, reason))
        if self._is_closed():
            return
        self._resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._close_timer = self._close_timer or self._loop.call_later(CLOSE_SECONDS, self.abort)
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._received_close = self._sent_close = self._is_cut = True
        if self._transport is not None and not self._is_lost:
            self._transport.abort()
        self._wake()

    cut = on_connection_close = abort  # names used by the server and by Tornado's handler

    def is_closing(self) -> bool:
        """Return whether either side has begun to close, or the connection is lost."""
        return self._sent_close or self._received_close or self._is_closed()

    def _is_closed(self) -> bool:
        return self._is_lost or self._transport is None or self._transport.is_closing()
