"""The in-process cache beyond the contract: culling, purging, sharing, speed-ups that must not be seen."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tests.contracts.cache.subject import Clock
from tests.polling import until
from torngas_aio.cache.backends.localcache import LocMemCache


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(request: pytest.FixtureRequest | str, clock: Clock, **options: Any) -> LocMemCache:
    location = request if isinstance(request, str) else request.node.nodeid
    cache = LocMemCache(location, {"OPTIONS": options})
    cache.clock = clock
    return cache


async def test_the_least_recently_used_go_first(request: pytest.FixtureRequest, clock: Clock) -> None:
    cache = made(request, clock, MAX_ENTRIES=6, CULL_FREQUENCY=3)
    for number in range(6):
        await cache.set(f"k{number}", number)
    await cache.get("k0")
    await cache.set("k1", "again")
    await cache.set("new", 1)
    assert sorted(await cache.keys()) == ["k0", "k1", "k4", "k5", "new"]
    await cache.close()


async def test_the_expired_go_before_the_living(request: pytest.FixtureRequest, clock: Clock) -> None:
    cache = made(request, clock, MAX_ENTRIES=4, CULL_FREQUENCY=2)
    await cache.set("old", 1, None)
    await cache.set("short1", 1, 5)
    await cache.set("short2", 1, 5)
    await cache.set("young", 1, None)
    await clock.wind(6)
    await cache.set("new", 1, None)
    assert sorted(await cache.keys()) == ["new", "old", "young"]
    await cache.close()


async def test_a_cull_frequency_of_0_empties_the_cache(request: pytest.FixtureRequest, clock: Clock) -> None:
    cache = made(request, clock, MAX_ENTRIES=3, CULL_FREQUENCY=0)
    for number in range(4):
        await cache.set(f"k{number}", number)
    assert await cache.keys() == ["k3"]
    await cache.close()


@pytest.mark.parametrize("way", ["set", "add", "raw_add", "set_many"])
async def test_it_never_holds_more_than_max_entries(request: pytest.FixtureRequest, clock: Clock, way: str) -> None:
    cache = made(request, clock, MAX_ENTRIES=50)
    for number in range(300):
        key = f"k{number}"
        if way == "set_many":
            await cache.set_many({key: 1})
        elif way == "raw_add":
            await cache.raw_add(cache.keys_of.make(key), b"1", None)
        else:
            await getattr(cache, way)(key, 1)
        assert len(await cache.keys()) <= 50
    assert await cache.get("k299") == 1
    await cache.close()


async def test_culling_spares_reserved_keys(request: pytest.FixtureRequest, clock: Clock) -> None:
    cache = made(request, clock, MAX_ENTRIES=3)
    await cache.raw_set("%s::id", b"session", None)
    for number in range(50):
        await cache.set(f"k{number}", number)
    assert await cache.raw_get("%s::id") == b"session"
    await cache.clear()
    assert await cache.raw_get("%s::id") == b"session"


async def test_caches_of_one_location_share_and_others_do_not(clock: Clock) -> None:
    one, two, other = made("shared", clock), made("shared", clock), made("apart", clock)
    await one.set("key", 1, None)
    assert await two.get("key") == 1
    assert await other.get("key") is None
    del one, two
    gc.collect()
    assert await made("shared", clock).get("key") is None, "a location lives as long as a cache uses it"


async def test_expired_entries_are_purged_in_slices(
    request: pytest.FixtureRequest, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torngas_aio.cache.backends.localcache._PURGE_SLICE", 10)
    cache = made(request, clock, PURGE_INTERVAL=0.001)
    for number in range(35):
        await cache.set(f"k{number}", number, 5)
    await cache.raw_set("%s::id", b"x", 5)
    await cache.set("stays", 1, None)
    await clock.wind(6)
    place = cache._location
    await until(lambda: len(place.cached.entries) <= 1 and not place.reserved.entries)
    assert await cache.keys() == ["stays"]
    await cache.close()
    assert cache._timer is None


async def test_without_an_interval_nothing_is_scheduled(request: pytest.FixtureRequest, clock: Clock) -> None:
    cache = made(request, clock, PURGE_INTERVAL=0)
    await cache.set("key", 1, 5)
    assert cache._timer is None


async def test_the_timer_keeps_no_forgotten_cache_alive(clock: Clock) -> None:
    cache = made("forgotten", clock, PURGE_INTERVAL=0.001)
    await cache.set("key", 1, 5)
    ref = weakref.ref(cache)
    del cache
    gc.collect()
    assert ref() is None
    await asyncio.sleep(0.005)  # the timer fires into nothing


async def test_counters_and_raw_bytes_are_the_same_value(request: pytest.FixtureRequest, clock: Clock) -> None:
    cache = made(request, clock)
    await cache.set("n", 5)
    assert await cache.raw_get(":1:n") == b"5"
    await cache.incr("n")
    assert await cache.get("n") == 6
    assert await cache.raw_get(":1:n") == b"6"
    await cache.raw_set(":1:m", b"7", None)
    assert await cache.get("m") == 7
    await cache.set("flat", [1])
    found = await cache.gets("flat")
    assert found is not None
    assert found.value == [1]
    await cache.close()


async def test_an_entry_taken_away_by_another_thread_midway_is_still_answered(
    request: pytest.FixtureRequest, clock: Clock
) -> None:
    cache = made(request, clock)

    class Racing:
        """A clock that is looked at between finding an entry and moving it up."""

        def __call__(self) -> float:
            cache._entries.pop(":1:key", None)
            return clock.now

    await cache.set("key", 1, None)
    cache.clock = Racing()
    assert await cache.get("key") == 1
    cache.clock = clock
    assert await cache.get("key") is None
