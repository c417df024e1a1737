"""Networked backends of the suite: single Redis, cluster and sentinels; three memcached servers.

The servers are flushed before each test.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.contracts.cache.subject import Subject
from tests.services.memcached import MemcachedServer
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.backends.memcached import MemcachedCache
from torngas_aio.cache.backends.rediscache import RedisCache

__all__ = ["NETWORKED", "subject_cluster", "subject_memcached", "subject_redis", "subject_sentinel"]

NETWORKED = (
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("cluster", marks=pytest.mark.redis),
    pytest.param("sentinel", marks=pytest.mark.redis),
    pytest.param("memcached", marks=pytest.mark.memcached),
)


@asynccontextmanager
async def opened(
    kind: Callable[[object, dict[str, object]], BaseCache], location: object, **differences: Any
) -> AsyncIterator[Subject]:
    caches: list[BaseCache] = []

    def make(**params: Any) -> BaseCache:
        # Longer than the default timeouts, for busy machines.
        caches.append(kind(location, {**params, "OPTIONS": {"DEADLINE": 10, **params.get("OPTIONS", {})}}))
        return caches[-1]

    try:
        yield Subject(make, **{"wait": asyncio.sleep, "unit": 0.5, **differences})
    finally:
        for cache in caches:
            await cache.close()


@pytest.fixture
async def subject_redis(redis_server: RedisServer) -> AsyncIterator[Subject]:
    redis_server.command("FLUSHALL")
    async with opened(RedisCache, redis_server.address) as subject:
        yield subject


@pytest.fixture
async def subject_cluster(redis_cluster: RedisCluster) -> AsyncIterator[Subject]:
    for node in redis_cluster.nodes:
        node.command("FLUSHALL")
    async with opened(RedisCache, redis_cluster.url) as subject:
        yield subject


@pytest.fixture
async def subject_sentinel(redis_sentinels: RedisSentinels) -> AsyncIterator[Subject]:
    redis_sentinels.first.command("FLUSHALL")
    async with opened(RedisCache, redis_sentinels.url) as subject:
        yield subject


@pytest.fixture
async def subject_memcached(memcached_servers: list[MemcachedServer]) -> AsyncIterator[Subject]:
    for server in memcached_servers:
        server.command("flush_all")

    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds + 0.2)  # its clock ticks once a second

    location = [server.address for server in memcached_servers]
    differences = {
        "wait": wait,
        "unit": 1.0,
        "can_list": False,
        "takes_spaces": False,
        "max_value_bytes": 1_000_000,
        "clear_seconds": 1.0,
    }
    async with opened(MemcachedCache, location, **differences) as subject:
        yield subject
