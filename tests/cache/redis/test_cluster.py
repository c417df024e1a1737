"""A cluster of three real nodes: keys spread, slots move, nodes die; and a watched master that is replaced."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.crc import key_slot

from tests.cache.redis.test_connection import until_right
from tests.services.process import HOST, free_port
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer, command
from torngas_aio.cache.backends.rediscache import RedisCache
from torngas_aio.exception import CacheUnavailable

pytestmark = pytest.mark.redis

NODE_SIZE = 5461  # slots of the first node, 0 to 5460


@pytest.fixture
async def cache(redis_cluster: RedisCluster) -> AsyncIterator[RedisCache]:
    cache = RedisCache(redis_cluster.url, {"ALIAS": "spread", "KEY_PREFIX": "p", "OPTIONS": {"RETRY_SECONDS": 0.05}})
    await cache.clear()
    yield cache
    await cache.close()


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def lone_cluster(own_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """This module's own, to pause and kill; mended and emptied after each test."""
    yield own_cluster
    own_cluster.heal()


def key_on_first_node(cache: RedisCache, number: int = 0) -> str:
    """A key whose slot is on the first node, the *number*th such."""
    found = [f"key{each}" for each in range(1000) if slot_of(cache, f"key{each}") < NODE_SIZE - 1]
    return found[number]


def slot_of(cache: RedisCache, key: str) -> int:
    return key_slot(cache.keys_of.make(key).encode())


async def test_many_keys_take_one_round_trip_per_node(cache: RedisCache, redis_cluster: RedisCluster) -> None:
    data = {f"key{number}": number for number in range(300)}
    await cache.set_many(data)
    assert await cache.get_many([*data, "absent"]) == data
    shares = [len(node.command("KEYS", "p:*").splitlines()) for node in redis_cluster.nodes]
    assert sum(shares) == 300
    assert min(shares) > 50
    assert sorted(await cache.keys("key1?")) == [f"key1{number}" for number in range(10)]
    await cache.delete_many(list(data)[:100])
    assert len(await cache.get_many(data)) == 200
    await cache.clear()
    assert await cache.get_many(data) == {}


async def test_the_native_client_is_redis_pys_cluster(cache: RedisCache) -> None:
    assert await cache.client.set("native", "x")
    assert await cache.client.get("native") == b"x"


async def test_a_slot_that_moves_is_followed_while_it_moves_and_after(
    cache: RedisCache, redis_cluster: RedisCluster
) -> None:
    source, target, third = redis_cluster.nodes
    here, fresh = key_on_first_node(cache, 0), key_on_first_node(cache, 0) + "-fresh"
    await cache.set(here, 1)
    slot = str(slot_of(cache, here))
    ids = [node.command("CLUSTER", "MYID") for node in (source, target)]
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    try:
        assert await cache.get(here) == 1  # not moved yet: the source still answers
        made = cache.keys_of.make(here)
        source.command("MIGRATE", HOST, str(target.port), made, "0", "5000")
        assert await cache.get(here) == 1  # ASK
        assert await cache.incr(here) == 2
        assert await cache.get_many([here, fresh]) == {here: 2}
    finally:
        for node in (target, source, third):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    assert await cache.get(here) == 2  # MOVED
    await until_right(lambda: cache.get_many([here]), {here: 2})


async def test_a_dead_node_takes_its_own_keys_away_only(lone_cluster: RedisCluster) -> None:
    options = {"RETRY_SECONDS": 0.05, "DEADLINE": 0.5}
    cache = RedisCache(lone_cluster.url, {"ALIAS": "spread", "OPTIONS": options})
    data = {f"key{number}": number for number in range(60)}
    await cache.set_many(data)
    gone = {key for key in data if slot_of(cache, key) < NODE_SIZE}
    left = sorted(data.keys() - gone)
    lone_cluster.nodes[0].process.kill()
    for key in gone:
        with pytest.raises(CacheUnavailable, match=r"CACHES\['spread'\]"):
            await cache.get(key)
    assert await cache.get_many(left) == {key: data[key] for key in left}
    with pytest.raises(CacheUnavailable):
        await cache.get_many(data)
    assert set(await cache.set_many(data)) == gone
    with pytest.raises(CacheUnavailable):
        await cache.ping()
    await asyncio.to_thread(lone_cluster.nodes[0].process.start)
    await until_right(lambda: cache.get(next(iter(gone)), "empty"), "empty")
    await cache.close()


