"""One server of a memcached cache: its pool, and the generation that stands in front of this cache's keys there.

    key on the wire   generation ":" key        a cache's own keys: `clear` gives the server a new generation
                      key                       reserved keys (sessions, locks): outlives every `clear`
                      "%h:" digest              what is too long for memcached or holds what it would misread

The generation is a random word under a key of its own. A process asks for it again once it has not done so for
FRESH_SECONDS, so others see a `clear` within a second. When memcached has evicted it, a new one is made: the values
before it are lost, never another's. `Ring` says which of several servers holds a key.
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
_SURE_LENGTH = MAX_WIRE_BYTES // 4  # characters: UTF-8 takes four bytes for one at most
_HARMLESS = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

T = TypeVar("T")


def spelled(key: str) -> bytes:
    """Return *key* as memcached takes it: as it is, else a digest of it."""
    # PERF: one look decides for nearly every key; what is printable and no space is harmless.
    if len(key) <= _SURE_LENGTH and key.isprintable() and " " not in key and key:
        return key.encode()
    wire = key.encode("utf-8", "surrogatepass")
    if len(wire) <= MAX_WIRE_BYTES and _HARMLESS.fullmatch(key):
        return wire
    return b"%h:" + hashlib.blake2b(wire, digest_size=32).hexdigest().encode()


class MemcachedNode:
    """A server, as one cache of one loop sees it.

    Args:
        pool: The way there.
        head: What this cache's own keys begin with; empty when nothing tells them from others.
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
        """Return *key* as it is on the wire to this server; asks the server for the generation when due."""
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
        """Make the server forget what this cache has there."""
        fresh = _new_generation()
        await self.run(lambda link: link.set(self._generation_key, fresh.encode()))
        self._learn(fresh)

    async def _refresh(self) -> None:
        """Ask for the generation, once for all who want it; make one where there is none."""
        async with self._asking:
            before = self._asked_at
            if self._loop.time() - before < FRESH_SECONDS:
                return
            found = await self.run(self._read_or_make)
            if self._asked_at == before:  # else this process has cleared meanwhile and knows better
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
    """The servers of one cache.

    Args:
        names: The servers' names, each different.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        placed = sorted((_place(f"{name}#{point}"), name) for name in names for point in range(POINTS))
        self._places = [place for place, _ in placed]
        self._owners = [name for _, name in placed]

    def owner(self, key: str, is_out: Callable[[str], bool] | None = None) -> str:
        """Return the name of the server that holds *key*.

        Args:
            is_out: Tells servers that are passed over for the next on the circle; when all are, the first counts.
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
