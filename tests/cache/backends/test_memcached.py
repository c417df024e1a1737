"""What is memcached's own: the ring, generations, odd keys, long lives, counting below zero, LOCATION and OPTIONS."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.services.memcached import MemcachedServer
from torngas_aio.cache.backends.memcached import MONTH_SECONDS, MemcachedCache, _exptime
from torngas_aio.cache.memcached import node as nodes
from torngas_aio.cache.memcached.node import Ring, spelled

Make = Callable[..., MemcachedCache]


@pytest.fixture
async def make(memcached_servers: list[MemcachedServer]) -> AsyncIterator[Make]:
    made: list[MemcachedCache] = []

    def open_cache(**params: Any) -> MemcachedCache:
        made.append(MemcachedCache([server.address for server in memcached_servers], params))
        return made[-1]

    yield open_cache
    for cache in made:
        await cache.close()


@pytest.fixture
async def cache(make: Make, request: pytest.FixtureRequest) -> MemcachedCache:
    return make(KEY_PREFIX=request.node.name)


# The ring


def test_keys_spread_evenly_and_alike_in_every_process() -> None:
    names = [f"10.0.0.{number}:11211" for number in range(1, 6)]
    ring, same = Ring(names), Ring(names[::-1])
    owners = [ring.owner(f"key{number}") for number in range(10_000)]
    assert owners == [same.owner(f"key{number}") for number in range(10_000)]
    assert all(1400 < owners.count(name) < 2600 for name in names)


def test_a_new_server_takes_its_share_and_moves_nothing_else() -> None:
    names = [f"10.0.0.{number}:11211" for number in range(1, 6)]
    small, large = Ring(names[:4]), Ring(names)
    moved = {number for number in range(10_000) if small.owner(f"key{number}") != large.owner(f"key{number}")}
    assert {large.owner(f"key{number}") for number in moved} == {names[4]}
    assert 1400 < len(moved) < 2600


def test_servers_that_are_out_are_passed_over_until_all_are() -> None:
    ring = Ring(["a", "b", "c"])
    first = ring.owner("key")
    second = ring.owner("key", lambda name: name == first)
    assert second != first
    third = ring.owner("key", lambda name: name in {first, second})
    assert {first, second, third} == {"a", "b", "c"}
    assert ring.owner("key", lambda name: True) == first
    assert Ring(["a"]).owner("key", lambda name: True) == "a"


# Keys


@pytest.mark.parametrize("key", ["a" * 250, "p:1:k", "日本", "%session:x"])
def test_a_harmless_key_goes_as_it_is(key: str) -> None:
    assert spelled(key) == key.encode()


@pytest.mark.parametrize(
    "key", ["a" * 251, "日" * 84, "two words", "line\r\nend", "tab\t", "\x7f", "\x85", "\ud800", ""]
)
def test_any_other_key_goes_as_a_digest(key: str) -> None:
    wire = spelled(key)
    assert wire.startswith(b"%h:")
    assert len(wire) <= 250
    assert wire != spelled(key + "x")


@pytest.mark.memcached
async def test_keys_that_memcached_would_misread_are_kept_apart(cache: MemcachedCache) -> None:
    odd = ["%lock:two words", "%lock:two", "%lock:" + "x" * 300, "%lock:" + "x" * 301, "%lock:a\r\nflush_all\r\n"]
    for number, key in enumerate(odd):
        await cache.raw_set(key, b"%d" % number, None)
    assert await cache.raw_get_many(odd) == {key: b"%d" % number for number, key in enumerate(odd)}
    for number, key in enumerate(odd):
        assert await cache.raw_get(key) == b"%d" % number
    await cache.raw_delete_many(odd)
    assert await cache.raw_get_many(odd) == {}


@pytest.mark.memcached
async def test_the_longest_key_still_works_behind_a_generation(make: Make) -> None:
    cache = make(KEY_PREFIX="long")
    key = "k" * (250 - len("long:1:"))
    await cache.set(key, 1)
    assert await cache.get(key) == 1
    await cache.clear()
    assert await cache.get(key) is None


# Clearing


@pytest.mark.memcached
async def test_another_process_sees_a_clear_within_a_second(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = make(KEY_PREFIX="shared"), make(KEY_PREFIX="shared")
    other = make(KEY_PREFIX="other")
    data = {f"key{number}": number for number in range(30)}
    await here.set_many(data)
    await other.set_many(data)
    await here.raw_set("%session:1", b"kept", None)
    assert await there.get_many(data) == data
    await here.clear()
    assert await here.get_many(data) == {}
    monkeypatch.setattr(nodes, "FRESH_SECONDS", 0.0)
    assert nodes.FRESH_SECONDS < 1
    assert await there.get_many(data) == {}
    assert await other.get_many(data) == data
    assert await there.raw_get("%session:1") == b"kept"


def test_generations_are_asked_for_again_within_a_second() -> None:
    assert 0 < nodes.FRESH_SECONDS < 1


@pytest.mark.memcached
async def test_a_clear_is_not_undone_by_a_question_under_way(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(KEY_PREFIX="race")
    await cache.set("key", "old")
    monkeypatch.setattr(nodes, "FRESH_SECONDS", 0.0)
    answers = await asyncio.gather(*(cache.get("key") for _ in range(20)), cache.clear())
    assert set(answers) <= {"old", None}
    assert await cache.get("key") is None


@pytest.mark.memcached
async def test_an_evicted_generation_loses_the_values_and_shows_no_others(make: Make) -> None:
    cache, fresh = make(KEY_PREFIX="evicted"), make(KEY_PREFIX="evicted")
    await cache.set("key", "old")
    node = cache._node(cache.keys_of.make("key"))
    assert await node.run(lambda link: link.delete(spelled("%generation:evicted:")))
    assert await fresh.get("key") is None
    await fresh.set("key", "new")
    await fresh.close()
    assert await make(KEY_PREFIX="evicted").get("key") == "new"


@pytest.mark.memcached
async def test_only_its_own_prefix_can_be_cleared(make: Make) -> None:
    cache = make(KEY_PREFIX="own")
    with pytest.raises(NotImplementedError, match="own prefix only"):
        await cache.raw_clear("other:")
    hidden = make(KEY_FUNCTION=lambda key, prefix, version: key)
    await hidden.set("key", 1)
    assert await hidden.get("key") == 1
    with pytest.raises(NotImplementedError, match="KEY_FUNCTION"):
        await hidden.clear()


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
    async with asyncio.timeout(5):
        while pool._idle:
            await asyncio.sleep(0.01)
    assert pool._idle_timer is None
    assert await cache.get("key7") == 7
    assert len(pool._idle) == 1, "a connection in use stays"
    await cache.close()
    assert pool._idle_timer is None
