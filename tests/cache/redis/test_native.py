"""redis-py's own client and its bounded pool."""

import asyncio
import gc
import warnings

import pytest
import redis

from tests.cache.redis.test_connection import settles_at
from tests.services.redis import RedisCluster, RedisServer
from torngas_aio.cache.backends.rediscache import RedisClient
from torngas_aio.cache.redis.location import read_location
from torngas_aio.cache.redis.native import discover

pytestmark = pytest.mark.redis


async def test_a_full_native_pool_makes_callers_wait(lone_redis: RedisServer) -> None:
    cache = RedisClient(lone_redis.address, {"OPTIONS": {"POOL_KWARGS": {"max_connections": 1}, "DEADLINE": 5}})
    blocking = asyncio.create_task(cache.client.blpop("queue", timeout=5))
    await settles_at(lone_redis, 1)
    waiting = asyncio.create_task(cache.client.ping())
    lone_redis.command("RPUSH", "queue", "job")
    assert list(await blocking) == [b"queue", b"job"]
    assert await waiting
    await cache.close()


async def test_a_full_native_pool_gives_up_at_the_deadline(lone_redis: RedisServer) -> None:
    cache = RedisClient(lone_redis.address, {"OPTIONS": {"POOL_KWARGS": {"max_connections": 1}, "DEADLINE": 0.2}})
    held = await cache.client.connection_pool.get_connection()
    with pytest.raises(redis.ConnectionError, match="No connection available"):
        await cache.client.ping()
    await cache.client.connection_pool.release(held)
    assert await cache.client.ping()
    await cache.close()


async def test_learning_the_slots_can_be_cancelled_anywhere(redis_cluster: RedisCluster) -> None:
    """No connection is left open, whatever it was waiting for."""
    where = read_location(redis_cluster.url, {}, "CACHES['default']")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for steps in [*range(50)] * 4:
            task = asyncio.create_task(discover(where, where.nodes, 5.0))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            del task
        gc.collect()
    assert [str(each.message) for each in caught if "nclosed" in str(each.message)] == []
