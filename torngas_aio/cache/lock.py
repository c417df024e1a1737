"""A lock in the cache: at most one holder among all processes that share the store.

add(key, token, lease)   acquires the lock if it succeeds
drop(key, token)         releases the lock only if the stored token is the holder's
lease expires            the lock is free again, even if the holder is still running
"""

import random
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import anyio

from torngas_aio._cleanup import close_safely
from torngas_aio._unawaited import AsyncWithOnly
from torngas_aio.cache.store import Store
from torngas_aio.exception import CacheUnavailable

__all__ = ["CacheLock"]

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


class CacheLock(AsyncWithOnly):
    """A lock with a lease: `async with cache.lock("report") as lock: ...`.

    It prevents duplicate work, not corruption: a holder that runs longer than *lease* without calling `extend`
    loses the lock without notice. Not re-entrant; each object is held at most once.

    Raises:
        TimeoutError: On entering, if the lock did not become free within *wait* seconds.
    """

    def __init__(self, store: Store, key: str, lease: float, wait: float | None) -> None:
        self._store = store
        self._key = key
        self._lease = lease
        self._wait = wait
        self._token: bytes | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object acquired the lock and has not released it; the lease may have expired."""
        return self._token is not None

    async def acquire(self) -> bool:
        """Acquire the lock; return False if it did not become free within the allowed wait.

        Raises:
            RuntimeError: This object already holds the lock.
            CacheUnavailable: The store did not answer in time.
        """
        if self._token is not None:
            raise RuntimeError("This lock object is held already. Make another with cache.lock().")
        token = b"t" + secrets.token_hex(16).encode()
        try:
            with anyio.move_on_after(self._wait or None) as limit:
                await self._take(token)
        except BaseException:
            await self._abandon(token)
            raise
        if limit.cancelled_caught:
            await self._abandon(token)
        return self._token is not None

    async def release(self) -> bool:
        """Release the lock; return False if the lease had expired, so that another holder may have acquired it."""
        token, self._token = self._token, None
        if token is None:
            return False
        return await self._drop(token)

    async def extend(self) -> bool:
        """Restart the lease; return False if the lock is no longer held."""
        if self._token is None:
            return False
        found = await self._store.raw_read(self._key)
        if found is None or found.data != self._token:
            return False
        return (await self._store.raw_swap(self._key, self._token, found.token, self._lease)).is_done

    @asynccontextmanager
    async def holding(self) -> AsyncGenerator[None]:
        """Release the lock when the block ends, also on errors and cancellation; a lock that is not held is ignored."""
        try:
            yield
        finally:
            await close_safely(self._key, self._let_go)

    async def __aenter__(self) -> Self:
        if not await self.acquire():
            raise TimeoutError(f"The lock {self._key!r} was not free within {self._wait} s.")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await close_safely(self._key, self._let_go)

    async def _let_go(self) -> None:
        with suppress(CacheUnavailable):  # if the store is down, the lease expires there
            await self.release()

    async def _take(self, token: bytes) -> None:
        # A release by another process raises no event in this loop, so poll the store with exponential backoff.
        pause = _FIRST_PAUSE
        while True:
            if await self._store.raw_add(self._key, token, self._lease):
                self._token = token
                return
            if self._wait == 0:
                return
            await anyio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _abandon(self, token: bytes) -> None:
        """Undo an `add` whose reply a cancelled caller did not receive."""

        async def drop() -> None:
            with suppress(CacheUnavailable):  # if the store is down, the lease expires there
                await self._drop(token)

        self._token = None
        await close_safely(self._key, drop)

    async def _drop(self, token: bytes) -> bool:
        found = await self._store.raw_read(self._key)
        if found is None or found.data != token:
            return False
        return await self._store.raw_drop(self._key, found.token)
