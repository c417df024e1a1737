"""With the cache down, `get_or_set` and `cached` compute: bounded, once for all callers, within one deadline."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.services.process import HOST, free_port
from torngas_aio.cache import attempts, cached
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.cache.backends.memcached import MemcachedCache
from torngas_aio.exception import CacheUnavailable


class FailingCache(LocMemCache):
    """Fails from the given operation on; each takes its time."""

    fails_from = 0
    seconds = 0.0
    can_swap = True

    def __init__(self, location: Any = "", params: Any = None) -> None:
        super().__init__(location, params)
        self.asked: list[str] = []

    async def _meet(self, name: str) -> None:
        self.asked.append(name)
        await asyncio.sleep(self.seconds)
        if len(self.asked) > self.fails_from:
            raise CacheUnavailable(f"{self.label} at 10.9.9.9:6379: refused.")

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        await self._meet("get")
        return await super().get(*args, **kwargs)

    async def set(self, *args: Any, **kwargs: Any) -> None:
        await self._meet("set")
        await super().set(*args, **kwargs)

    async def add(self, *args: Any, **kwargs: Any) -> bool:
        await self._meet("add")
        return await super().add(*args, **kwargs)

    async def raw_add(self, *args: Any, **kwargs: Any) -> bool:
        await self._meet("lock")
        return await super().raw_add(*args, **kwargs)


@pytest.fixture
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[FailingCache]:
    cache = FailingCache(request.node.nodeid, {"ALIAS": "far"})
    yield cache
    await cache.close()


Compute = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


@pytest.fixture(params=["get_or_set", "cached", "cached with a lease"])
def compute(request: pytest.FixtureRequest, cache: FailingCache, monkeypatch: pytest.MonkeyPatch) -> Compute:
    """Compute a key by a loader, kept in *cache*."""
    if request.param == "get_or_set":
        return cache.get_or_set
    monkeypatch.setattr(sys.modules["torngas_aio.cache.cached"], "caches", {"default": cache})
    lease = 5 if request.param == "cached with a lease" else 0

    def through_cached(key: str, load: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        @cached(60, key=key, lease=lease)
        async def function() -> Any:
            return await load()

        return function()

    return through_cached


@pytest.mark.parametrize("fails_from", range(5))
async def test_the_loader_runs_once_wherever_the_cache_fails(
    cache: FailingCache, compute: Compute, fails_from: int, caplog: pytest.LogCaptureFixture
) -> None:
    cache.fails_from = fails_from
    calls = 0

    async def load() -> str:
        nonlocal calls
        calls += 1
        return "computed"

    assert await compute("key", load) == "computed"
    assert calls == 1
    assert len(cache.asked) <= fails_from + 1, "after the first error the cache is not asked again"
    assert all(record.exc_info is None for record in caplog.records)


async def test_single_flight_is_kept(cache: FailingCache, compute: Compute) -> None:
    calls = 0
    go = asyncio.Event()

    async def load() -> int:
        nonlocal calls
        calls += 1
        await go.wait()
        return calls

    tasks = [asyncio.ensure_future(compute("key", load)) for _ in range(50)]
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*tasks) == [1] * 50
    assert calls == 1


async def test_loaders_are_bounded(cache: FailingCache, compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "LOADERS_AT_ONCE", 3)
    cache._set_deadline(5)
    running = most = 0

    async def load() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return "computed"

    assert await asyncio.gather(*(compute(f"key{number}", load) for number in range(20))) == ["computed"] * 20
    assert most == 3
    cache._set_deadline(0.01)
    stuck = [asyncio.ensure_future(compute(f"key{number}", asyncio.Event().wait)) for number in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    with pytest.raises(CacheUnavailable, match="3 loaders that may run in its place were busy"):
        await compute("other", load)
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    assert await compute("other", load) == "computed", "a loader that is cancelled gives its place back"


async def test_an_error_of_the_loader_is_its_own(cache: FailingCache, compute: Compute) -> None:
    async def load() -> str:
        raise CacheUnavailable("another cache, the loader's")

    with pytest.raises(CacheUnavailable, match="another cache"):
        await compute("key", load)
    with pytest.raises(CacheUnavailable, match="another cache"):
        await compute("key", load)


async def test_the_operations_share_one_deadline(cache: FailingCache, compute: Compute) -> None:
    cache.fails_from = 100
    cache.seconds = 0.06
    cache._set_deadline(0.1)

    async def load() -> str:
        await asyncio.sleep(0.15)  # its own time is not counted
        return "computed"

    assert await compute("key", load) == "computed"
    assert len([name for name in cache.asked if name != "lock"]) <= 3, "the fourth would be beyond the deadline"


@pytest.mark.memcached
async def test_loaders_in_place_of_a_memcached_that_reads_as_misses_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "LOADERS_AT_ONCE", 2)
    cache = MemcachedCache(f"{HOST}:{free_port()}", {"OPTIONS": {"RETRY_SECONDS": 60}})
    assert await cache.get("key") is None
    running = most = 0

    async def load() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return 1

    assert await asyncio.gather(*(cache.get_or_set(f"key{number}", load) for number in range(10))) == [1] * 10
    assert most == 2
    await cache.close()
