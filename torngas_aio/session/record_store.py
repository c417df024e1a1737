"""The storage of session records: a cache's store, under reserved keys that cache keys never equal.

RecordStore         uses the store's compare-and-set
LockedRecordStore   for stores without one: uses a lock in this process instead, and logs a warning
"""

import asyncio
import logging
from collections.abc import Iterable
from weakref import WeakValueDictionary

from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.store import Swap, Versioned

__all__ = ["RECORD_HEADS", "LockedRecordStore", "RecordStore", "open_record_store"]

logger = logging.getLogger("torngas_aio.session")

RECORD_HEADS = ("%s:", "%u:")
"""The key prefixes of sessions and of the lists of a user's sessions."""


class RecordStore:
    """Session records, as bytes, in the store of *cache*; its errors are passed on."""

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache
        self.label = f"The session store {cache.label}"
        prefix = cache.keys_of.key_prefix
        self._session_head, self._user_head = (f"{head}{prefix}:" for head in RECORD_HEADS)

    def session_key(self, session_id: str) -> str:
        """Return the key of the record of *session_id*."""
        return self._session_head + session_id

    def user_key(self, digest: str) -> str:
        """Return the key of the list of one user's sessions."""
        return self._user_head + digest

    async def read(self, key: str, touch: float = 0.0) -> Versioned | None:
        """Return the data under *key*; *touch* above 0 also sets a new timeout, in the same round trip."""
        return await self._cache.raw_read(key, touch)

    async def add(self, key: str, data: bytes, life: float | None) -> bool:
        """Store *data* if *key* is absent; return whether it was stored."""
        return await self._cache.raw_add(key, data, life)

    async def swap(self, key: str, data: bytes, token: object, life: float | None) -> Swap:
        """Store *data* if *key* is unchanged since *token*; an absent key stays absent."""
        return await self._cache.raw_swap(key, data, token, life)

    async def drop(self, key: str, token: object) -> bool:
        """Remove *key* if it is unchanged since *token*; return whether it was removed."""
        return await self._cache.raw_drop(key, token)

    async def touch(self, key: str, life: float | None) -> bool:
        """Set the timeout of *key* from now; return whether the key was present."""
        return await self._cache.raw_touch(key, life)

    async def delete(self, *keys: str) -> None:
        """Remove *keys* unconditionally."""
        if len(keys) == 1:
            await self._cache.raw_delete(keys[0])
        elif keys:
            await self._cache.raw_delete_many(keys)

    async def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the data of the present *keys*, in one round trip."""
        listed = list(keys)
        found = await self._cache.raw_get_many(listed)
        for key in listed:
            if key not in found and self._cache.is_down_for(key):
                await self.read(key)  # raises if the miss is due to a server that is down
        return found


class LockedRecordStore(RecordStore):
    """A record store without the store's compare-and-set: correct only within one process.

    A token is the bytes that were read; every change holds its key's lock.
    """

    def __init__(self, cache: BaseCache) -> None:
        super().__init__(cache)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, key: str, touch: float = 0.0) -> Versioned | None:
        data = await self._cache.raw_get(key)
        if data is not None and touch:
            await self._cache.raw_touch(key, touch)
        return None if data is None else Versioned(data, data)

    async def swap(self, key: str, data: bytes, token: object, life: float | None) -> Swap:
        async with self._lock(key):
            found = await self._cache.raw_get(key)
            if found is None or found != token:
                return Swap(False, None if found is None else Versioned(found, found))
            await self._cache.raw_set(key, data, life)
        return Swap(True, Versioned(data, data))

    async def drop(self, key: str, token: object) -> bool:
        async with self._lock(key):
            found = await self._cache.raw_get(key)
            return found is not None and found == token and await self._cache.raw_delete(key)

    async def delete(self, *keys: str) -> None:
        for key in keys:
            async with self._lock(key):
                await self._cache.raw_delete(key)

    def _lock(self, key: str) -> asyncio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock


def open_record_store(cache: BaseCache) -> RecordStore:
    """Return the record store for *cache*; log a warning if processes could overwrite each other's changes."""
    if cache.can_swap:
        return RecordStore(cache)
    logger.warning(
        "%s (%s) has no compare-and-set: sessions are safe among the requests of one process, but several "
        "processes would overwrite each other's changes.",
        cache.label,
        type(cache).__qualname__,
    )
    return LockedRecordStore(cache)
