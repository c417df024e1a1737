"""redis-py's client configured from settings, and the link for the cache's own commands; one of each per event loop.

.client         redis-py's client, on a blocking pool (callers wait when it is full)
._connected()   `RedisLink` or `ClusterLink`: one connection (per node), shared by all callers
._raise()       turns an error reply or a lost connection into an exception for callers
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, NoReturn, cast

from redis.asyncio import Redis, RedisCluster

from torngas_aio._cleanup import close_with_loop, forget
from torngas_aio.cache.circuit_breaker import LONGEST_PAUSE, suspect_timeout_of
from torngas_aio.cache.redis.cluster import ClusterLink
from torngas_aio.cache.redis.connection import ReplyError, WireLost, pack
from torngas_aio.cache.redis.location import read_location
from torngas_aio.cache.redis.native import Node, discover, maker, native_client
from torngas_aio.cache.redis.pipelining import RedisLink
from torngas_aio.cache.redis.sentinel import SentinelWatch
from torngas_aio.cache.store import option
from torngas_aio.exception import CacheUnavailable, SerializationError, Unavailable
from torngas_aio.utils.kinds import positive

__all__ = ["CLIENT_OPTIONS", "RedisClient"]

CLIENT_OPTIONS = frozenset({
    "DB", "USERNAME", "PASSWORD", "DEADLINE", "RETRY_SECONDS", "PING_INTERVAL", "POOL_KWARGS", "PARSER_CLASS",
    "SENTINEL_KWARGS",
})  # fmt: skip
"""OPTIONS of `RedisClient`, for the checks of other services that use it."""


class RedisClient:
    """redis-py's asyncio client, configured from settings: `await client.client.lpush("queue", "job")`.

    redis-py's retries are disabled, so that an outage is reported within the deadline.

    Args:
        location: LOCATION, see `torngas_aio.cache.backends.rediscache`.
        params: The rest of the alias's settings, and SETTING, the name of the setting for messages ("CACHES").
            OPTIONS: DB, USERNAME, PASSWORD, POOL_KWARGS (redis-py's keyword arguments for connections, and
            `max_connections`), PARSER_CLASS, PING_INTERVAL (seconds), DEADLINE (seconds for each reply, 2.0),
            RETRY_SECONDS (the longest pause between two probes of a server that is down, 0.4), SENTINEL_KWARGS.

    Attributes:
        where: The servers' location, parsed from LOCATION and OPTIONS.

    Raises:
        ConfigError: LOCATION or OPTIONS is invalid.
    """

    alias: str
    _setting = "CACHES"

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        params = params or {}
        options: Mapping[str, object] = params.get("OPTIONS") or {}
        self.alias = str(params.get("ALIAS", ""))
        self._setting = params.get("SETTING", self._setting)
        self.where = read_location(location, options, self.label)
        self._longest_pause = option(options, "RETRY_SECONDS", LONGEST_PAUSE, positive, self.label)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._native: Redis | RedisCluster | None = None
        self._route: RedisLink | ClusterLink | None = None
        self._watch: SentinelWatch | None = None
        self._exits = AsyncExitStack()

    @property
    def label(self) -> str:
        """The client's name in messages: the setting's entry, else its class."""
        return f"{self._setting}[{self.alias!r}]" if self.alias else type(self).__name__

    @property
    def address(self) -> str:
        """The servers' addresses, without secrets."""
        return self.where.name

    @property
    def client(self) -> Any:
        """redis-py's client of this loop: a `redis.asyncio.Redis`, or a `RedisCluster`."""
        self._bind()
        if self._native is None:
            self._native, stack = native_client(self.where, self._open_watch())
            self._exits.push_async_callback(stack.aclose)
        return self._native

    @property
    def _client(self) -> object:
        """The name of `client` in torngas 1.8."""
        return self.client

    async def ping(self) -> None:
        """Return when every node has answered. Raises `Unavailable` if one does not answer in time."""
        for link in await self._links():
            reply = await link.execute(pack(("PING",)))
            if isinstance(reply, Exception):
                self._raise(reply)

    async def ask(self, key: str, *words: str | bytes | int | float) -> Any:
        """Send one command about *key* over the shared connection and return the reply.

        Raises:
            Unavailable: No reply within the deadline, or an error reply; in a cache, its subclass CacheUnavailable.
        """
        (reply,) = await self.ask_all(key, words)
        return reply

    async def ask_all(self, key: str, *commands: tuple[str | bytes | int | float, ...]) -> list[Any]:
        """Send *commands* about *key* together, in order, and return the replies; raises as `ask` does."""
        route, packed = self._connected(), [pack(words) for words in commands]
        if isinstance(route, RedisLink):
            replies = await route.execute_all(packed)
        else:
            replies = await route.on_each([(key, each) for each in packed])
        for reply in replies:
            if isinstance(reply, Exception):
                self._raise(reply, key)
        return replies

    async def close(self) -> None:
        """Close every connection; the next use reopens them. Calling it twice is harmless."""
        if self._loop is not asyncio.get_running_loop():
            return
        exits, self._exits = self._exits, AsyncExitStack()
        self._native = self._route = self._watch = self._loop = None
        forget(self)
        await exits.aclose()

    def _bind(self) -> None:
        """Attach to the running event loop; connections of a former loop, which has ended, are dropped."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._native, self._route, self._watch = loop, None, None, None
            self._exits = AsyncExitStack()
            close_with_loop(self, self.close)

    def _connected(self) -> RedisLink | ClusterLink:
        """Return the link to the server or cluster; created on first use."""
        self._bind()
        if self._route is None:
            where = self.where
            if where.kind == "cluster":
                self._route = ClusterLink(
                    where.nodes,
                    lambda nodes, seconds: discover(where, nodes, seconds),
                    self._link_to,
                    where.deadline,
                    self._longest_pause,
                    name=where.name,
                )
            else:
                self._route = self._link_to(None)
            self._exits.push_async_callback(self._route.aclose)
        return self._route

    def _link_to(self, node: Node | None) -> RedisLink:
        make = maker(self.where, self._open_watch(), node)
        name = self.where.name if node is None else f"{node[0]}:{node[1]}"
        deadline = self.where.deadline
        # Detect a silent server as fast as on an open connection; with sentinels, allow time for a failover.
        connecting = deadline if self.where.kind == "sentinel" else min(deadline, 2 * suspect_timeout_of(deadline))
        interval = self.where.ping_interval
        return RedisLink(make, deadline, self._longest_pause, name, ping_interval=interval, connect_seconds=connecting)

    def _open_watch(self) -> SentinelWatch | None:
        """Return the sentinel watch, created on first use; None without sentinels."""
        if self._watch is None and self.where.kind == "sentinel":
            self._watch = SentinelWatch(self.where)
            self._watch.on_move(self._leave)
            self._exits.push_async_callback(self._watch.aclose)
        return self._watch

    async def _leave(self, master: Node | None, reason: str) -> None:
        """Drop connections to any server other than *master*."""
        if isinstance(self._route, RedisLink) and self._route.peer != master:
            self._route.drop(reason)
        pool = None if self._native is None else cast(Any, self._native).connection_pool
        if pool is not None and (master is None or pool.master_address != master):
            await pool.disconnect()

    async def _links(self) -> list[RedisLink]:
        """Return the links to all masters."""
        route = self._connected()
        if isinstance(route, RedisLink):
            return [route]
        masters = await route.masters()
        return self._raise(masters) if isinstance(masters, WireLost) else masters

    def _raise(self, reply: Exception, key: str = "") -> NoReturn:
        """Raise the caller's exception for *reply*, an error reply or a lost connection."""
        code = reply.code if isinstance(reply, ReplyError) else ""
        if code == "WRONGTYPE":
            raise SerializationError(
                f"{self.label}: {key!r} holds another of Redis's types, not a cached value. Delete it there, or "
                "give this cache a KEY_PREFIX of its own."
            )
        if code == "READONLY" and isinstance(self._route, RedisLink):
            self._route.drop("the server turned into a replica")
        said = str(reply).rstrip(".")
        mend = _MENDS.get(code or said.partition(" ")[0], "" if code else "Is the server running, and reachable?")
        fault = f"answered {said!r}" if code else said
        kind = CacheUnavailable if self._setting == "CACHES" else Unavailable
        raise kind(f"{self.label} at {self.address}: {fault}. {mend}".rstrip()) from reply


_AUTH = "Set OPTIONS['PASSWORD'], and OPTIONS['USERNAME'] if the server has ACL users."
_MENDS = {
    "OOM": "It has no memory left: raise its maxmemory. If it holds only caches, set maxmemory-policy allkeys-lru.",
    "NOAUTH": _AUTH,
    "WRONGPASS": _AUTH,
    "NOPERM": "Grant its user this command and these keys.",
    "READONLY": "It is a replica: name the master in LOCATION, or use redis+sentinel://. "
    "With Sentinel, a failover is under way.",
    "NOREPLICAS": "Fewer replicas follow it than its min-replicas-to-write asks for.",
    "MISCONF": "It cannot write to its disk.",
    "LOADING": "It is starting; try again in a moment.",
    "CLUSTERDOWN": "Some of the cluster's slots have no node.",
}
