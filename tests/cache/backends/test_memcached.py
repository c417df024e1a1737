"""What is memcached's own: long lives, counting below zero, connections that nobody uses."""

import asyncio
import time

import pytest

from tests.cache.conftest import MakeMemcached
from tests.polling import until
from tests.services.memcached import MemcachedServer
from torngas_aio.cache.backends.memcached import MONTH_SECONDS, MemcachedCache, _exptime


@pytest.fixture
async def cache(make_memcached: MakeMemcached, request: pytest.FixtureRequest) -> MemcachedCache:
    return make_memcached(KEY_PREFIX=request.node.name)


# Lives


@pytest.mark.parametrize(
    ("timeout", "wire"),
    [(None, 0), (0.001, 2), (1, 2), (1.5, 3), (300, 301), (MONTH_SECONDS - 1, MONTH_SECONDS), (1e12, 0)],
)
def test_a_life_is_whole_seconds_never_shorter_than_asked(timeout: float | None, wire: int) -> None:
    assert _exptime(timeout) == wire


def test_a_life_above_thirty_days_is_a_time_of_the_calendar() -> None:
    for seconds in (MONTH_SECONDS, 90 * 24 * 3600):
        now = time.time()
        assert now + seconds <= _exptime(seconds) <= now + seconds + 3
    assert _exptime(2**31 - time.time()) == 0


@pytest.mark.memcached
async def test_ttl_of_long_short_and_endless_lives(cache: MemcachedCache) -> None:
    await cache.set_many({"long": 1}, 60 * 24 * 3600)
    await cache.set("short", 1, 100)
    await cache.set("ever", 1, None)
    assert 60 * 24 * 3600 - 3 <= (await cache.ttl("long") or 0) <= 60 * 24 * 3600 + 2  # its clock and ours
    assert 90 <= (await cache.ttl("short") or 0) <= 101
    assert await cache.ttl("ever") is None
    assert await cache.ttl("absent") == 0
    found = await cache.raw_read(cache.keys_of.make("short"), 1000)
    assert found is not None
    assert (await cache.ttl("short") or 0) > 900


# Counting


@pytest.mark.memcached
async def test_counting_crosses_zero_both_ways_and_keeps_the_life(cache: MemcachedCache) -> None:
    await cache.set("n", 2, 100)
    assert await cache.decr("n", 5) == -3
    assert await cache.incr("n", 1) == -2
    assert await cache.incr("n", 12) == 10
    assert await cache.decr("n", 9) == 1
    assert await cache.incr("n", 0) == 1
    assert 80 < (await cache.ttl("n") or 0) <= 101
    await cache.set("ever", 5, None)
    assert await cache.decr("ever", 6) == -1
    assert await cache.ttl("ever") is None
    with pytest.raises(ValueError, match="no key"):
        await cache.decr("absent")


@pytest.mark.memcached
async def test_counting_stays_within_64_bits(cache: MemcachedCache) -> None:
    for start, delta in ((2**63 - 1, 1), (-(2**63), -1), (2**63 - 2, 2**64)):
        await cache.set("n", start)
        with pytest.raises(ValueError, match="64 bits"):
            await cache.incr("n", delta)
        assert await cache.get("n") == start


@pytest.mark.memcached
async def test_a_counter_at_its_end_does_not_depend_on_what_its_memory_held(cache: MemcachedCache) -> None:
    made = cache.keys_of.make("n")
    for length in range(20, 60):  # memcached up to 1.6.18 takes a '-' behind the number for its sign
        await cache.raw_set(made, b"-" * length, None)
        await cache.delete("n")
        await cache.set("n", 2**63 - 1)
        with pytest.raises(ValueError, match="64 bits"):
            await cache.incr("n")
        assert await cache.get("n") == 2**63 - 1
        await cache.delete("n")


@pytest.mark.memcached
async def test_many_count_down_at_once(cache: MemcachedCache) -> None:
    await cache.set("n", 100)
    numbers = await asyncio.gather(*(cache.decr("n") for _ in range(200)))
    assert sorted(numbers) == list(range(-100, 100))


# LOCATION and OPTIONS


@pytest.mark.memcached
async def test_connections_that_nobody_uses_are_closed(memcached_servers: list[MemcachedServer]) -> None:
    cache = MemcachedCache(memcached_servers[0].address, {"OPTIONS": {"IDLE_SECONDS": 0.1, "POOL_SIZE": 8}})
    await asyncio.gather(*(cache.set(f"key{number}", number) for number in range(50)))
    pool = cache._node("any").pool
    most = len(pool._idle)
    assert most > 1
    await until(lambda: not pool._idle)
    assert pool._idle_timer is None
    assert await cache.get("key7") == 7
    assert len(pool._idle) == 1, "a connection in use stays"
    await cache.close()
    assert pool._idle_timer is None
