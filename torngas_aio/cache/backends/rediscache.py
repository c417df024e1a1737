"""The Redis cache backend, and the plain Redis client.

    RedisClient(location, params)   `.client`: redis-py's own client, on a blocking pool (callers wait when it is full)
    RedisCache(location, params)    the cache contract, and `.client`

LOCATION is `host:port`, a unix socket's path, `redis://`, `rediss://`, `redis+cluster://h1:p1,h2:p2` or
`redis+sentinel://h1:p1,h2:p2/mymaster`. The cache's own commands do not use the pool: the commands issued in one turn
of the event loop share one round trip on one connection (per node). Requires Redis 6.2 or newer.
"""

import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from hashlib import sha1
from typing import Any

from torngas_aio._former_names import former_names
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.redis.client import RedisClient
from torngas_aio.cache.redis.connection import ReplyError, pack
from torngas_aio.cache.redis.pipelining import RedisLink
from torngas_aio.cache.store import Swap, Versioned
from torngas_aio.exception import ValueTooLarge

__all__ = ["MAX_VALUE_BYTES", "RedisCache", "RedisClient"]

MAX_VALUE_BYTES = 512 * 1024 * 1024
"""Redis's limit on one value, in bytes."""

SCAN_COUNT = 1000
FOREVER_MS = 2**52  # over 100,000 years; Redis rejects an expiry that overflows its clock


