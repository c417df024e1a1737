"""The LRU dict behind the in-process cache: entries with an expiry, least recently used first.

    Location("name") ── LRUStore of cache keys, LRUStore of reserved keys, one lock for all writers
    LRUStore            ── OrderedDict: key -> Entry(value, kind, expires_at)

This module uses neither a clock nor an event loop: callers pass the time in.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from torngas_aio.cache.keys import is_reserved
from torngas_aio.utils.narrowing import class_of

__all__ = ["FOREVER", "Entry", "Kind", "LRUStore", "Location", "kind_of"]

FOREVER = math.inf

_ATOMS = frozenset({str, bytes, int, float, bool, complex, type(None)})
_CONTAINERS = frozenset({tuple, frozenset, list, dict, set})
_LOOKED_AT = 64  # items; longer containers are pickled without inspecting them


class Kind(IntEnum):
    """How an entry's value is isolated from the caller's objects."""

    AS_IS = 0
    COPIED = 1
    PACKED = 2


class Entry:
    """One value. Each change stores a new entry, so the entry itself is the compare-and-set token."""

    __slots__ = ("expires_at", "kind", "value")

    def __init__(self, value: Any, kind: Kind, expires_at: float) -> None:
        self.value = value
        self.kind = kind
        self.expires_at = expires_at


class LRUStore:
    """Entries by key, least recently used first."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()

    def find(self, key: str, now: float) -> Entry | None:
        """Return the unexpired entry of *key* and make it the most recently used."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= now:
            self.entries.pop(key, None)
            return None
        try:  # noqa: SIM105 - suppress() would double the cost of the method
            self.entries.move_to_end(key)
        except KeyError:  # another thread removed it since the lookup; the entry found is still valid
            pass
        return entry

    def put(self, key: str, entry: Entry, limit: int, cull_frequency: int, now: float) -> None:
        """Store *entry* under *key*; if there are *limit* entries, evict the least recently used ones first."""
        entries = self.entries
        if len(entries) >= limit and key not in entries:
            self.cull(limit, cull_frequency, now)
        entries[key] = entry
        entries.move_to_end(key)

    def cull(self, limit: int, cull_frequency: int, now: float) -> None:
        """Remove expired entries and, if that is not enough, the least recently used 1/*cull_frequency*.

        As in Django, a frequency of 0 removes all entries.
        """
        if cull_frequency == 0:
            self.entries.clear()
            return
        wanted = max(len(self.entries) // cull_frequency, len(self.entries) - limit + 1, 1)
        wanted -= self.purge(list(self.entries), now)
        for _ in range(min(wanted, len(self.entries))):
            self.entries.popitem(last=False)

    def purge(self, keys: Iterable[str], now: float) -> int:
        """Remove the expired entries among *keys*; return how many were removed."""
        entries, removed = self.entries, 0
        for key in keys:
            entry = entries.get(key)
            if entry is not None and entry.expires_at <= now:
                entries.pop(key, None)
                removed += 1
        return removed


class Location:
    """The entries of one LOCATION, shared by every in-process cache with that LOCATION."""

    _by_name: ClassVar[WeakValueDictionary[str, "Location"]] = WeakValueDictionary()
    _naming = threading.Lock()

    def __init__(self) -> None:
        self.cached = LRUStore()
        self.reserved = LRUStore()
        self.writing = threading.Lock()

    @classmethod
    def named(cls, name: str) -> "Location":
        """Return the location *name*; it exists as long as a cache uses it."""
        with cls._naming:
            found = cls._by_name.get(name)
            if found is None:
                found = cls._by_name[name] = cls()
            return found

    @classmethod
    def all(cls) -> dict[str, "Location"]:
        """Return the locations in use, by name."""
        with cls._naming:
            return dict(cls._by_name)

    def lru(self, key: str) -> LRUStore:
        """Return the LRU store that holds *key*."""
        return self.reserved if is_reserved(key) else self.cached


def kind_of(value: Any) -> Kind:
    """Return how to store *value* so that later changes by the caller do not affect the cached value."""
    kind = class_of(value)
    if kind in _ATOMS:
        return Kind.AS_IS
    if kind in _CONTAINERS and len(value) <= _LOOKED_AT:
        # PERF: superset of a map runs no bytecode per item (benchmarks/cache.py)
        is_flat = _ATOMS.issuperset(map(type, value.values() if kind is dict else value))
        if kind is tuple or kind is frozenset:
            return Kind.AS_IS if is_flat or all(kind_of(item) is Kind.AS_IS for item in value) else Kind.PACKED
        if is_flat and (kind is not dict or _ATOMS.issuperset(map(type, value))):
            return Kind.COPIED
    return Kind.PACKED
