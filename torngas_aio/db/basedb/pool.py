"""A small bounded pool of connections of one event loop.

lease ──> an idle connection (pinged if idle for long or with unread bytes), else a new one, else wait for one
      <── usable: idle again      broken, cancelled or timed out: abandoned, its slot is free
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from torngas_aio._cleanup import close_each, close_safely
from torngas_aio._concurrency import Places
from torngas_aio.db._connections import advice_on
from torngas_aio.db._outage import Outage
from torngas_aio.db.basedb.drivers import Driver
from torngas_aio.exception import DatabaseUnavailable, PoolExhausted

__all__ = ["Pool"]

PING_AFTER_SECONDS = 5.0
"""Idle seconds after which a connection is pinged before it is used."""

PING_SECONDS = 2.0


class Pool:
    """A pool of at most *size* connections.

    Args:
        wait_seconds: How long a caller waits for a connection if all are in use.
        recycle_seconds: Maximum age of an idle connection, which is then replaced; 0: no limit.
        keeps_idle: Whether a returned connection is kept instead of closed.

    Attributes:
        driver: The driver, which opens the connections.
        outage: The availability of the server; None for SQLite.
        in_use: The number of connections in use.
    """

    def __init__(
        self, driver: Driver, size: int, wait_seconds: float, recycle_seconds: float = 0, keeps_idle: bool = True
    ) -> None:
        self.driver = driver
        self._wait_seconds = wait_seconds
        self._recycle_seconds = recycle_seconds
        self._places = Places(size)
        self._idle: list[tuple[object, float, float]] = []  # connection, when it was made, when it was last used
        self._keeps_idle = keeps_idle
        self.outage = Outage(f"Database {driver.address}", self._probe, self.drop_idle) if driver.is_remote else None
        self.in_use = 0

    @property
    def idle(self) -> int:
        """The number of open connections not in use."""
        return len(self._idle)

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Any]:
        """Provide a connection for the block.

        After an error of a statement the connection is reused; after any other error, including cancellation, it is
        abandoned, so that no caller reads the reply to another's statement.

        Raises:
            PoolExhausted: No connection became free in time.
            DatabaseUnavailable: No connection could be opened, or the server is known to be down.
        """
        if self.outage is not None:
            self.outage.check()
        await self._take_place()
        try:
            connection, made_at = await self._idle_or_new()
            self.in_use += 1
            try:
                yield connection
            except BaseException as exc:
                if isinstance(exc, self.driver.statement_errors) and not self.driver.is_lost(exc):
                    await self._put_back(connection, made_at)
                else:
                    await self._abandon(connection, made_at)
                raise
            else:
                await self._put_back(connection, made_at)
            finally:
                self.in_use -= 1
        finally:
            self._places.release()

    async def drop_idle(self) -> None:
        """Abandon the idle connections: one broke, so the others are likely to be dead too."""
        idle, self._idle = self._idle, []
        address, abandon = self.driver.address, self.driver.abandon
        await close_each((address, partial(abandon, connection)) for connection, _, _ in idle)

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when returned. Calling it twice is harmless."""
        self._keeps_idle = False
        if self.outage is not None:
            await self.outage.aclose()
        idle, self._idle = self._idle, []
        address, close = self.driver.address, self.driver.close
        await close_each((address, partial(close, connection)) for connection, _, _ in idle)

    async def _take_place(self) -> None:
        try:
            await self._places.take(self._wait_seconds)
        except TimeoutError:
            raise PoolExhausted(
                f"{self.driver.address}: all {self._places.size} connections stayed in use for "
                f"{self._wait_seconds:g} s. Raise pool_size, or look for what holds them: a transaction that waits, "
                "a slow statement."
            ) from None

    async def _idle_or_new(self) -> tuple[object, float]:
        while self._idle:
            connection, made_at, used_at = self._idle.pop()
            now = time.monotonic()
            is_old = self._is_stale(made_at) or (self._recycle_seconds and now - made_at > self._recycle_seconds)
            is_trusted = now - used_at <= PING_AFTER_SECONDS and not self.driver.is_doubtful(connection)
            if not is_old and (is_trusted or await self._lives(connection)):
                return connection, made_at
            await close_safely(self.driver.address, partial(self.driver.abandon, connection))
        try:
            return await self._connect(), time.monotonic()
        except DatabaseUnavailable:
            raise
        except Exception as exc:
            error = self.driver.unavailable("no connection could be made", exc)
            raise DatabaseUnavailable(f"{error} {advice_on(exc)}") from exc

    async def _connect(self) -> object:
        connecting = self.driver.connect()
        return await (connecting if self.outage is None else self.outage.watched(connecting))

    async def _probe(self) -> bool:
        connection = await self.driver.connect()
        try:
            return await self.driver.takes_writes(connection)
        finally:
            await self.driver.close(connection)

    def _is_stale(self, made_at: float) -> bool:
        return self.outage is not None and made_at < self.outage.stale_before

    async def _lives(self, connection: object) -> bool:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self.driver.ping(connection)
        except Exception:  # noqa: BLE001  # a boundary: on any error the connection is dead and is replaced
            return False
        except BaseException:
            await close_safely(self.driver.address, partial(self.driver.abandon, connection))
            raise
        return True

    async def _put_back(self, connection: object, made_at: float) -> None:
        if not self._keeps_idle or self._is_stale(made_at):
            await close_safely(self.driver.address, partial(self.driver.close, connection))
        else:
            self._idle.append((connection, made_at, time.monotonic()))

    async def _abandon(self, connection: object, made_at: float) -> None:
        is_whole = False

        async def abandon() -> None:
            nonlocal is_whole
            is_whole = await self.driver.abandon(connection)

        await close_safely(self.driver.address, abandon)
        if is_whole:
            await self._put_back(connection, made_at)
