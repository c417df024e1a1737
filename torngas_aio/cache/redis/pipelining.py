"""The link to one Redis: connects on demand, sends the commands of one loop turn in one write, keeps the deadline.

    execute ──► queue ──(end of this loop turn)──► one RedisWire, one write
                  │ no connection?   connect; if that fails, the queued commands fail
                  │ idle for long?   PING first; without a reply, connect again
                  │ known to be down?   fail at once, until a background probe has connected

Commands that were sent are not retried: if the connection ends, the server may have executed them, and only the caller
knows whether repeating is safe. Commands still queued are sent on the next connection.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, RedisError

from torngas_aio._concurrency import BackgroundTask
from torngas_aio.cache.circuit_breaker import DOUBTFUL_SECONDS, CircuitBreaker, suspect_timeout_of
from torngas_aio.cache.redis.connection import RedisWire, Replies, Slot, WireLost, pack

__all__ = ["RedisLink"]

logger = logging.getLogger("torngas_aio.cache")

PING = pack(("PING",))


class RedisLink:
    """The link to one address: at most one open connection, shared by all callers in one event loop.

    Args:
        make: Returns a new, unopened connection of redis-py.
        seconds: Timeout of connecting, and of the reply to a command.
        longest_pause: The maximum pause between two connection attempts while the address is down, in seconds.
        name: The address in the log.
        ping_interval: Idle seconds after which a PING keeps the connection alive; 0 for never.
        connect_seconds: Timeout of connecting; default, *seconds*.
    """

    peer: tuple[str, int] | None = None
    """Host and port of the open connection, as configured; None for a unix socket."""

    def __init__(
        self,
        make: Callable[[], AbstractConnection],
        seconds: float,
        longest_pause: float,
        name: str,
        *,
        ping_interval: float = 0.0,
        connect_seconds: float | None = None,
    ) -> None:
        self._make = make
        self._seconds = seconds
        self._connect_seconds = seconds if connect_seconds is None else connect_seconds
        self._suspect_timeout = suspect_timeout_of(seconds)
        self._breaker = CircuitBreaker(f"Redis at {name}", self._reopen, longest_pause)
        self._loop = asyncio.get_running_loop()
        self._wire: RedisWire | None = None
        self._connecting = BackgroundTask(f"connecting to {name}")
        self._doubting: asyncio.Task[None] | None = None
        self._queue: list[tuple[bytes, Slot]] = []
        self._is_scheduled = False
        self._ping_interval = ping_interval
        self._ping_timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """True if a connection is open."""
        return self._wire is not None

    @property
    def is_down(self) -> bool:
        """True while commands fail at once because the server did not answer."""
        return self._breaker.is_open

    def execute(self, packed: bytes) -> "asyncio.Future[Any]":
        """Send one command; the future's result is the reply, or a `ReplyError` or `WireLost` as a value.

        Cancelling the future, or the task that awaits it, discards the reply and affects no other caller.
        """
        future = self._loop.create_future()
        self._queue.append((packed, future))
        if not self._is_scheduled:
            self._schedule()
        return future

    def execute_all(self, commands: Iterable[bytes]) -> "asyncio.Future[list[Any]]":
        """Send several commands, adjacent and in order; the future's result is the list of their replies."""
        future = self._loop.create_future()
        listed = list(commands)
        if not listed:
            future.set_result([])
            return future
        replies = Replies(future, len(listed))
        self._queue.extend([(packed, replies) for packed in listed])
        if not self._is_scheduled:
            self._schedule()
        return future

    def drop(self, reason: str) -> None:
        """Close the connection because it leads to the wrong server; the next command opens another."""
        if self._wire is not None:
            self._wire.close(WireLost(reason))

    async def aclose(self) -> None:
        """Close the connection or stop connecting; commands in flight fail. Calling it twice is harmless."""
        if self._ping_timer is not None:
            self._ping_timer.cancel()
            self._ping_timer = None
        await self._breaker.aclose()
        if self._doubting is not None:
            self._doubting.cancel()
            await asyncio.wait([self._doubting])
        await self._connecting.aclose()  # may have been started by the check (`_doubt`) that just ended
        closed = WireLost("the cache was closed")
        if self._wire is not None:
            self._wire.close(closed)
        self._fail(closed)

    def _schedule(self) -> None:
        if self._wire is not None:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)
        elif self._breaker.is_open:
            self._fail(WireLost(self._breaker.reason))
        else:
            self._connecting.start(self._connect)

    def _flush(self) -> None:
        self._is_scheduled = False
        wire = self._wire
        if wire is None:
            if self._queue:
                self._schedule()
            return
        if self._doubting is not None:
            return  # which calls `_flush`
        if wire.idle_seconds > DOUBTFUL_SECONDS and self._queue:
            self._doubting = self._loop.create_task(self._doubt(wire), context=Context())
            return
        if wire.is_congested:
            return  # `_flush` runs again when the write buffer has drained, unless the deadline closes the wire first
        queue, self._queue = self._queue, []
        wire.send([entry for entry in queue if not entry[1].done()])

    def _fail(self, lost: WireLost) -> None:
        queue, self._queue = self._queue, []
        for _, slot in queue:
            if not slot.done():
                slot.set_result(lost)

    async def _doubt(self, wire: RedisWire) -> None:
        """Check a connection that was idle for long with a PING; close it if there is no reply."""
        try:
            async with asyncio.timeout(self._suspect_timeout):
                await self._try(wire)
        except (OSError, TimeoutError):
            pass  # `_try` has closed it; the queue is sent on another connection
        finally:
            self._doubting = None
            if self._wire is wire:
                self._flush()

    # Connecting

    async def _connect(self) -> None:
        lost = WireLost("connecting was given up")
        try:
            self._adopt(*await self._open())
        except AuthenticationError as exc:
            lost = WireLost(f"WRONGPASS {exc}")
            self._breaker.failed(str(lost))
        except (RedisError, OSError, TimeoutError) as exc:
            lost = WireLost(str(exc) or f"no connection within {self._connect_seconds:g} s")
            self._breaker.failed(str(lost))
        except Exception as exc:  # a boundary: waiting callers must get every error
            logger.exception("Connecting to Redis failed.")
            lost = WireLost(repr(exc))
            self._breaker.failed(str(lost))
        finally:
            if self._wire is None:
                self._fail(lost)
            else:
                self._flush()

    async def _reopen(self) -> None:
        """Probe a server that was down by connecting to it."""
        self._adopt(*await self._open())
        self._flush()

    def _adopt(self, wire: RedisWire, peer: tuple[str, int]) -> None:
        self._wire, self.peer = wire, peer
        self._breaker.succeeded()
        if self._ping_interval:
            self._ping_timer = self._loop.call_later(self._ping_interval, self._ping)

    async def _open(self) -> tuple[RedisWire, tuple[str, int]]:
        """Return an open connection and its peer."""
        async with asyncio.timeout(self._connect_seconds):
            connection = self._make()
            try:
                await cast(Any, connection).connect()
                peer = (getattr(connection, "host", ""), getattr(connection, "port", 0))
                wire = RedisWire.adopt(
                    connection,
                    self._seconds,
                    self._lost,
                    self._flush,
                    on_silence=self._suspect,
                    suspect_timeout=self._suspect_timeout,
                )
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            await self._try(wire)
        return wire, peer

    async def _try(self, wire: RedisWire) -> None:
        """Require a reply to a PING, because a frozen server still accepts connections."""
        future = self._loop.create_future()
        wire.send([(PING, future)])
        try:
            reply = await future
        except BaseException:
            wire.close(WireLost("connecting was given up"))
            raise
        if isinstance(reply, Exception):
            wire.close(WireLost(str(reply)))
            raise ConnectionError(str(reply))

    def _suspect(self) -> None:
        self._breaker.suspect(self._examine, self._on_silence, self._suspect_timeout)

    async def _examine(self) -> None:
        """Open a second connection to check whether the server answers at all."""
        wire, _ = await self._open()
        wire.close(WireLost("the test connection is no longer needed"))

    def _on_silence(self, reason: str) -> None:
        if self._wire is not None and self._wire.waited > self._suspect_timeout:
            self._wire.close(WireLost(reason, was_late=True))

    def _lost(self, wire: RedisWire, lost: WireLost) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        if self._ping_timer is not None:
            self._ping_timer.cancel()
            self._ping_timer = None
        if lost.was_late:
            self._breaker.failed(str(lost))
            self._fail(lost)
        elif self._queue and not self._is_scheduled:
            self._schedule()

    def _ping(self) -> None:
        wire = self._wire
        if wire is None:
            return
        if wire.is_idle:
            wire.send([(PING, self._loop.create_future())])
        self._ping_timer = self._loop.call_later(self._ping_interval, self._ping)
