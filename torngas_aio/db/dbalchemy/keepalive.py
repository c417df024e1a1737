"""Pings in the background, so that no idle connection is dropped by a server or a firewall on the way.

    every PING_DB seconds: each pool's idle connections, PING_CONN_COUNT at most ── dead: replaced
                           each slave that was down                              ── answers: used again

Begin with `KeepAlive`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from torngas_aio._concurrency import BackgroundTask
from torngas_aio.db.dbalchemy.engines import Cluster, Node
from torngas_aio.db.dbalchemy.pool import WaitingPool
from torngas_aio.exception import DatabaseUnavailable, PoolExhausted

__all__ = ["KeepAlive"]

logger = logging.getLogger("torngas_aio.db")


class KeepAlive:
    """One task that pings; it ends with `aclose`.

    Args:
        clusters: Called before each round.
        seconds: Between two rounds.
        count: Idle connections of each pool that are pinged in a round.
    """

    def __init__(self, clusters: Callable[[], Iterable[Cluster]], seconds: float, count: int) -> None:
        self._clusters = clusters
        self._seconds = seconds
        self._count = count
        self._task = BackgroundTask("torngas_aio.db.keepalive")

    def start(self) -> None:
        """Begin, in the running loop; the first round comes after one interval."""
        self._task.start(self._run)

    async def aclose(self) -> None:
        """End the task and wait for it; twice is harmless."""
        await self._task.aclose()

    async def ping(self) -> None:
        """Ping once, every server after the other."""
        for cluster in self._clusters():
            for node in cluster.nodes:
                await self._ping(node)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.ping()
            except Exception:  # a boundary: the next round may fare better
                logger.exception("Pinging the databases failed.")

    async def _ping(self, node: Node) -> None:
        pool = node.sync_engine.pool
        if not isinstance(pool, WaitingPool):
            return
        idle = min(self._count, pool.checkedin())
        if node.is_down:
            idle = max(1, idle)
        try:
            async with AsyncExitStack() as held:  # all at once: a pool that gives the last first would give one only
                for _ in range(idle):
                    await held.enter_async_context(node.engine.connect())  # taking it out pings it
        except DatabaseUnavailable:
            node.mark_down()
        except PoolExhausted:
            pass  # what is in use needs no ping
        else:
            if idle:
                node.mark_up()