class _Script:
    """A Lua script for one key, sent by its digest; in full if the server does not have it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


# Lua's numbers are exact up to 53 bits only, so the sum is read with GET as text.
_INCR = _Script(
    """
    if redis.call('EXISTS', KEYS[1]) == 0 then return false end
    redis.call('INCRBY', KEYS[1], ARGV[1])
    return redis.call('GET', KEYS[1])
    """
)

_SWAP = _Script(
    """
    local now = redis.call('GET', KEYS[1])
    if now ~= ARGV[1] then return now end
    if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2])
    else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
    return 1
    """
)

_DROP = _Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end return 0")


class RedisCache(BaseCache, RedisClient):
    """The cache contract on Redis; OPTIONS as for `RedisClient`, and SERIALIZER.

    The token of compare-and-set is the stored value itself. Redis increments integers.
    """

    can_swap = True

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        BaseCache.__init__(self, location, params)
        RedisClient.__init__(self, location, params)
        self._set_deadline(self.where.deadline)

    # One key

    async def raw_get(self, key: str) -> bytes | None:
        reply = await self._ask(key, "GET", key)
        return _bytes_or_none(reply)

    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        self._check_size(key, data)
        await self._send(key, _set_command(key, data, timeout))

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        self._check_size(key, data)
        reply = await self._send(key, _set_command(key, data, timeout, "NX"))
        return reply is not None

    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        if timeout is not None:
            return bool(await self._ask(key, "PEXPIRE", key, _milliseconds(timeout)))
        # PERSIST replies only whether it removed an expiry, so EXISTS is sent in the same round trip.
        _, is_there = await self._send_each([(key, pack(("PERSIST", key))), (key, pack(("EXISTS", key)))])
        return bool(is_there)

    async def raw_delete(self, key: str) -> bool:
        return bool(await self._ask(key, "UNLINK", key))

    async def raw_has(self, key: str) -> bool:
        return bool(await self._ask(key, "EXISTS", key))

    async def raw_incr(self, key: str, delta: int) -> int | None:
        reply = await self._run(_INCR, key, delta)
        if isinstance(reply, ReplyError) and ("not an integer" in str(reply) or "overflow" in str(reply)):
            raise ValueError(f"{self.label}: the value under {key!r} is not an integer of 64 bits, before or after.")
        checked = self._check_reply(reply, key)
        return None if checked is None else int(checked)

    async def raw_ttl(self, key: str) -> float | None:
        left = int(await self._ask(key, "PTTL", key))
        if left == -1:
            return None
        return max(left, 0) / 1000

    # Compare-and-set

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Versioned | None:
        if touch == 0:
            data = await self.raw_get(key)
        else:
            life = ("PERSIST",) if touch is None else ("PX", _milliseconds(touch))
            data = _bytes_or_none(await self._ask(key, "GETEX", key, *life))
        return None if data is None else Versioned(data, data)

    async def raw_swap(self, key: str, data: bytes, token: object, timeout: float | None) -> Swap:
        self._check_size(key, data)
        life = "" if timeout is None else _milliseconds(timeout)
        reply = self._check_reply(await self._run(_SWAP, key, _as_bytes(token), data, life), key)
        if reply == 1:
            return Swap(True, Versioned(data, data))
        found = _bytes_or_none(reply)
        return Swap(False, None if found is None else Versioned(found, found))

    async def raw_drop(self, key: str, token: object) -> bool:
        return bool(self._check_reply(await self._run(_DROP, key, _as_bytes(token)), key))

    # Many keys

    async def raw_get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        listed = list(keys)
        if not listed:
            return {}
        if isinstance(self._connected(), RedisLink):
            replies = await self._ask(listed[0], "MGET", *listed)
        else:
            replies = await self._send_each([(key, pack(("GET", key))) for key in listed])
        return {key: data for key, data in zip(listed, replies, strict=True) if data is not None}

    async def raw_set_many(self, items: Mapping[str, bytes], timeout: float | None) -> list[str]:
        for key, data in items.items():
            self._check_size(key, data)
        replies = await self._issue([(key, _set_command(key, data, timeout)) for key, data in items.items()])
        failed = [key for key, reply in zip(items, replies, strict=True) if isinstance(reply, Exception)]
        if failed and len(failed) == len(items):
            self._check_reply(replies[0], failed[0])
        return failed

    async def raw_delete_many(self, keys: Iterable[str]) -> None:
        await self._send_each([(key, pack(("UNLINK", key))) for key in keys])

    async def raw_keys(self, head: str, pattern: str) -> list[str]:
        found: dict[bytes, None] = {}  # SCAN may return a key twice
        for link in await self._links():
            async for keys in self._scan(link, _literal(head) + pattern):
                found.update(dict.fromkeys(keys))
        return [key.decode("utf-8", "replace") for key in found]

    async def raw_clear(self, head: str) -> None:
        for link in await self._links():
            async for keys in self._scan(link, _literal(head) + "*"):
                for reply in await link.execute_all(pack(("UNLINK", key)) for key in keys):
                    self._check_reply(reply, head)

    async def raw_ping(self) -> None:
        await RedisClient.ping(self)

    async def raw_close(self) -> None:
        await RedisClient.close(self)

    # To the server and back

    async def _ask(self, key: str, *words: str | bytes | int) -> Any:
        return await self._send(key, pack(words))

    async def _send(self, key: str, packed: bytes) -> Any:
        """Return the reply to one command about *key*."""
        route = self._connected()
        reply = await (route.execute(packed) if type(route) is RedisLink else self._on(key, packed))
        if isinstance(reply, Exception):
            self._raise(reply, key)
        return reply

    async def _on(self, key: str, packed: bytes) -> Any:
        route = self._connected()
        return await (route.execute(packed) if isinstance(route, RedisLink) else route.on(key, packed))

    async def _issue(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        """Return the replies to *commands*, with errors as values; one round trip per node."""
        route = self._connected()
        if isinstance(route, RedisLink):
            return await route.execute_all([packed for _, packed in commands])
        return await route.on_each(commands)

    async def _send_each(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        replies = await self._issue(commands)
        return [self._check_reply(reply, key) for reply, (key, _) in zip(replies, commands, strict=True)]

    async def _run(self, script: _Script, key: str, *words: str | bytes | int) -> Any:
        """Return a script's reply; an error is returned, not raised."""
        reply = await self._on(key, pack(("EVALSHA", script.digest, 1, key, *words)))
        if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT":
            reply = await self._on(key, pack(("EVAL", script.text, 1, key, *words)))
        return reply

    def _check_reply(self, reply: object, key: str) -> Any:
        if isinstance(reply, Exception):
            self._raise(reply, key)
        return reply

    async def _scan(self, link: RedisLink, pattern: str) -> AsyncIterator[list[bytes]]:
        cursor = b"0"
        while True:
            reply = await link.execute(pack(("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)))
            cursor, keys = self._check_reply(reply, pattern)
            if keys:
                yield keys
            if cursor == b"0":
                return

    def _check_size(self, key: str, data: bytes) -> None:
        if len(data) > MAX_VALUE_BYTES:
            raise ValueTooLarge(
                f"{self.label}: the value for {key!r} has {len(data)} bytes; Redis accepts {MAX_VALUE_BYTES} at most."
            )


def _set_command(key: str, data: bytes, timeout: float | None, *flags: str) -> bytes:
    if timeout is None:
        return pack(("SET", key, data, *flags))
    return pack(("SET", key, data, "PX", _milliseconds(timeout), *flags))


def _milliseconds(timeout: float) -> int:
    return min(max(math.ceil(timeout * 1000), 1), FOREVER_MS) if timeout < FOREVER_MS else FOREVER_MS


def _literal(text: str) -> str:
    """Return a glob pattern that matches exactly *text*."""
    return "".join(f"\\{character}" if character in "*?[]^-\\" else character for character in text)


def _as_bytes(token: object) -> bytes:
    assert isinstance(token, bytes), f"{token!r} is not a token of this cache"
    return token


def _bytes_or_none(reply: object) -> bytes | None:
    assert reply is None or isinstance(reply, bytes)
    return reply


__getattr__ = former_names(__name__)
