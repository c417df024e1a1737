"""A lock in the cache: one holder at a time among all processes that share the store.

add(key, token, lease)   taken by the one whose add succeeds
drop(key, token)         given back only by the one whose token stands there
lease over               free again, whatever became of the holder
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

    It guards against doing work twice, not against corruption: a holder that takes longer than *lease*
    loses it without being told, unless it asks `extend`. Not re-entrant; one object, one holder.

    Raises:
        TimeoutError: On entering, when it was not free within *wait* seconds.
    """

    def __init__(self, store: Store, key: str, lease: float, wait: float | None) -> None:
        self._store = store
        self._key = key
        self._lease = lease
        self._wait = wait
        self._token: bytes | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object took the lock and has not given it back; its lease may be over."""
        return self._token is not None

    async def acquire(self) -> bool:
        """Take the lock; tell whether it was free within the allowed wait.

        Raises:
            RuntimeError: This object holds the lock already.
            CacheUnavailable: The store does not answer in time.
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
        """Give the lock back; False when its lease was over and another holder may have had it since."""
        token, self._token = self._token, None
        if token is None:
            return False
        return await self._drop(token)

    async def extend(self) -> bool:
        """Begin the lease again; False when the lock is no longer held."""
        if self._token is None:
            return False
        found = await self._store.raw_read(self._key)
        if found is None or found.data != self._token:
            return False
        return (await self._store.raw_swap(self._key, self._token, found.token, self._lease)).is_done

    @asynccontextmanager
    async def holding(self) -> AsyncGenerator[None]:
        """Give the lock back at the end of the block, whatever ends it; nothing is given back if it is not held."""
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
        with suppress(CacheUnavailable):  # a store that is down lets it go when the lease is over
            await self.release()

    async def _take(self, token: bytes) -> None:
        # Another process's release is no event of this loop, so the store is asked again, ever more rarely.
        pause = _FIRST_PAUSE
        while True:
            if await self._store.raw_add(self._key, token, self._lease):
                self._token = token
                return
            if self._wait == 0:
                return
            await anyio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads the callers, keeps no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _abandon(self, token: bytes) -> None:
        """Undo an `add` whose answer a cancelled caller never saw."""

        async def drop() -> None:
            with suppress(CacheUnavailable):  # a store that is down lets it go when the lease is over
                await self._drop(token)

        self._token = None
        await close_safely(self._key, drop)

    async def _drop(self, token: bytes) -> bool:
        found = await self._store.raw_read(self._key)
        if found is None or found.data != token:
            return False
        return await self._store.raw_drop(self._key, found.token)
