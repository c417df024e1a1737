"""A cache in this process: a dict with expiry and LRU eviction.

    LOCATION ── LRU store of cache keys         at most MAX_ENTRIES (300), culled by 1/CULL_FREQUENCY (3)
             └─ LRU store of reserved keys      sessions and locks; at most MAX_RESERVED (100,000)

Caches with the same LOCATION share both stores. Callers never share a mutable object with the cache: immutable values
are stored as they are, flat lists, dicts and sets are copied, other values are pickled.
"""

import asyncio
import time
import weakref
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from torngas_aio.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from torngas_aio.cache.keys import Key
from torngas_aio.cache.lru import FOREVER, Entry, Kind, Location, kind_of
from torngas_aio.cache.serializers import PickleSerializer
from torngas_aio.cache.store import Swap, Versioned, counted, option
from torngas_aio.utils.kinds import finite, whole

__all__ = ["LocMemCache"]

_PURGE_SLICE = 2000  # entries checked per turn of the event loop: about a millisecond
_NO_ENTRY = Entry(None, Kind.AS_IS, -FOREVER)


class LocMemCache(BaseCache):
    """A cache in this process's memory, not shared with other processes and lost when this one ends.

    OPTIONS: MAX_ENTRIES, CULL_FREQUENCY, MAX_RESERVED, and PURGE_INTERVAL, the seconds (60) between two
    removals of expired entries; with 0, an expired entry stays until it is read or culled.
    """

    can_swap: ClassVar[bool] = True
    is_shared: ClassVar[bool] = False

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        super().__init__(location, params)
        self._max_entries = option(self.options, "MAX_ENTRIES", 300, whole(0), self.label)
        self._max_reserved = max(option(self.options, "MAX_RESERVED", 100_000, whole(0), self.label), self._max_entries)
        self._cull_frequency = option(self.options, "CULL_FREQUENCY", 3, whole(0), self.label)
        self._purge_seconds = option(self.options, "PURGE_INTERVAL", 60.0, finite, self.label)
        self._location = Location.named(str(location or ""))
        self._is_direct = type(self.serializer) is PickleSerializer
        self._timer: asyncio.Handle | None = None
        self._entries = self._location.cached.entries
        self._writing = self._location.writing
        self.clock = time.monotonic

    # PERF: `get` and `set` override BaseCache's to avoid a second coroutine and the pickling of immutable
    # values: 0.6 instead of 4 us (benchmarks/cache.py).

    async def get(self, key: Key, default: Any = None, version: int | None = None) -> Any:
        stored_key = self.keys_of.make(key, version)
        entry = self._entries.get(stored_key, _NO_ENTRY)
        if entry.expires_at <= self.clock():
            self._entries.pop(stored_key, None)
            return default
        try:  # noqa: SIM105 - suppress() would double the cost of the method
            self._entries.move_to_end(stored_key)
        except KeyError:  # another thread removed it since the lookup; the entry found is still valid
            pass
        if entry.kind is Kind.AS_IS:
            return entry.value
        if entry.kind is Kind.COPIED:
            return entry.value.copy()
        return await self._load_value(stored_key, entry.value, default)

    async def set(
        self, key: Key, value: object, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        stored_key = self.keys_of.make(key, version)
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else self.life(timeout)
        now = self.clock()
        entry = self._entry(stored_key, value, FOREVER if seconds is None else now + seconds)
        if seconds == 0:
            self._entries.pop(stored_key, None)
            return
        entries = self._entries
        with self._writing:
            if len(entries) >= self._max_entries and stored_key not in entries:
                self._location.cached.cull(self._max_entries, self._cull_frequency, now)
            entries[stored_key] = entry
            entries.move_to_end(stored_key)
        if self._timer is None and seconds is not None:
            self._purge_later()

    async def add(
        self, key: Key, value: object, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        stored_key, seconds = self.keys_of.make(key, version), self.life(timeout)
        return self._add(stored_key, self._entry(stored_key, value, self._end(seconds)), seconds)

    # The store of bytes, for reserved keys and for BaseCache's other operations

    async def raw_get(self, key: str) -> bytes | None:
        entry = self._find(key)
        return None if entry is None else self._pack(key, entry)

    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        self._keep(key, Entry(data, Kind.PACKED, self._end(timeout)))

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        return self._add(key, Entry(data, Kind.PACKED, self._end(timeout)), timeout)

    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        entry = self._find(key)
        if entry is None:
            return False
        entry.expires_at = self._end(timeout)
        return True

    async def raw_delete(self, key: str) -> bool:
        entry = self._location.lru(key).entries.pop(key, None)
        return entry is not None and entry.expires_at > self.clock()

    async def raw_incr(self, key: str, delta: int) -> int | None:
        with self._writing:
            entry = self._find(key)
            if entry is None:
                return None
            number = counted(self._pack(key, entry), delta)
            self._location.lru(key).entries[key] = Entry(number, Kind.AS_IS, entry.expires_at)
        return number

    async def raw_clear(self, head: str) -> None:
        entries = self._location.lru(head).entries
        for key in list(entries):
            if key.startswith(head):
                entries.pop(key, None)

    async def raw_has(self, key: str) -> bool:
        return self._find(key) is not None

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Versioned | None:
        entry = self._find(key)
        if entry is None:
            return None
        if touch != 0:
            entry.expires_at = self._end(touch)
        return Versioned(self._pack(key, entry), entry)

    async def raw_swap(self, key: str, data: bytes, token: object, timeout: float | None) -> Swap:
        with self._writing:
            entry = self._find(key)
            if entry is token and entry is not None:
                fresh = Entry(data, Kind.PACKED, self._end(timeout))
                self._location.lru(key).entries[key] = fresh
                return Swap(True, Versioned(data, fresh))
        return Swap(False, None if entry is None else Versioned(self._pack(key, entry), entry))

    async def raw_drop(self, key: str, token: object) -> bool:
        with self._writing:
            entry = self._find(key)
            if entry is None or entry is not token:
                return False
            del self._location.lru(key).entries[key]
        return True

    async def raw_ttl(self, key: str) -> float | None:
        entry = self._find(key)
        if entry is None:
            return 0.0
        return None if entry.expires_at == FOREVER else entry.expires_at - self.clock()

    async def raw_keys(self, head: str, pattern: str) -> list[str]:
        now = self.clock()
        found = [key for key, entry in list(self._location.lru(head).entries.items()) if entry.expires_at > now]
        return [key for key in found if key.startswith(head) and fnmatchcase(key[len(head) :], pattern)]

    async def raw_ping(self) -> None:
        return

    async def raw_close(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # Entries

    def _find(self, key: str) -> Entry | None:
        return self._location.lru(key).find(key, self.clock())

    def _keep(self, key: str, entry: Entry) -> None:
        lru = self._location.lru(key)
        limit = self._max_entries if lru is self._location.cached else self._max_reserved
        with self._writing:
            lru.put(key, entry, limit, self._cull_frequency, self.clock())
        if self._timer is None and entry.expires_at != FOREVER:
            self._purge_later()

    def _add(self, key: str, entry: Entry, seconds: float | None) -> bool:
        lru = self._location.lru(key)
        with self._writing:
            if self._find(key) is not None:
                return False
            if seconds != 0:
                limit = self._max_entries if lru is self._location.cached else self._max_reserved
                lru.put(key, entry, limit, self._cull_frequency, self.clock())
        return True

    def _entry(self, key: str, value: Any, expires_at: float) -> Entry:
        kind = kind_of(value) if self._is_direct else Kind.PACKED
        if kind is Kind.COPIED:
            value = value.copy()
        elif kind is Kind.PACKED:
            value = self.serializer.dumps_for(key, value)
        return Entry(value, kind, expires_at)

    def _pack(self, key: str, entry: Entry) -> bytes:
        data: bytes = entry.value if entry.kind is Kind.PACKED else self.serializer.dumps_for(key, entry.value)
        return data

    def _end(self, seconds: float | None) -> float:
        return FOREVER if seconds is None else self.clock() + seconds

    # Purging: one timer per cache; each turn of the event loop checks one slice of the entries

    def _purge_later(self) -> None:
        if self._purge_seconds > 0:
            itself, rest = weakref.ref[LocMemCache](self), list[str]()
            self._timer = asyncio.get_running_loop().call_later(self._purge_seconds, self._purge, itself, rest)

    @staticmethod
    def _purge(cache_ref: "weakref.ref[LocMemCache]", rest: list[str]) -> None:
        """Run as the timer's callback; the weak reference lets an unused cache be collected."""
        cache = cache_ref()
        if cache is not None:
            cache._purge_slice(rest)

    def _purge_slice(self, rest: list[str]) -> None:
        place = self._location
        rest = rest or [*place.cached.entries, *place.reserved.entries]
        now = self.clock()
        with place.writing:
            place.cached.purge(rest[-_PURGE_SLICE:], now)
            place.reserved.purge(rest[-_PURGE_SLICE:], now)
        del rest[-_PURGE_SLICE:]
        self._timer = None
        if rest:
            self._timer = asyncio.get_running_loop().call_soon(self._purge, weakref.ref[LocMemCache](self), rest)
        elif place.cached.entries or place.reserved.entries:
            self._purge_later()
