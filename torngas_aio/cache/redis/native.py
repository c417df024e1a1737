"""redis-py's own clients and connections to a location. Its retries are disabled; deadlines and the circuit breaker
are implemented here.

native_client    the user's `.client`: Redis or RedisCluster, on a blocking pool (callers wait when it is full)
maker            a factory of single connections, for `RedisLink`
discover         the cluster's slot map: the node that holds each slot
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from torngas_aio._cleanup import close_each
from torngas_aio.cache.redis.location import RedisLocation
from torngas_aio.cache.redis.sentinel import SentinelPool, SentinelWatch

__all__ = ["CONNECTION_FAULTS", "discover", "maker", "native_client", "node_client"]

Node = tuple[str, int]

# TypeError: raised when redis-py writes to a transport that the loop has just closed (Python 3.12's `writelines`).
CONNECTION_FAULTS = (RedisError, RedisClusterException, OSError, TimeoutError, TypeError)
"""The exceptions that redis-py's clients raise while the server does not answer."""


def native_client(
    location: RedisLocation, watch: SentinelWatch | None
) -> tuple["Redis | RedisCluster", AsyncExitStack]:
    """Return redis-py's client for *location* and the exit stack that closes it.

    Args:
        watch: Of the location's sentinels, None where there are none.
    """
    stack = AsyncExitStack()
    client: Redis | RedisCluster
    if location.kind == "cluster":
        client = _cluster(location, location.nodes, location.deadline)
    elif watch is not None:
        limits: dict[str, object] = {"max_connections": location.max_connections, "timeout": location.deadline}
        client = _redis(location, SentinelPool(location, watch, **limits, **_arguments(location, None)))
    else:
        blocking = BlockingConnectionPool(
            connection_class=location.connection_class,
            max_connections=location.max_connections,
            timeout=location.deadline,
            **_arguments(location, location.nodes[0] if location.nodes else None),
        )
        client = _redis(location, blocking)
    stack.push_async_callback(client.aclose)
    return client, stack


def node_client(location: RedisLocation, node: Node) -> Redis:
    """Return redis-py's client of one node of a cluster; the caller closes it."""
    pool = ConnectionPool(connection_class=location.connection_class, **_arguments(location, node))
    return _redis(location, pool)


def maker(
    location: RedisLocation, watch: SentinelWatch | None, node: Node | None = None
) -> Callable[[], AbstractConnection]:
    """Return a factory of unopened connections.

    Args:
        watch: Of the location's sentinels, None where there are none.
        node: The cluster node to connect to; None for the location's own server or master.

    They use RESP2, which has no push messages, so replies can be matched by order alone.
    """
    if watch is not None:
        sentinel_pool = SentinelPool(location, watch, **_arguments(location, None, protocol=2))
        return sentinel_pool.make_connection
    if node is None and location.nodes:
        node = location.nodes[0]
    pool = ConnectionPool(connection_class=location.connection_class, **_arguments(location, node, protocol=2))
    return pool.make_connection


async def discover(location: RedisLocation, nodes: Sequence[Node], seconds: float) -> list[Node | None]:
    """Return, for each of the 16,384 slots, the master that holds it; None for a slot without one.

    Args:
        nodes: The nodes to ask in turn until one answers; each gets an equal share of the time.
        seconds: Timeout for all of them together.

    Raises:
        RedisError, RedisClusterException, OSError, TimeoutError: No node answered.
    """
    # Use only the nodes manager: the client's own initialize() also asks one node for its commands, and that node
    # may be unresponsive.
    manager = _cluster(location, nodes, seconds / (len(nodes) + 1)).nodes_manager
    try:
        await manager.initialize()
        slots = manager.slots_cache
        return [(slots[slot][0].host, int(slots[slot][0].port)) if slots.get(slot) else None for slot in range(16384)]
    finally:
        closings = manager.aclose, partial(manager.aclose, "startup_nodes")
        await close_each((location.name, each) for each in closings)


def _redis(location: RedisLocation, pool: ConnectionPool) -> Redis:
    """Return a client on *pool*, as `Redis.from_pool` does, but without reading redis-py's version from disk."""
    driver = {key: value for key, value in location.arguments.items() if key == "driver_info"}
    client = Redis(connection_pool=pool, **driver)
    client.auto_close_connection_pool = True
    return client


def _arguments(location: RedisLocation, node: Node | None, **further: object) -> dict[str, Any]:
    where: dict[str, object] = {"host": node[0], "port": node[1]} if node else {}
    return {
        "socket_timeout": location.deadline,
        "socket_connect_timeout": location.deadline,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": location.ping_interval,
        **location.arguments,
        **where,
        **further,
    }


def _cluster(location: RedisLocation, nodes: Sequence[Node], seconds: float) -> RedisCluster:
    arguments = _arguments(location, None, socket_timeout=seconds, socket_connect_timeout=seconds)
    arguments.pop("parser_class", None)  # RedisCluster uses its own
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in nodes],
        require_full_coverage=False,
        max_connections=location.max_connections,
        ssl=location.is_tls,
        **arguments,
    )
