"""Calls gathered into one write: cancelled, many, one loop after another."""

import asyncio

import pytest

from tests.cache.redis.conftest import Make
from tests.cache.redis.test_connection import settles_at
from tests.cache.storm import storm
from tests.services.proxy import Proxy
from tests.services.redis import RedisServer
from torngas_aio.cache.backends.rediscache import RedisCache
from torngas_aio.exception import CacheUnavailable

pytestmark = pytest.mark.redis


async def test_a_server_slower_than_its_callers_holds_them_back(make: Make, lone_redis: RedisServer) -> None:
    """More bytes than socket buffers take wait in the queue, and all arrive in the end."""
    cache = make(lone_redis.address, DEADLINE=10)
    await cache.ping()
    lone_redis.process.pause()
    calls = [asyncio.create_task(cache.set(f"key{number}", b"x" * 100_000)) for number in range(100)]
    async with asyncio.timeout(5):
        while not cache._connected()._wire.is_congested:  # type: ignore[union-attr]
            await asyncio.sleep(0)
    calls += [asyncio.create_task(cache.set(f"key{number}", b"y" * 100_000)) for number in range(100)]
    for _ in range(5):
        await asyncio.sleep(0)
    lone_redis.process.resume()
    await asyncio.gather(*calls)
    found = await cache.get_many([f"key{number}" for number in range(100)])
    assert set(found.values()) == {b"y" * 100_000}


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_cancelled_at_each_turn_disturbs_nobody(make: Make, lone_redis: RedisServer, turns: int) -> None:
    """The first call connects, so early turns cancel it amid connecting, later ones amid the answer."""
    cache = make(lone_redis.address, DEADLINE=5)
    call = asyncio.create_task(cache.set("mine", "m"))
    others = [asyncio.create_task(cache.get(f"absent{number}", number)) for number in range(5)]
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    assert await asyncio.gather(*others) == [0, 1, 2, 3, 4]
    await asyncio.wait([call])
    await cache.set("next", "n")
    assert await cache.get("next") == "n"
    await settles_at(lone_redis, 1)
    await cache.close()
    await settles_at(lone_redis, 0)


async def test_a_cancelled_call_keeps_the_connection_and_its_place(make: Make, lone_redis: RedisServer) -> None:
    async with Proxy(lone_redis.port) as proxy:
        cache = make(proxy.address, DEADLINE=5)
        await cache.set_many({"a": "a", "b": "b", "c": "c"})
        proxy.stall()
        sent = proxy.sent
        first, second, third = (asyncio.create_task(cache.get(key)) for key in "abc")
        await proxy.wait_for_sent(sent + 1)
        second.cancel()
        await asyncio.wait([second])
        proxy.flow()
        assert await first == "a"
        assert await third == "c"
        assert proxy.connections == 1


async def test_a_call_cancelled_before_its_turn_ends_is_never_sent(make: Make, lone_redis: RedisServer) -> None:
    cache = make(lone_redis.address)
    await cache.ping()
    call = asyncio.create_task(cache.set("key", "never"))
    asyncio.get_running_loop().call_soon(call.cancel)
    await asyncio.wait([call])
    assert await cache.get("key", "absent") == "absent"


async def test_closing_while_it_connects_fails_the_callers(make: Make, lone_redis: RedisServer) -> None:
    lone_redis.process.pause()
    cache = make(lone_redis.address, DEADLINE=30)
    call = asyncio.create_task(cache.get("key"))
    while not cache._loop:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await cache.close()
    with pytest.raises(CacheUnavailable, match=r"closed|given up"):
        await call
    lone_redis.process.resume()
    await asyncio.to_thread(lone_redis.command, "PING")
    assert await cache.get("key", "again") == "again"


async def test_a_storm_with_half_of_the_calls_cancelled(make: Make, lone_redis: RedisServer) -> None:
    await stormed(make(lone_redis.address, DEADLINE=10), lone_redis, 100_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_storm_of_a_million(make: Make, lone_redis: RedisServer) -> None:
    await stormed(make(lone_redis.address, DEADLINE=10), lone_redis, 1_000_000)


async def stormed(cache: RedisCache, server: RedisServer, operations: int) -> None:
    await cache.ping()
    before = executed(server)
    tally = await storm(cache, operations)
    assert tally.faults == []
    assert tally.answered + tally.cancelled == operations
    assert tally.cancelled > operations * 0.4
    checks = 200 + 8 + 200 + 8  # what the storm itself puts first and reads last
    left = executed(server) - before - checks - tally.answered
    assert left > tally.cancelled / 3, "too few were cancelled after their bytes had left"
    await settles_at(server, 1)


def executed(server: RedisServer) -> int:
    """How many of the storm's commands the server has run; a script counts once."""
    calls = 0
    for line in server.command("INFO", "commandstats").splitlines():
        name, _, rest = line.partition(":")
        if name in {"cmdstat_get", "cmdstat_mget", "cmdstat_set", "cmdstat_evalsha", "cmdstat_eval"}:
            calls += int(rest.split(",")[0].removeprefix("calls="))
    return calls


async def test_thousands_of_callers_share_one_connection(make: Make, lone_redis: RedisServer) -> None:
    cache = make(lone_redis.address, DEADLINE=10)
    assert await cache.add("n", 0)
    numbers = await asyncio.gather(*(cache.incr("n") for _ in range(5000)))
    assert sorted(numbers) == list(range(1, 5001))
    await settles_at(lone_redis, 1)


def test_a_cache_made_in_one_loop_serves_the_next(lone_redis: RedisServer) -> None:
    cache = RedisCache(lone_redis.address, {})

    async def use(value: int) -> None:
        await cache.set("key", value)
        assert await cache.get("key") == value
        assert await cache.client.ping()
        await cache.close()

    asyncio.run(use(1))
    asyncio.run(use(2))
    asyncio.run(settles_at(lone_redis, 0))
