"""One connection to one Redis, shared by many callers: commands are pipelined, replies are matched by order.

    send(commands)  ──►  transport.write, once       in flight: future future future ...
    data_received   ──►  hiredis  ──►  reply         ▲ resolved from the left, in the order sent

Cancelling a caller cancels only its own future; the reply is still read and discarded, so the replies of other callers
stay aligned. Only a deadline, a protocol error or the server closes the connection.

redis-py opens the connection (addresses, TLS, authentication, sentinels); `RedisWire.adopt` then takes its transport
over.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, Protocol, Self, cast

import hiredis
from redis.asyncio.connection import AbstractConnection

from torngas_aio._compat.redis import take_streams
from torngas_aio._compat.stdlib import write_parts

__all__ = ["RedisWire", "Replies", "ReplyError", "Slot", "WireLost", "pack"]

NOTHING = object()

GRACE_SECONDS = 0.01
"""Grace period for a late connection, in seconds: time to read replies that arrived while the loop was blocked."""

pack: Callable[[tuple[str | bytes | int | float, ...]], bytes] = cast(Any, hiredis).pack_command
"""Encodes the words of one command as RESP bytes."""


class ReplyError(Exception):
    """An error reply of Redis, returned as a value; the first word of the message is the error code."""

    @property
    def code(self) -> str:
        """The error code, such as "WRONGTYPE", "OOM" or "MOVED"; "ERR" for most errors."""
        return str(self).partition(" ")[0]


class WireLost(Exception):
    """The connection ended before the reply arrived; returned as a value to every command in flight.

    Attributes:
        was_late: Whether the deadline had passed; False if the server closed the connection.
    """

    def __init__(self, reason: str, *, was_late: bool = False) -> None:
        super().__init__(reason)
        self.was_late = was_late


class Slot(Protocol):
    """The receiver of a reply: an `asyncio.Future`, or `Replies` for several commands."""

    def done(self) -> bool:
        """Return True if no caller waits for the reply any more."""
        ...

    def set_result(self, reply: object, /) -> None:
        """Accept the reply, which may be a `ReplyError` or `WireLost`."""


class Replies:
    """A collector of the replies to *count* commands, in order, into one future."""

    __slots__ = ("_missing", "_replies", "future")

    def __init__(self, future: "asyncio.Future[list[Any]]", count: int) -> None:
        self.future = future
        self._missing = count
        self._replies: list[object] = []

    def done(self) -> bool:
        """Return True once the caller was cancelled or all replies have arrived."""
        return self.future.done()

    def set_result(self, reply: object, /) -> None:
        """Accept the next reply."""
        self._replies.append(reply)
        self._missing -= 1
        if not self._missing and not self.future.done():
            self.future.set_result(self._replies)


class RedisWire(asyncio.Protocol):
    """The protocol of an open connection.

    Args:
        seconds: Deadline for the replies to one `send`, in seconds; after it the connection is closed.
        on_lost: Called once when the connection has ended, with the wire and the reason, after all slots got it.
        on_writable: Called when the transport accepts bytes again, after `is_congested` was true.
        on_silence: Called every *suspect_timeout* seconds while the oldest command has waited longer than that.
        suspect_timeout: Seconds that a command may wait before the server is suspected.

    Attributes:
        is_congested: The transport's buffer is above its high-water mark; hold back further commands.
    """

    def __init__(
        self,
        seconds: float,
        on_lost: Callable[["RedisWire", WireLost], None],
        on_writable: Callable[[], None],
        *,
        on_silence: Callable[[], None],
        suspect_timeout: float,
    ) -> None:
        self.is_congested = False
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._on_lost = on_lost
        self._on_writable = on_writable
        self._on_silence = on_silence
        self._suspect_timeout = min(suspect_timeout, seconds)
        self._in_flight: deque[tuple[Slot, float]] = deque()
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=NOTHING)
        self._overdue: tuple[Slot, float] | None = None
        self._sent_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._keep: object = None
        self._context = Context()  # the timer outlives the request that starts it

    @classmethod
    def adopt(
        cls,
        connection: AbstractConnection,
        seconds: float,
        on_lost: Callable[["RedisWire", WireLost], None],
        on_writable: Callable[[], None],
        *,
        on_silence: Callable[[], None],
        suspect_timeout: float,
    ) -> Self:
        """Take over the transport of a connection that redis-py has opened and authenticated.

        Raises:
            ConnectionError: It is already closed, or holds unsolicited bytes.
        """
        reader, writer = take_streams(connection)
        wire = cls(seconds, on_lost, on_writable, on_silence=on_silence, suspect_timeout=suspect_timeout)
        transport = cast(asyncio.Transport, writer.transport)
        transport.set_protocol(wire)
        wire._transport = transport
        # The stream objects close the transport when garbage-collected, so the wire keeps references to them.
        wire._keep = (writer, reader)
        transport.resume_reading()
        return wire

    @property
    def is_idle(self) -> bool:
        """True if no command is in flight."""
        return not self._in_flight

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last send, 0 while a command is in flight."""
        return 0.0 if self._in_flight else self._loop.time() - self._sent_at

    @property
    def waited(self) -> float:
        """Seconds for which the oldest command in flight has waited, 0 without one."""
        return self._loop.time() - self._in_flight[0][1] + self._seconds if self._in_flight else 0.0

    def send(self, commands: Sequence[tuple[bytes, Slot]]) -> None:
        """Write *commands* in one write; their slots receive the replies in order, within the wire's deadline."""
        transport = self._transport
        if transport is None:
            lost = WireLost("the connection is closed")
            for _, slot in commands:
                _fill(slot, lost)
            return
        now = self._loop.time()
        deadline = now + self._seconds
        self._sent_at = now
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._suspect_timeout, self._check, context=self._context)
        self._in_flight.extend([(slot, deadline) for _, slot in commands])
        write_parts(transport, [packed for packed, _ in commands])

    def close(self, reason: WireLost) -> None:
        """Close the connection now; commands in flight receive *reason*. Calling it twice is harmless."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        in_flight, self._in_flight = self._in_flight, deque()
        for slot, _ in in_flight:
            _fill(slot, reason)
        self._on_lost(self, reason)

    # Callbacks of the transport

    def data_received(self, data: bytes) -> None:
        """Pass each complete reply to the next slot."""
        reader, in_flight = self._reader, self._in_flight
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not NOTHING:
                slot = in_flight.popleft()[0]
                if not slot.done():
                    slot.set_result(reply)
        except hiredis.ProtocolError as exc:
            self.close(WireLost(f"the answer is not Redis protocol ({exc})"))
        except IndexError:
            self.close(WireLost("an unsolicited reply arrived"))

    def eof_received(self) -> None:
        """Close the connection, because the server closed its side."""
        self.close(WireLost("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss of the connection to all commands in flight."""
        self.close(WireLost(f"the connection broke ({exc})" if exc else "the connection was closed"))

    def pause_writing(self) -> None:
        """Hold back further commands: the transport's buffer is above its high-water mark."""
        self.is_congested = True

    def resume_writing(self) -> None:
        """Allow further commands: the transport's buffer has drained."""
        self.is_congested = False
        self._on_writable()

    def _check(self) -> None:
        """Check the oldest command in flight: one timer per connection, not one per command.

        If the loop was blocked, replies may be waiting unread, and uvloop runs timers before it reads. So a late
        connection is checked again, repeatedly while replies arrive, for at most another *seconds*.
        """
        self._timer = None
        if not self._in_flight:
            return
        oldest = self._in_flight[0]
        late = self._loop.time() - oldest[1]
        if late < 0:
            self._overdue = None
            rest = self._suspect_timeout - self.waited
            if rest <= 0:
                self._on_silence()
                rest = self._suspect_timeout
            self._timer = self._loop.call_later(min(rest, -late), self._check, context=self._context)
        elif oldest is self._overdue or (self._overdue is not None and late > self._seconds):
            self.close(WireLost(f"no answer within {self._seconds:g} s", was_late=True))
        else:
            self._overdue = oldest
            self._timer = self._loop.call_later(GRACE_SECONDS, self._check, context=self._context)


def _fill(slot: Slot, reply: object) -> None:
    if not slot.done():
        slot.set_result(reply)
