"""The memcached backend: one server, or several with the keys distributed among them.

    LOCATION = "10.0.0.1:11211"                          one server; "/path/memcached.sock" for a unix socket
    LOCATION = ["10.0.0.1:11211", "10.0.0.2:11211"]      several; or one str, separated by commas

    key ── Ring ── MemcachedNode ── MemcachedPool ── MemcachedLink (aiomcache)

While a server is down, reads of its keys are misses; writes, and `raw_read` (used by sessions), raise
`CacheUnavailable`. Its keys move to the other servers only with OPTIONS['REHASH'], because sessions deleted meanwhile
would reappear once it is back. Timeouts are whole seconds: up to two longer than requested, never shorter.
`incr` on negative numbers, `decr`, `ttl` and compare-and-delete need memcached 1.6.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from aiomcache import ClientException

from torngas_aio._cleanup import await_to_the_end, close_with_loop, forget
from torngas_aio._former_names import former_names
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.memcached.connection import MemcachedLink, ServerAnswer
from torngas_aio.cache.memcached.location import Address, read_location
from torngas_aio.cache.memcached.node import MemcachedNode, Ring
from torngas_aio.cache.memcached.pool import MemcachedPool, NodeDown
from torngas_aio.cache.store import Swap, Versioned
from torngas_aio.exception import CacheUnavailable, ValueTooLarge
from torngas_aio.utils.numbers import parse_integer, parse_whole

__all__ = ["MemcachedCache"]

MONTH_SECONDS = 30 * 24 * 3600
_FOREVER_AT = 2**31 - 1
_COUNTED = 2**63
_MAX_DIGITS = 20

T = TypeVar("T")


class MemcachedCache(BaseCache):
    """The cache contract on memcached.

    OPTIONS: DEADLINE (seconds for each call, 2.0), POOL_SIZE (connections to each server, 16), REHASH (False),
    RETRY_SECONDS (the longest pause between two probes of a server that is down, 0.4), MAX_VALUE_BYTES (1 MB; raise it
    with the server's -I), IDLE_SECONDS (after which an unused connection is closed, 60), SERIALIZER.

    Raises:
        ConfigError: LOCATION or OPTIONS cannot be understood.
    """

    can_swap = True
    refuses_spaces = True

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        super().__init__(location, params)
        self._where = read_location(location, self.options, self.label)
        self._set_deadline(self._where.deadline)
        self._ring = Ring(tuple(self._where.servers))
        self._nodes: dict[str, MemcachedNode] = {}
        self._counting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None

    def is_down_for(self, stored_key: str) -> bool:
        return self._node(stored_key).pool.is_down

    # One key

    async def raw_get(self, key: str) -> bytes | None:
        return await self._read(key, None, MemcachedLink.get)

    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        self._check_size(key, data)
        await self._write(key, lambda link, wire: link.set(wire, data, _exptime(timeout)))

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        self._check_size(key, data)
        return await self._write(key, lambda link, wire: link.add(wire, data, _exptime(timeout)))

    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        return await self._write(key, lambda link, wire: link.touch(wire, _exptime(timeout)))

    async def raw_delete(self, key: str) -> bool:
        return await self._write(key, MemcachedLink.delete)

    async def raw_ttl(self, key: str) -> float | None:
        found = await self._read(key, None, MemcachedLink.meta_get)
        if found is None:
            return 0.0
        return None if found.left < 0 else max(found.left - 1.0, 0.5)  # less the second added by `_exptime`

    async def raw_incr(self, key: str, delta: int) -> int | None:
        if not 0 <= delta < _COUNTED:  # memcached silently stops at 0 and wraps around after 64 bits
            return await self._count(key, delta)
        # Shielded: a cancellation between increment and undo would leave a number that is too large.
        return await await_to_the_end(self._incr(key, delta))

    async def _incr(self, key: str, delta: int) -> int | None:
        answer = await self._write(key, lambda link, wire: link.arithmetic(b"incr", wire, delta))
        if answer == b"NOT_FOUND":
            return None
        number = parse_whole(answer, _MAX_DIGITS)
        if number is None:  # negative, or not a number
            return await self._count(key, delta)
        if number >= _COUNTED:
            # Not `decr`: memcached 1.6.18 rejects it from 2**63 on if its memory holds a "-" after the number.
            await self._count(key, -delta, is_undo=True)
            raise self._no_number(key)
        return number

    # Compare-and-set

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Versioned | None:
        if touch != 0:
            flag = b"T%d" % _exptime(touch)
            value = await self._write(key, lambda link, wire: link.meta_get(wire, flag))
            return None if value is None else Versioned(value.data, value.cas)
        data, token = await self._write(key, MemcachedLink.gets)
        return None if data is None else Versioned(data, token)

    async def raw_swap(self, key: str, data: bytes, token: object, timeout: float | None) -> Swap:
        self._check_size(key, data)
        assert isinstance(token, int), f"{token!r} is not a token of this cache"
        if await self._write(key, lambda link, wire: link.cas(wire, data, token, _exptime(timeout))):
            return Swap(True, None)
        return Swap(False, await self.raw_read(key))

    async def raw_drop(self, key: str, token: object) -> bool:
        assert isinstance(token, int), f"{token!r} is not a token of this cache"
        return await self._write(key, lambda link, wire: link.meta_delete(wire, token))

    # Many keys

    async def raw_get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        async def fetch(node: MemcachedNode, mine: list[str]) -> dict[str, bytes]:
            wires = await node.spell_each(mine)
            found = await node.run(lambda link: link.multi_get(*wires))
            return {key: data for key, data in zip(mine, found, strict=True) if data is not None}

        merged: dict[str, bytes] = {}
        for node, outcome in await self._at_each(keys, fetch):
            if isinstance(outcome, dict):
                merged |= outcome
            elif not isinstance(outcome, NodeDown):
                raise self._unavailable(node, outcome) from outcome
        return merged

    async def raw_set_many(self, items: Mapping[str, bytes], timeout: float | None) -> list[str]:
        for key, data in items.items():
            self._check_size(key, data)

        async def store(node: MemcachedNode, mine: list[str]) -> list[str]:
            stored = [(wire, items[key]) for wire, key in zip(await node.spell_each(mine), mine, strict=True)]
            answers = await node.run(lambda link: link.store_each(b"set", stored, _exptime(timeout)))
            return [key for key, answer in zip(mine, answers, strict=True) if answer != b"STORED"]

        failed: list[str] = []
        outcomes = await self._at_each(items, store)
        for node, outcome in outcomes:
            if isinstance(outcome, list):
                failed += outcome
            elif len(outcomes) == 1 or not isinstance(outcome, NodeDown):
                raise self._unavailable(node, outcome) from outcome
            else:
                failed += [key for key in items if self._node(key) is node]
        if failed and len(failed) == len(items):
            raise self._unavailable(outcomes[0][0], NodeDown("no item could be stored"))
        return failed

    async def raw_delete_many(self, keys: Iterable[str]) -> None:
        async def delete(node: MemcachedNode, mine: list[str]) -> None:
            wires = await node.spell_each(mine)
            await node.run(lambda link: link.delete_each(wires))

        self._raise_first(await self._at_each(keys, delete))

    async def raw_clear(self, head: str) -> None:
        if head != self.keys_of.head:
            raise NotImplementedError(f"{self.label}: memcached can clear this cache's own prefix only, not {head!r}.")
        self._raise_first([(node, await _capture(node.renew())) for node in self._open_nodes().values()])

    async def raw_ping(self) -> None:
        self._raise_first(
            [(node, await _capture(node.run(MemcachedLink.version))) for node in self._open_nodes().values()]
        )

    async def raw_close(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            return
        nodes, self._nodes, self._loop = self._nodes, {}, None
        forget(self)
        for node in nodes.values():
            await node.pool.aclose()

    # To the servers and back

    async def _read(self, key: str, miss: T, call: Callable[[MemcachedLink, bytes], Awaitable[T]]) -> T:
        """Return the result of *call*; *miss* if the key's server is down."""
        node = self._node(key)
        try:
            wire = await node.spell(key)
            return await node.run(lambda link: call(link, wire))
        except NodeDown:
            return miss
        except (ServerAnswer, ClientException) as exc:
            raise self._unavailable(node, exc) from exc

    async def _write(self, key: str, call: Callable[[MemcachedLink, bytes], Awaitable[T]]) -> T:
        """Return the result of *call*; raise if the key's server is down."""
        node = self._node(key)
        try:
            wire = await node.spell(key)
            return await node.run(lambda link: call(link, wire))
        except (NodeDown, ServerAnswer, ClientException) as exc:
            if "too large" in str(exc):
                raise self._too_large(key) from exc
            raise self._unavailable(node, exc) from exc

    async def _at_each(
        self, keys: Iterable[str], call: Callable[[MemcachedNode, list[str]], Awaitable[T]]
    ) -> list[tuple[MemcachedNode, T | Exception]]:
        """Run *call* concurrently for every server that holds some of *keys*; return the results or errors."""
        shares: dict[MemcachedNode, list[str]] = {}
        for key in dict.fromkeys(keys):
            shares.setdefault(self._node(key), []).append(key)
        if len(shares) < 2:
            return [(node, await _capture(call(node, mine))) for node, mine in shares.items()]
        async with asyncio.TaskGroup() as group:
            tasks = [(node, group.create_task(_capture(call(node, mine)))) for node, mine in shares.items()]
        return [(node, task.result()) for node, task in tasks]

    async def _count(self, key: str, delta: int, *, is_undo: bool = False) -> int | None:
        """Add *delta* by compare-and-set, if memcached cannot; callers in this process run one after the other.

        Args:
            is_undo: Whether this reverts an overflow; the sum may then exceed 64 bits, due to concurrent callers.
        """
        lock = self._counting.get(key)
        if lock is None:
            lock = self._counting[key] = asyncio.Lock()
        async with lock:
            while True:
                found = await self._write(key, MemcachedLink.meta_get)
                if found is None:
                    return None
                number = self._number(key, found.data) + delta
                if not (is_undo or -_COUNTED <= number < _COUNTED):
                    raise self._no_number(key)
                data, token, left = b"%d" % number, found.cas, found.left
                if await self._write(key, lambda link, wire: link.meta_set(wire, data, token, left)):  # noqa: B023 - awaited here
                    return number

    def _open_nodes(self) -> dict[str, MemcachedNode]:
        """Return the servers' nodes for the running loop; those of a former loop, which has ended, are dropped."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._nodes = {name: self._open(name, address) for name, address in self._where.servers.items()}
            close_with_loop(self, self.close)
        return self._nodes

    def _open(self, name: str, address: Address) -> MemcachedNode:
        where = self._where
        pool = MemcachedPool(
            name, address, where.pool_size, where.deadline, where.longest_pause, idle_seconds=where.idle_seconds
        )
        return MemcachedNode(pool, self.keys_of.head)

    def _node(self, key: str) -> MemcachedNode:
        nodes = self._open_nodes()
        if self._where.rehashes:
            return nodes[self._ring.owner(key, lambda name: nodes[name].pool.is_down)]
        return nodes[self._ring.owner(key)]

    # Errors

    def _unavailable(self, node: MemcachedNode, exc: Exception) -> CacheUnavailable:
        fault = str(exc).rstrip(".")
        mend = "Is the server running, and reachable?"
        if "out of memory" in fault:
            mend = "It has no memory left for this size: raise its -m."
        elif not isinstance(exc, NodeDown):
            mend = "Is it a memcached of 1.6 or newer?"
        return CacheUnavailable(f"{self.label} at {node.pool.name}: {fault}. {mend}")

    def _raise_first(self, outcomes: list[tuple[MemcachedNode, Any]]) -> None:
        for node, outcome in outcomes:
            if isinstance(outcome, Exception):
                raise self._unavailable(node, outcome) from outcome

    def _check_size(self, key: str, data: bytes) -> None:
        if len(data) > self._where.max_value_bytes:
            raise self._too_large(key, len(data))

    def _too_large(self, key: str, size: int | None = None) -> ValueTooLarge:
        told = f"has {size} bytes" if size else "is larger than the server takes"
        return ValueTooLarge(
            f"{self.label}: the value for {key!r} {told}; {self._where.max_value_bytes} are the most. Cache less, or "
            "raise the server's -I and OPTIONS['MAX_VALUE_BYTES']."
        )

    def _number(self, key: str, data: bytes) -> int:
        number = parse_integer(data.rstrip(b" "), _MAX_DIGITS)  # memcached pads a shortened number with spaces
        if number is None:
            raise self._no_number(key)
        return number

    def _no_number(self, key: str) -> ValueError:
        return ValueError(f"{self.label}: the value under {key!r} is not an integer of 64 bits, before or after.")


async def _capture(call: Awaitable[T]) -> T | Exception:
    """Return the result or the error of *call*, so that one server's failure does not end the others' calls."""
    try:
        return await call
    except (NodeDown, ServerAnswer, ClientException) as exc:
        return exc


def _exptime(timeout: float | None) -> int:
    """Return *timeout* as memcached's exptime.

    Its clock ticks in whole seconds, and the first tick may follow immediately, so one second is added. Above 30 days
    memcached reads the number as a Unix timestamp.
    """
    if timeout is None or timeout > _FOREVER_AT:
        return 0
    seconds = math.ceil(timeout) + 1
    if seconds <= MONTH_SECONDS:
        return seconds
    at = int(time.time()) + seconds
    return at if at < _FOREVER_AT else 0


__getattr__ = former_names(__name__)
