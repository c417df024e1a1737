"""A Redis Cluster: each command goes to the node that holds its key's slot; one `RedisLink` per node.

key ── CRC16 mod 16384 ── slot ── node ── RedisLink        commands of one loop turn share a round trip per node
MOVED    the slot is on another node: follow the redirection, and reload the slot map
ASK      the slot is being migrated: send this command to the other node, once
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any

from redis.crc import key_slot

from torngas_aio.cache.circuit_breaker import PROBE_SECONDS, CircuitBreaker
from torngas_aio.cache.redis.connection import ReplyError, WireLost, pack
from torngas_aio.cache.redis.native import CONNECTION_FAULTS, Node
from torngas_aio.cache.redis.pipelining import RedisLink
from torngas_aio.utils.numbers import parse_whole

__all__ = ["ClusterLink"]

logger = logging.getLogger("torngas_aio.cache")

ASKING = pack(("ASKING",))
MOST_HOPS = 5
RELEARN_PAUSE = 0.5
"""Minimum seconds between two reloads of the slot map while nodes are unreachable."""

_REDIRECTS = {"MOVED", "ASK"}
_STALE = {"MOVED", "CLUSTERDOWN"}


class ClusterLink:
    """The links to all nodes of one cluster, and the slot map that assigns keys to nodes.

    Args:
        nodes: The startup nodes, which are asked for the slot map first.
        learn: Returns the node of each slot; asks the given nodes in turn, within the given seconds.
        open_link: Returns the link to a node; called once per node.
        seconds: Timeout for loading the slot map.
        longest_pause: The maximum pause between two attempts to load the map while no node answers, in seconds.
        name: The cluster's name in the log.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        learn: Callable[[Sequence[Node], float], Awaitable[list[Node | None]]],
        open_link: Callable[[Node], RedisLink],
        seconds: float,
        longest_pause: float,
        *,
        name: str,
    ) -> None:
        self._first_nodes = tuple(nodes)
        self._learn = learn
        self._open_link = open_link
        self._seconds = seconds
        self._breaker = CircuitBreaker(
            f"The Redis Cluster at {name}", lambda: self._fetch(PROBE_SECONDS), longest_pause
        )
        self._loop = asyncio.get_running_loop()
        self._links: dict[Node, RedisLink] = {}
        self._map: list[RedisLink | None] = []
        self._learning: asyncio.Task[str] | None = None
        self._learn_at = 0.0

    async def on(self, key: str, packed: bytes) -> Any:
        """Send one command about *key*; return the reply, or a `ReplyError` or `WireLost` as a value."""
        if not self._map and (fault := await self._wait_for_map()):
            return WireLost(fault)
        link = self._map[key_slot(key.encode())]
        if link is None:
            self._relearn()
            return ReplyError("CLUSTERDOWN no node holds the key's slot")
        reply = await link.execute(packed)
        return await self._follow_redirects(packed, link, reply) if isinstance(reply, Exception) else reply

    async def on_each(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        """Send all *commands*, each about its key, in one round trip per node; return the replies in order."""
        if not self._map and (fault := await self._wait_for_map()):
            return [WireLost(fault)] * len(commands)
        links = [self._map[key_slot(key.encode())] for key, _ in commands]
        issued = [
            None if link is None else link.execute(packed) for link, (_, packed) in zip(links, commands, strict=True)
        ]
        replies: list[object] = []
        for link, future, (_, packed) in zip(links, issued, commands, strict=True):
            if link is None or future is None:
                self._relearn()
                replies.append(ReplyError("CLUSTERDOWN no node holds the key's slot"))
                continue
            reply = await future
            replies.append(await self._follow_redirects(packed, link, reply) if isinstance(reply, Exception) else reply)
        return replies

    async def masters(self) -> "list[RedisLink] | WireLost":
        """Return the links of all nodes that hold slots."""
        if not self._map and (fault := await self._wait_for_map()):
            return WireLost(fault)
        return list(dict.fromkeys(link for link in self._map if link is not None))

    async def aclose(self) -> None:
        """Close every node's link; the next use reloads the map. Calling it twice is harmless."""
        await self._breaker.aclose()
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait([self._learning])
        links, self._links, self._map = self._links, {}, []
        for link in links.values():
            await link.aclose()

    async def _follow_redirects(self, packed: bytes, link: RedisLink, reply: Exception) -> object:
        """Follow redirections; reload the slot map if the reply shows that it is outdated."""
        for _ in range(MOST_HOPS):
            if isinstance(reply, WireLost) or (isinstance(reply, ReplyError) and reply.code in _STALE):
                self._relearn()
            if not isinstance(reply, ReplyError) or reply.code not in _REDIRECTS:
                return reply
            node = _target(str(reply), link, self._links)
            if node is None:
                return reply
            link, is_asking = self._link_to(node), reply.code == "ASK"
            answer = (await link.execute_all([ASKING, packed]))[1] if is_asking else await link.execute(packed)
            if not isinstance(answer, Exception):
                return answer
            reply = answer
        return reply

    def _link_to(self, node: Node) -> RedisLink:
        link = self._links.get(node)
        if link is None:
            link = self._links[node] = self._open_link(node)
        return link

    # The slot map

    async def _wait_for_map(self) -> str:
        """Load the slot map, once for all waiting callers; return the error message, "" on success."""
        learning = self._learning
        if self._breaker.is_open:
            return self._breaker.reason
        if learning is None:
            learning = self._start_learning()
        await asyncio.wait([learning])  # not the task itself: neither may cancel the other
        return "the cache was closed" if learning.cancelled() else learning.result()

    def _relearn(self) -> None:
        if self._learning is None and self._loop.time() >= self._learn_at:
            self._start_learning()

    def _start_learning(self) -> asyncio.Task[str]:
        # A new context: the task outlives the request that triggered it.
        self._learning = self._loop.create_task(self._learn_map(), context=Context())
        return self._learning

    async def _learn_map(self) -> str:
        fault = ""
        try:
            await self._fetch(self._seconds)
        except CONNECTION_FAULTS as exc:
            fault = str(exc) or f"no node sent the cluster's slot map within {self._seconds:g} s"
        except Exception as exc:  # a boundary: waiting callers must get every error
            logger.exception("Loading the slot map of a Redis Cluster failed.")
            fault = repr(exc)
        finally:
            self._learning = None
            self._learn_at = self._loop.time() + RELEARN_PAUSE
            if fault:
                self._breaker.failed(fault)
        return fault

    async def _fetch(self, seconds: float) -> None:
        """Request the slot map, within *seconds*, and install it."""
        async with asyncio.timeout(seconds):
            nodes = await self._learn(list(dict.fromkeys([*self._links, *self._first_nodes])), seconds)
        self._map = [None if node is None else self._link_to(node) for node in nodes]
        self._breaker.succeeded()
        for node, link in list(self._links.items()):
            if link.is_down and link not in self._map:  # another node took over its slots: stop probing it
                del self._links[node]
                await link.aclose()


def _target(message: str, link: RedisLink, links: dict[Node, RedisLink]) -> Node | None:
    """Parse `MOVED 3999 host:port`; an empty host means the replying node's. Return None for any other text."""
    host, _, port = message.rpartition(" ")[2].rpartition(":")
    if not host:
        host = next((node[0] for node, each in links.items() if each is link), "")
    number = parse_whole(port, max_digits=5)
    return None if number is None else (host.strip("[]"), number)
