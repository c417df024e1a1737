"""A cache in a folder, shared by the processes of one machine and persistent across restarts.

caller ── worker thread (at most THREADS) ── FileStore (locks, atomic rename, checksums)
sweeper: a background task, runs every SWEEP_INTERVAL seconds while the cache is in use
"""

import asyncio
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import anyio
import anyio.to_thread

from torngas_aio._masking import show_setting
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.file_store import FOREVER, LAST_CERTAIN, FileStore, Record
from torngas_aio.cache.keys import is_reserved
from torngas_aio.cache.store import Swap, Versioned, counted, option
from torngas_aio.exception import CacheUnavailable, ConfigError
from torngas_aio.utils.kinds import finite, whole
from torngas_aio.utils.narrowing import is_path

__all__ = ["FileBasedCache"]

T = TypeVar("T")


class FileBasedCache(BaseCache):
    """A cache in the folder LOCATION, shared by every process that uses the folder.

    A torn or foreign file is a miss. `CacheUnavailable` is raised if the file system fails, or if another process
    holds a lock beyond the deadline.

    OPTIONS: MAX_ENTRIES (300) and CULL_FREQUENCY (3) as in Django; MAX_RESERVED (100,000 sessions and locks);
    LOCK_TIMEOUT (5 s); THREADS (8), the most worker threads; SWEEP_INTERVAL (20 s, 0: never), the pause between two
    removals of expired files and of drafts that killed writers left.

    Raises:
        ConfigError: LOCATION is empty, or an option is not a number.
    """

    can_swap: ClassVar[bool] = True

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        super().__init__(location, params)
        if not location or not is_path(location):
            raise ConfigError(
                f"{self.label}['LOCATION'] = {show_setting(location)}: name the folder to keep the cache in.",
                code="TGA401",
            )
        self.clock = time.time
        self._set_deadline(option(self.options, "LOCK_TIMEOUT", 5.0, finite, self.label))
        self._folder = FileStore(Path(location), self._now, self.deadline)
        self._max_entries = option(self.options, "MAX_ENTRIES", 300, whole(0), self.label)
        self._max_reserved = option(self.options, "MAX_RESERVED", 100_000, whole(0), self.label)
        self._max_reserved = max(self._max_reserved, self._max_entries)
        self._cull_frequency = option(self.options, "CULL_FREQUENCY", 3, whole(0), self.label)
        self._sweep_seconds = option(self.options, "SWEEP_INTERVAL", 20.0, finite, self.label)
        self._threads = max(option(self.options, "THREADS", 8, whole(0), self.label), 1)
        self._limiter: anyio.CapacityLimiter | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._added = {False: self._max_entries, True: self._max_reserved}  # so the first addition counts the files

    async def raw_get(self, key: str) -> bytes | None:
        record = await self._run(lambda: self._folder.find(key))
        return None if record is None else record.data

    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        await self._run(lambda: self._put(key, data, timeout))

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        def add() -> bool:
            is_added = self._folder.add(key, data, self._end(timeout))
            if is_added:
                self._remove_surplus(key)
            return is_added

        return await self._run(add)

    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        return await self._run(lambda: self._folder.touch(key, self._end(timeout))) is not None

    async def raw_delete(self, key: str) -> bool:
        return await self._run(lambda: self._folder.remove(key))

    async def raw_incr(self, key: str, delta: int) -> int | None:
        data = await self._run(lambda: self._folder.change(key, lambda old: b"%d" % counted(old, delta)))
        return None if data is None else int(data)

    async def raw_clear(self, head: str) -> None:
        def clear() -> None:
            for key in self._folder.keys(head):
                self._folder.remove(key)

        await self._run(clear)

    async def raw_get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        def get_many() -> dict[str, bytes]:
            found = [self._folder.find(key) for key in keys]
            return {record.key: record.data for record in found if record is not None}

        return await self._run(get_many)

    async def raw_set_many(self, items: Mapping[str, bytes], timeout: float | None) -> list[str]:
        def set_many() -> list[str]:
            for key, data in items.items():
                self._put(key, data, timeout)
            return []

        return await self._run(set_many)

    async def raw_delete_many(self, keys: Iterable[str]) -> None:
        def delete_many() -> None:
            for key in keys:
                self._folder.remove(key)

        await self._run(delete_many)

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Versioned | None:
        if touch == 0:
            return _to_versioned(await self._run(lambda: self._folder.find(key)))
        return _to_versioned(await self._run(lambda: self._folder.touch(key, self._end(touch))))

    async def raw_swap(self, key: str, data: bytes, token: object, timeout: float | None) -> Swap:
        is_done, current = await self._run(lambda: self._folder.swap(key, data, token, self._end(timeout)))
        return Swap(is_done, _to_versioned(current))

    async def raw_drop(self, key: str, token: object) -> bool:
        return await self._run(lambda: self._folder.remove(key, token))

    async def raw_ttl(self, key: str) -> float | None:
        record = await self._run(lambda: self._folder.find(key))
        if record is None:
            return 0.0
        return None if record.expires_at >= LAST_CERTAIN else record.expires_at - self.clock()

    async def raw_keys(self, head: str, pattern: str) -> list[str]:
        found = await self._run(lambda: self._folder.keys(head))
        return [key for key in found if fnmatchcase(key[len(head) :], pattern)]

    async def raw_ping(self) -> None:
        await self._run(lambda: self._folder.put("%ping", b"", self._now() + 60))

    async def raw_close(self) -> None:
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.wait([sweeper])

    async def sweep(self) -> None:
        """Remove expired files and drafts of killed writers now."""
        await self._run(self._folder.sweep)

    # In a thread

    async def _run(self, work: Callable[[], T]) -> T:
        """Run *work* in a worker thread, limited to THREADS; it completes even if the caller is cancelled."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)
        if self._sweeper is None and self._sweep_seconds > 0:
            self._sweeper = asyncio.create_task(_sweep_often(weakref.ref(self), self._sweep_seconds))
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except OSError as exc:
            raise CacheUnavailable(
                f"{self.label} in the folder {str(self.location)!r} failed: {exc}. "
                "Check its owner, its free space, and whether another process holds its locks."
            ) from exc

    def _put(self, key: str, data: bytes, timeout: float | None) -> None:
        if self._folder.put(key, data, self._end(timeout)):
            self._remove_surplus(key)

    def _remove_surplus(self, key: str) -> None:
        """Count this process's additions; after a tenth of the limit, count the folder's files and cull the surplus."""
        reserved = is_reserved(key)
        limit = self._max_reserved if reserved else self._max_entries
        self._added[reserved] += 1
        if self._added[reserved] <= max(limit // 10, 1):
            return
        self._added[reserved] = 0
        surplus = self._folder.count(reserved) - limit
        if surplus > 0:
            share = limit // self._cull_frequency if self._cull_frequency else limit
            self._folder.cull(max(surplus, share), reserved)

    def _end(self, seconds: float | None) -> float:
        return FOREVER if seconds is None else min(self.clock() + seconds, FOREVER)

    def _now(self) -> float:
        return self.clock()


async def _sweep_often(cache_ref: "weakref.ref[FileBasedCache]", seconds: float) -> None:
    """Run the sweeper; the weak reference lets an unused cache be collected."""
    while (cache := cache_ref()) is not None:
        with suppress(CacheUnavailable):  # callers get the error themselves; the next sweep may succeed
            await cache.sweep()
        del cache
        await anyio.sleep(seconds)


def _to_versioned(record: Record | None) -> Versioned | None:
    return None if record is None else Versioned(record.data, record.nonce)
