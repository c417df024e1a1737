"""The suite's subjects behind a network: Redis alone, as a cluster and behind sentinels.

The servers are this suite's own and are emptied before each test.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.contracts.cache.subject import Subject
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.backends.rediscache import RedisCache

__all__ = ["NETWORKED", "subject_cluster", "subject_redis", "subject_sentinel"]

NETWORKED = (
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("cluster", marks=pytest.mark.redis),
    pytest.param("sentinel", marks=pytest.mark.redis),
)


@asynccontextmanager
async def opened(kind: Callable[[object, dict[str, object]], BaseCache], location: object) -> AsyncIterator[Subject]:
    caches: list[BaseCache] = []

    def make(**params: object) -> BaseCache:
        caches.append(kind(location, params))
        return caches[-1]

    try:
        yield Subject(make, asyncio.sleep, unit=0.25)
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
