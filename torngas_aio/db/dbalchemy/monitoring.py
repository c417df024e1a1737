"""Background tasks: detection of lagging replicas, and pings of idle connections.

    master   ─► position, and the time it was first seen ┐
    replica  ─► position ───────────────────────────────┴─► lag: age of the first master position not reached yet
                                                            above MAX_LAG: not used      below: used again

    every PING_DB seconds: each pool's idle connections, PING_CONN_COUNT at most ── dead: replaced
                           each slave that was down                              ── answers: used again

Positions are compared, not clocks: without writes there is no lag, and a replica that lost its master, or whose
replication has stopped, lags from the first change that it misses.
"""

import asyncio
import logging
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import Any

from sqlalchemy.util.concurrency import await_, greenlet_spawn

from torngas_aio._concurrency import BackgroundTask
from torngas_aio.db._connections import is_forbidden, said_by
from torngas_aio.db.dbalchemy.cluster import Cluster, Node
from torngas_aio.db.dbalchemy.connection_guard import Guard
from torngas_aio.db.dbalchemy.pool import WaitingPool
from torngas_aio.db.dbalchemy.positions import Position
from torngas_aio.exception import DatabaseUnavailable, PoolExhausted

__all__ = ["SAMPLE_SECONDS", "KeepAlive", "LagWatch"]

logger = logging.getLogger("torngas_aio.db")

SAMPLE_SECONDS = 1.0
"""Seconds between two samples; also the timeout of one sample."""

_MAX_SAMPLES = 3600


class LagWatch:
    """A task that monitors the lag of one cluster's replicas, in one event loop, until `aclose`.

    Args:
        max_seconds: The maximum lag; a replica that lags more is not used.
    """

    def __init__(self, master: Node, slaves: Sequence[Node], max_seconds: float) -> None:
        self._master = _Sampler(master)
        self._slaves = [_Sampler(slave) for slave in slaves]
        self._max_seconds = max_seconds
        self._history: deque[tuple[float, Position]] = deque(maxlen=_MAX_SAMPLES)
        self._task = BackgroundTask("torngas_aio.db.lag")

    def start(self) -> None:
        """Start in the running event loop; the first sample is taken after `SAMPLE_SECONDS`."""
        self._task.start(self._run)

    async def aclose(self) -> None:
        """Stop monitoring. Calling it twice is harmless."""
        await self._task.aclose()
        await asyncio.gather(*(sampler.aclose() for sampler in (self._master, *self._slaves)))

    async def sample(self) -> None:
        """Query all servers concurrently, once, and update which replicas are late."""
        now = monotonic()
        _, *replies = await asyncio.gather(*(sampler.ask() for sampler in (self._master, *self._slaves)))
        if self._master.node.position is not None:
            self._note(self._master.node.position, now)
        if self._history:
            for sampler, has_answered in zip(self._slaves, replies, strict=True):
                if has_answered:
                    self._judge(sampler)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            try:
                await self.sample()
            except Exception:  # the next sample may succeed
                logger.exception("Sampling the replicas' lag failed.")

    def _note(self, position: Position, now: float) -> None:
        if self._history:
            last = self._history[-1][1]
            if last == position:
                return
            if not position.has_reached(last):  # the history has changed: a restored backup or another server
                self._history.clear()
        self._history.append((now, position))

    def _judge(self, sampler: "_Sampler") -> None:
        node, position = sampler.node, sampler.node.position
        # A position past one entry is past all earlier ones; a slave stopped for hours makes the history long.
        reached = bisect(self._history, False, key=lambda entry: not _is_past(node, entry[1]))
        missed = self._history[reached][0] if reached < len(self._history) else None
        if missed is not None and (position is None or not sampler.is_replica):
            sampler.warn("it is not a replica that reports its position (GTID, LSN)")
            return
        lag = 0.0 if missed is None else monotonic() - missed
        if (lag > self._max_seconds) is not node.is_late:
            node.mark_late(lag)
        while len(self._history) > 1 and all(_is_past(each.node, self._history[1][1]) for each in self._slaves):
            self._history.popleft()  # keep only entries that a replica may not have reached


def _is_past(node: Node, position: Position) -> bool:
    return node.position is not None and node.position.has_reached(position)


class _Sampler:
    """A sampler of one server's position, with its own connection."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.is_replica = False
        self._connection: Guard | None = None
        self._opened_at = 0.0
        self._has_warned = False

    async def ask(self) -> bool:
        """Update the node's position; return whether the server answered in time."""
        try:
            async with asyncio.timeout(SAMPLE_SECONDS):
                await greenlet_spawn(self._ask)
        except Exception as error:  # noqa: BLE001  # any driver error: the next sample opens another connection
            if self._connection is not None and is_forbidden(error):
                self.warn(f"{said_by(error)}: GRANT the user what that takes")
            self._drop()
            return False
        except BaseException:
            self._drop()
            raise
        return True

    async def aclose(self) -> None:
        """Close the connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SAMPLE_SECONDS):
                await greenlet_spawn(self._close)

    def warn(self, why: str) -> None:
        """Log once why this server is not monitored."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning("Database %s: its lag is not watched: %s.", self.node.label, why)

    def _ask(self) -> None:
        outage = self.node.outage
        assert outage is not None
        if self._opened_at < outage.stale_before:
            self._close()
        connection = self._connection
        if connection is None:
            self._opened_at = monotonic()
            connection = self._connection = self.node.open_connection()
        if self.node.is_master and not connection.takes_writes():
            await_(outage.refuses_writes(_is_writable))
        self.node.position, self.is_replica = connection.position()

    def _close(self) -> None:
        connection: Any = self._connection
        self._connection = None
        if connection is not None:
            connection.terminate()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cut()


async def _is_writable() -> bool:
    return False  # the server was queried just before


class KeepAlive:
    """A task that pings idle connections until `aclose`.

    Args:
        clusters: Returns the clusters to ping; called before each round.
        seconds: Seconds between two rounds.
        count: Idle connections pinged per pool and round.
    """

    def __init__(self, clusters: Callable[[], Iterable[Cluster]], seconds: float, count: int) -> None:
        self._clusters = clusters
        self._seconds = seconds
        self._count = count
        self._task = BackgroundTask("torngas_aio.db.keepalive")

    def start(self) -> None:
        """Start in the running event loop; the first round comes after one interval."""
        self._task.start(self._run)

    async def aclose(self) -> None:
        """Cancel the task and await it. Calling it twice is harmless."""
        await self._task.aclose()

    async def ping(self) -> None:
        """Run one round of pings, one server after the other."""
        for cluster in self._clusters():
            for node in cluster.nodes:
                await self._ping(node)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.ping()
            except Exception:  # a boundary: the next round may succeed
                logger.exception("Pinging the databases failed.")

    async def _ping(self, node: Node) -> None:
        pool = node.sync_engine.pool
        if not isinstance(pool, WaitingPool):
            return
        idle = min(self._count, pool.checkedin())
        if node.is_down:
            idle = max(1, idle)
        try:
            async with AsyncExitStack() as held:  # all at once: a LIFO pool would return the same one again
                for _ in range(idle):
                    await held.enter_async_context(node.engine.connect())  # the checkout pings it
        except DatabaseUnavailable:
            node.mark_down()
        except PoolExhausted:
            pass  # connections in use need no ping
        else:
            if idle:
                node.mark_up()