async def test_a_cluster_with_a_frozen_node_is_still_found(lone_cluster: RedisCluster) -> None:
    lone_cluster.nodes[0].process.pause()
    cache = RedisCache(lone_cluster.url, {"OPTIONS": {"DEADLINE": 2, "RETRY_SECONDS": 0.05}})
    key = next(f"key{number}" for number in range(100) if slot_of(cache, f"key{number}") > NODE_SIZE)
    await until_right(lambda: cache.get(key, "absent"), "absent")
    lone_cluster.nodes[0].process.resume()
    await cache.close()


async def test_no_node_at_all_is_said_once_in_a_while_asked() -> None:
    location = f"redis+cluster://{HOST}:{free_port()},{HOST}:{free_port()}"
    cache = RedisCache(location, {"ALIAS": "spread", "OPTIONS": {"RETRY_SECONDS": 60}})
    found = await asyncio.gather(*(cache.get(f"key{each}") for each in range(20)), return_exceptions=True)
    assert {type(each) for each in found} == {CacheUnavailable}
    for call in (cache.get("key"), cache.get_many(["a", "b"]), cache.clear(), cache.ping()):
        with pytest.raises(CacheUnavailable, match=r"CACHES\['spread'\]"):
            await call
    await cache.close()


async def test_closing_while_the_map_is_learned_fails_the_callers(lone_cluster: RedisCluster) -> None:
    for node in lone_cluster.nodes:
        node.process.pause()
    cache = RedisCache(lone_cluster.url, {"OPTIONS": {"DEADLINE": 15}})
    calls = [asyncio.create_task(cache.get(f"key{each}")) for each in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    await cache.close()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in found] == [asyncio.CancelledError, CacheUnavailable, CacheUnavailable]
    for node in lone_cluster.nodes:
        node.process.resume()


async def test_a_single_server_named_as_a_cluster_is_refused(redis_server: RedisServer) -> None:
    cache = RedisCache(f"redis+cluster://{redis_server.address}", {"ALIAS": "spread"})
    with pytest.raises(CacheUnavailable, match=r"[Cc]luster"):
        await cache.get("key")
    await cache.close()


async def test_slots_without_a_node_are_said(lone_cluster: RedisCluster) -> None:
    cache = RedisCache(lone_cluster.url, {"OPTIONS": {"RETRY_SECONDS": 0.05}})
    await cache.set("key", 1)
    slot, owner = str(slot_of(cache, "key")), lone_cluster.master_of(cache.keys_of.make("key"))
    for node in lone_cluster.nodes:
        node.command("CLUSTER", "DELSLOTS", slot)
    with pytest.raises(CacheUnavailable, match="no node"):
        await cache.get("key")
    other = RedisCache(lone_cluster.url, {})
    for call in (other.get("key"), other.get_many(["key"])):
        with pytest.raises(CacheUnavailable, match="no node"):
            await call
    owner.command("CLUSTER", "ADDSLOTS", slot)
    await other.close()
    await cache.close()


async def test_sentinels_lead_to_the_new_master() -> None:
    with RedisSentinels() as watched:
        cache = RedisCache(watched.url, {"ALIAS": "watched", "OPTIONS": {"RETRY_SECONDS": 0.1, "DEADLINE": 1}})
        await cache.set("key", 1)
        await cache.client.wait(1, 5000)
        watched.sentinels[0].pause()  # a frozen sentinel is passed over
        watched.first.process.kill()
        with pytest.raises(CacheUnavailable, match="mymaster"):
            await cache.set("key", 0)
        watched.sentinels[0].resume()
        await asyncio.to_thread(watched.fail_over)
        await until_right(lambda: cache.get("key"), 1)
        await cache.set("key", 2)
        assert command(watched.second.port, "EXISTS", cache.keys_of.make("key")) == "1"
        assert await cache.client.ping()
        await cache.close()
