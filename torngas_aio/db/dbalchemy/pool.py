"""The connection pool: FIFO waiting with a timeout; dead connections are replaced before use.

    checkout ── server down: DatabaseUnavailable at once
             ├─ idle connection? ── idle for long, or unread bytes: ping ── lost: replaced transparently
             └─ all in use: wait in the queue ── timeout ─► PoolExhausted (answered 503), and a log line

SQLAlchemy's asyncio pool lets a new caller take a connection ahead of waiting ones, and if opening a connection fails,
waiting callers still wait for their full timeout.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.pool import (
    AsyncAdaptedQueuePool,
    ConnectionPoolEntry,
    NullPool,
    Pool,
    PoolProxiedConnection,
    StaticPool,
)
from sqlalchemy.util.concurrency import await_
from sqlalchemy.util.queue import Empty, Full, QueueCommon

from torngas_aio._compat.sqlalchemy import max_overflow_of, unopened_record
from torngas_aio.db._connections import advice_on, has_unread, said_by
from torngas_aio.db._outage import Outage
from torngas_aio.db.dbalchemy.connection_guard import Guard
from torngas_aio.exception import DatabaseUnavailable, PoolExhausted

__all__ = ["POOL_CLASSES", "NamedPool", "WaitingPool", "watch_idle"]

T = TypeVar("T")

logger = logging.getLogger("torngas_aio.db")
# The level of SQLAlchemy's own pool loggers (`sqlalchemy.log`); lower it to log each connection.
logging.getLogger(__name__).setLevel(logging.WARNING)

IDLE_SECONDS = 5.0
"""Idle seconds after which a connection is pinged before it is used."""


class FairQueue(QueueCommon[T]):
    """The idle connections, and a FIFO queue of waiters.

    A returned connection goes to the first waiter. A cancelled waiter passes on the connection it received meanwhile.
    The interface is that of SQLAlchemy's queues; all calls are in one event loop.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        self.maxsize = maxsize
        self.use_lifo = use_lifo
        self._items: deque[T] = deque()
        self._line: deque[asyncio.Future[T]] = deque()

    @property
    def waiting(self) -> int:
        """The number of waiters."""
        return sum(not waiter.done() for waiter in self._line)

    def qsize(self) -> int:
        return len(self._items)

    def empty(self) -> bool:
        return not self._items

    def full(self) -> bool:
        return 0 < self.maxsize <= len(self._items)

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        self.put_nowait(item)

    def put_nowait(self, item: T) -> None:
        if self._give(item):
            return
        if self.full():
            raise Full
        self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        if self._items:
            return self._items.pop() if self.use_lifo else self._items.popleft()
        if not block:
            raise Empty
        return await_(self._wait(timeout))

    def get_nowait(self) -> T:
        return self.get(False)

    def take_all(self) -> list[T]:
        """Remove and return every idle connection."""
        items, self._items = list(self._items), deque()
        return items

    async def _wait(self, timeout: float | None) -> T:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._line.append(waiter)
        # PERF: a plain timer costs a tenth of `asyncio.timeout`
        timer = None if timeout is None else loop.call_later(timeout, self._give_up, waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                item = waiter.result()
                if not self._give(item):
                    self._items.append(item)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if waiter in self._line:
                self._line.remove(waiter)

    @staticmethod
    def _give_up(waiter: "asyncio.Future[T]") -> None:
        if not waiter.done():
            waiter.set_exception(Empty())

    def _give(self, item: T) -> bool:
        while self._line:
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return True
        return False


class NamedPool(Pool):
    """A pool that translates failures to connect into our exceptions.

    Attributes:
        label: The server's name in messages.
        account: User and database, for messages about connecting.
        outage: The server's availability, if it is watched.
    """

    label = "database"
    account = ""
    outage: Outage | None = None

    def recreate(self) -> Any:
        made: Any = super().recreate()
        made.label, made.account, made.outage = self.label, self.account, self.outage
        return made

    def connect(self) -> PoolProxiedConnection:
        if self.outage is not None:
            self.outage.check()
        try:
            return super().connect()
        except DatabaseUnavailable:
            raise
        except OSError as exc:  # raised by asyncpg; the other drivers raise their own errors
            raise DatabaseUnavailable(
                f"{self.label}: no connection{self.account} ({said_by(exc)}). {advice_on(exc)}"
            ) from exc


class WaitingPool(NamedPool, AsyncAdaptedQueuePool):
    """A pool of at most `pool_size` + `max_overflow` connections; callers queue for up to `pool_timeout` seconds."""

    _queue_class = FairQueue[ConnectionPoolEntry]
    _is_disposed = False

    def connect(self) -> PoolProxiedConnection:
        """Return a connection.

        Raises:
            PoolExhausted: No connection became free in time.
            DatabaseUnavailable: The server is unreachable.
        """
        started = monotonic()
        try:
            return super().connect()
        except sa_exc.TimeoutError as exc:
            raise self._report_exhausted(monotonic() - started) from exc

    def drop_idle(self) -> None:
        """Close the idle connections; new ones are opened on demand."""
        records = self._fair_queue.take_all()
        try:
            for record in records:
                record.invalidate()
        finally:  # also on cancellation: each connection must free its slot in the pool
            for record in records:
                super()._do_return_conn(record)

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a connection."""
        return self._fair_queue.waiting

    @property
    def _fair_queue(self) -> FairQueue[ConnectionPoolEntry]:
        assert isinstance(self._pool, FairQueue)
        return self._pool

    @property
    def has_place(self) -> bool:
        """Whether a returned connection is kept instead of closed."""
        return not self._is_disposed and not self._pool.full()

    def dispose(self) -> None:
        """Close the idle connections now, and those in use when they are returned."""
        super().dispose()
        self._is_disposed = True

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if self._is_disposed:
            record.close()
            return
        if _is_stale(self, record):
            record.invalidate()
        super()._do_return_conn(record)

    def _report_exhausted(self, waited: float) -> PoolExhausted:
        overflow = max_overflow_of(self)
        limit = "no limit" if overflow == -1 else str(self.size() + overflow)
        logger.error(
            "Pool exhausted: %s; size %s, in use %d, in line %d, waited %.2f s",
            self.label, limit, self.checkedout(), self.waiting, waited,
        )  # fmt: skip
        return PoolExhausted(
            f"{self.label}: all {limit} connections stayed in use for {waited:.1f} s. "
            "Raise 'sqlalchemy.pool_size', or hold sessions for a shorter time."
        )

    def _create_connection(self) -> ConnectionPoolEntry:
        # The caller that takes the entry opens it; if that fails, the entry goes to the first waiter, which retries.
        return unopened_record(self)


class _NullPool(NamedPool, NullPool):
    pass


class _StaticPool(NamedPool, StaticPool):
    pass


POOL_CLASSES: dict[str, type[Pool]] = {
    "QueuePool": WaitingPool,
    "AsyncAdaptedQueuePool": WaitingPool,
    "NullPool": _NullPool,
    "StaticPool": _StaticPool,
    "SingletonThreadPool": _StaticPool,
}
"""The values of `poolclass`; names of torngas 1.8 are mapped to their asyncio counterparts."""


def watch_idle(pool: Pool, ping: Callable[[Any], bool], idle_seconds: float = IDLE_SECONDS) -> None:
    """Make *pool* check each connection before it is used.

    Args:
        ping: Called with a driver connection; returns False or raises a driver error if it is dead.
        idle_seconds: Idle seconds after which a connection is pinged.
    """

    def note_opened(connection: object, record: ConnectionPoolEntry) -> None:
        record.info["opened_at"] = monotonic()

    def note_idle(connection: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = monotonic()

    def check(connection: object, record: ConnectionPoolEntry, proxy: object) -> None:
        since = record.info.pop("idle_since", None)
        if since is None:  # just opened
            return
        if isinstance(connection, Guard) and connection.is_lost():
            raise sa_exc.DisconnectionError("the server has closed it")
        if _is_stale(pool, record):
            raise sa_exc.DisconnectionError("opened before an outage, or to another server")
        is_doubtful = isinstance(connection, Guard) and has_unread(connection.transport)
        if (is_doubtful or monotonic() - since > idle_seconds) and not ping(connection):
            raise sa_exc.InvalidatePoolError("no answer to a ping")

    event.listen(pool, "connect", note_opened)
    event.listen(pool, "checkin", note_idle)
    event.listen(pool, "checkout", check)


def _is_stale(pool: Pool, record: ConnectionPoolEntry) -> bool:
    """Return whether a connection was opened before an outage, or to a former master."""
    if not isinstance(pool, NamedPool) or pool.outage is None or record.dbapi_connection is None:
        return False
    return bool(record.info.get("opened_at", 0.0) < pool.outage.stale_before)
