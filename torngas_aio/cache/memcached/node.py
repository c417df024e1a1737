"""One server of a memcached cache: its pool, and the generation that prefixes this cache's keys there.

    key on the wire   generation ":" key        a cache's own keys: `clear` gives the server a new generation
                      key                       reserved keys (sessions, locks): outlives every `clear`
                      "%h:" digest              keys that are too long or hold characters invalid in memcached

The generation is a random word stored under its own key. A process reads it again after FRESH_SECONDS, so a `clear`
reaches other processes within a second. If memcached has evicted it, a new one is created: the earlier values become
unreachable and are never mistaken for others. `Ring` assigns keys to servers.
"""

import asyncio
import bisect
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from torngas_aio.cache.keys import is_reserved
from torngas_aio.cache.memcached.connection import MemcachedLink
from torngas_aio.cache.memcached.pool import MemcachedPool

__all__ = ["FRESH_SECONDS", "MemcachedNode", "Ring", "spelled"]

FRESH_SECONDS = 0.5

MAX_WIRE_BYTES = 250
_SURE_LENGTH = MAX_WIRE_BYTES // 4  # characters; UTF-8 encodes a character in at most four bytes
_HARMLESS = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

T = TypeVar("T")


def spelled(key: str) -> bytes:
    """Return *key* in memcached's form: unchanged if it is valid there, else a digest of it."""
    # PERF: one cheap test accepts nearly every key; printable characters other than space are valid.
    if len(key) <= _SURE_LENGTH and key.isprintable() and " " not in key and key:
        return key.encode()
    wire = key.encode("utf-8", "surrogatepass")
    if len(wire) <= MAX_WIRE_BYTES and _HARMLESS.fullmatch(key):
        return wire
    return b"%h:" + hashlib.blake2b(wire, digest_size=32).hexdigest().encode()


class MemcachedNode:
    """One server of one cache, in one event loop.

    Args:
        pool: The server's connections.
        head: The common beginning of this cache's keys; empty if they have none.
    """

    def __init__(self, pool: MemcachedPool, head: str) -> None:
        self.pool = pool
        self.run = pool.run
        self._head = "" if is_reserved(head) else head
        self._generation_key = spelled(f"%generation:{head}")
        self._generation = ""
        self._asked_at = float("-inf")
        self._asking: asyncio.Lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    async def spell(self, key: str) -> bytes:
        """Return *key* as sent to this server; read the generation from the server first if it is due."""
        return (await self.spell_each((key,)))[0]

    async def spell_each(self, keys: Iterable[str]) -> list[bytes]:
        """Return all *keys* as `spell` does."""
        head = self._head
        if head and self._loop.time() - self._asked_at >= FRESH_SECONDS:
            listed = list(keys)
            if any(key.startswith(head) for key in listed):
                await self._refresh()
            keys = listed
        front = f"{self._generation}:"
        return [spelled(front + key if head and key.startswith(head) else key) for key in keys]

    async def renew(self) -> None:
        """Store a new generation, which makes this cache's values on the server unreachable."""
        fresh = _new_generation()
        await self.run(lambda link: link.set(self._generation_key, fresh.encode()))
        self._learn(fresh)

    async def _refresh(self) -> None:
        """Read the generation, once for all waiting callers; create one if there is none."""
        async with self._asking:
            before = self._asked_at
            if self._loop.time() - before < FRESH_SECONDS:
                return
            found = await self.run(self._read_or_make)
            if self._asked_at == before:  # else `renew` has stored a newer generation meanwhile
                self._learn(found)

    async def _read_or_make(self, link: MemcachedLink) -> str:
        found = await link.get(self._generation_key)
        while not found:
            fresh = _new_generation().encode()
            found = fresh if await link.add(self._generation_key, fresh) else await link.get(self._generation_key)
        return found.decode("ascii", "replace")

    def _learn(self, generation: str) -> None:
        self._generation = generation
        self._asked_at = self._loop.time()


def _new_generation() -> str:
    return secrets.token_urlsafe(9)


POINTS = 160


class Ring:
    """A consistent-hash ring of the servers of one cache.

    Args:
        names: The servers' names, without duplicates.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        placed = sorted((_place(f"{name}#{point}"), name) for name in names for point in range(POINTS))
        self._places = [place for place, _ in placed]
        self._owners = [name for _, name in placed]

    def owner(self, key: str, is_out: Callable[[str], bool] | None = None) -> str:
        """Return the name of the server that holds *key*.

        Args:
            is_out: Returns whether a server is skipped for the next on the ring; if all are, the first one is used.
        """
        if len(self._names) == 1:
            return self._names[0]
        start = bisect.bisect(self._places, _place(key)) % len(self._places)
        first = self._owners[start]
        if is_out is None or not is_out(first):
            return first
        around = dict.fromkeys(self._owners[start:] + self._owners[:start])
        return next((name for name in around if not is_out(name)), first)


def _place(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
