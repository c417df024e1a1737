"""One connection to one Redis, shared by any number of callers: requests out in one write, replies in in order.

    send(commands)  ──►  transport.write, once       in flight: future future future ...
    data_received   ──►  hiredis  ──►  reply         ▲ resolved from the left, in order of issue

A caller that is cancelled only turns its own future; its reply is still read, here, and dropped, so the replies of
the others never shift. Only a deadline, an answer that is not the protocol's, or the server itself ends the connection.

redis-py makes the connection (addresses, TLS, authentication, sentinels); `RedisWire.adopt` then takes its transport
over. Begin there.
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
"""How long a late connection has, to read what may have come while the loop stood still."""

pack: Callable[[tuple[str | bytes | int | float, ...]], bytes] = cast(Any, hiredis).pack_command
"""The bytes of one command, from its words."""


class ReplyError(Exception):
    """Redis answered with an error; the first word of the message is its code. Handed back as a value."""

    @property
    def code(self) -> str:
        """Such as "WRONGTYPE", "OOM", "MOVED"; "ERR" for most."""
        return str(self).partition(" ")[0]


class WireLost(Exception):
    """The connection ended before the answer came. Handed back as a value: the answer of every command in flight.

    Attributes:
        was_late: The deadline had passed; False when the server closed.
    """

    def __init__(self, reason: str, *, was_late: bool = False) -> None:
        super().__init__(reason)
        self.was_late = was_late


class Slot(Protocol):
    """Where a reply goes: an `asyncio.Future`, or `Replies` for several."""

    def done(self) -> bool:
        """True if no caller waits for the reply any more."""
        ...

    def set_result(self, reply: object, /) -> None:
        """Take the reply, which may be a `ReplyError` or `WireLost`."""


class Replies:
    """Collects the replies to *count* commands into one future, in order."""

    __slots__ = ("_missing", "_replies", "future")

    def __init__(self, future: "asyncio.Future[list[Any]]", count: int) -> None:
        self.future = future
        self._missing = count
        self._replies: list[object] = []

    def done(self) -> bool:
        """True once the caller was cancelled or everything is there."""
        return self.future.done()

    def set_result(self, reply: object, /) -> None:
        """Take the next reply."""
        self._replies.append(reply)
        self._missing -= 1
        if not self._missing and not self.future.done():
            self.future.set_result(self._replies)


class RedisWire(asyncio.Protocol):
    """The protocol of an open connection.

    Args:
        seconds: How long the server may take to answer what one `send` sent; then the connection is given up.
        on_lost: Called once when the connection ended, with the wire and the reason, after every slot got it.
        on_writable: Called when the transport takes more bytes, after `is_congested` was true.
        on_silence: Called while the oldest command has waited for longer than *patience*, each so many seconds.
        patience: Seconds that a command may wait before the server is suspected.

    Attributes:
        is_congested: More bytes wait in the transport than it likes; hold further commands back.
    """

    def __init__(
        self,
        seconds: float,
        on_lost: Callable[["RedisWire", WireLost], None],
        on_writable: Callable[[], None],
        *,
        on_silence: Callable[[], None],
        patience: float,
    ) -> None:
        self.is_congested = False
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._on_lost = on_lost
        self._on_writable = on_writable
        self._on_silence = on_silence
        self._next_timeout = min(patience, seconds)
        self._in_flight: deque[tuple[Slot, float]] = deque()
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=NOTHING)
        self._overdue: tuple[Slot, float] | None = None
        self._sent_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._keep: object = None
        self._context = Context()  # the timer outlives the request that happened to start it

    @classmethod
    def adopt(
        cls,
        connection: AbstractConnection,
        seconds: float,
        on_lost: Callable[["RedisWire", WireLost], None],
        on_writable: Callable[[], None],
        *,
        on_silence: Callable[[], None],
        patience: float,
    ) -> Self:
        """Take over a connection that redis-py has opened and authenticated; redis-py forgets it.

        Raises:
            ConnectionError: It is closed already, or holds bytes that were not asked for.
        """
        reader, writer = take_streams(connection)
        wire = cls(seconds, on_lost, on_writable, on_silence=on_silence, patience=patience)
        transport = cast(asyncio.Transport, writer.transport)
        transport.set_protocol(wire)
        wire._transport = transport
        # The stream objects close the transport when they are collected, so they live as long as the wire.
        wire._keep = (writer, reader)
        transport.resume_reading()
        return wire

    @property
    def is_idle(self) -> bool:
        """True if no answer is awaited."""
        return not self._in_flight

    @property
    def idle_seconds(self) -> float:
        """For how many seconds nothing was sent, 0 while an answer is awaited."""
        return 0.0 if self._in_flight else self._loop.time() - self._sent_at

    @property
    def waited(self) -> float:
        """For how many seconds the oldest command has been waiting, 0 without one."""
        return self._loop.time() - self._in_flight[0][1] + self._seconds if self._in_flight else 0.0

    def send(self, commands: Sequence[tuple[bytes, Slot]]) -> None:
        """Write *commands* at once; their slots get the replies in order, within the wire's seconds."""
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
            self._timer = self._loop.call_at(now + self._next_timeout, self._check, context=self._context)
        self._in_flight.extend([(slot, deadline) for _, slot in commands])
        write_parts(transport, [packed for packed, _ in commands])

    def close(self, reason: WireLost) -> None:
        """End the connection now; what is in flight gets *reason*. Twice is harmless."""
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

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Hand each whole reply to the next slot."""
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
            self.close(WireLost("an answer came that was not asked for"))

    def eof_received(self) -> None:
        """The server closes: so do we."""
        self.close(WireLost("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection broke."""
        self.close(WireLost(f"the connection broke ({exc})" if exc else "the connection was closed"))

    def pause_writing(self) -> None:
        """The server takes bytes more slowly than they come."""
        self.is_congested = True

    def resume_writing(self) -> None:
        """The server has caught up."""
        self.is_congested = False
        self._on_writable()

    def _check(self) -> None:
        """One timer a connection, not one a command: it looks at the oldest command in flight.

        A loop that stood still is not the server's fault: answers may lie unread, and uvloop runs timers before it
        reads. So a late connection is looked at once more, and again while answers come, for as long again at most.
        """
        self._timer = None
        if not self._in_flight:
            return
        oldest = self._in_flight[0]
        late = self._loop.time() - oldest[1]
        if late < 0:
            self._overdue = None
            rest = self._next_timeout - self.waited
            if rest <= 0:
                self._on_silence()
                rest = self._next_timeout
            self._timer = self._loop.call_later(min(rest, -late), self._check, context=self._context)
        elif oldest is self._overdue or (self._overdue is not None and late > self._seconds):
            self.close(WireLost(f"no answer within {self._seconds:g} s", was_late=True))
        else:
            self._overdue = oldest
            self._timer = self._loop.call_later(GRACE_SECONDS, self._check, context=self._context)


def _fill(slot: Slot, reply: object) -> None:
    if not slot.done():
        slot.set_result(reply)
