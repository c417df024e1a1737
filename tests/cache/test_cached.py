"""`cached`: fresh, ageing, stale, gone; one computes, the others wait."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from torngas_aio.cache import cached, caches
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.context import current_request, enter_request
from torngas_aio.exception import ArgumentError, DatabaseUnavailable
from torngas_aio.settings_manager import settings


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[BaseCache]:
    entry = {"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache", "LOCATION": request.node.nodeid}
    with settings.override(CACHES={"default": entry, "second": {**entry, "LOCATION": "second"}}):
        found = caches["default"]
        found.clock = clock
        yield found
        await found.close()


class Loader:
    """Counts its calls; waits for `go` where the test says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        self.request: Any = None

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        await self.go.wait()
        self.request = current_request()
        if self.error is not None:
            raise self.error
        return number


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_result_is_kept_until_its_timeout(cache: BaseCache, clock: Clock) -> None:
    load = Loader()

    @cached(60, clock=clock)
    async def top(section: str, limit: int = 10) -> tuple[int, str, int]:
        return await load(), section, limit

    assert await top("a") == (1, "a", 10)
    assert await top("a", 10) == (1, "a", 10)
    assert await top(section="a", limit=10) == (1, "a", 10)
    assert await top("b") == (2, "b", 10)
    clock.now += 59
    assert (await top("a"))[0] == 1
    clock.now += 1
    assert (await top("a"))[0] == 3


async def test_concurrent_callers_compute_once(cache: BaseCache, clock: Clock) -> None:
    load = Loader()
    load.go.clear()

    @cached(60, clock=clock)
    async def top() -> int:
        return await load()

    tasks = [asyncio.ensure_future(top()) for _ in range(50)]
    await turns()
    load.go.set()
    assert await asyncio.gather(*tasks) == [1] * 50


async def test_an_ageing_result_is_given_while_one_refreshes_it(cache: BaseCache, clock: Clock) -> None:
    load = Loader()

    @cached(60, ahead=10, clock=clock)
    async def top() -> int:
        return await load()

    assert await top() == 1
    clock.now += 49
    assert await top() == 1
    await turns()
    assert load.calls == 1
    clock.now += 1
    load.go.clear()
    token = enter_request(object())  # type: ignore[arg-type]  # whatever request it is
    assert [await top() for _ in range(5)] == [1] * 5
    token.var.reset(token)
    await turns()
    assert load.calls == 2
    load.go.set()
    await turns()
    assert load.request is None, "the refreshing outlives the request that started it"
    assert await top() == 2


@pytest.mark.parametrize(("kind", "lines"), [(DatabaseUnavailable, 1), (KeyError, 5)])
async def test_a_database_that_is_down_is_a_line_for_all_the_refreshings_that_it_fails(
    cache: BaseCache, clock: Clock, kind: type[Exception], lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    fails = False

    @cached(60, stale=600, key=f"of-{kind.__name__}", clock=clock)
    async def top() -> int:
        if fails:
            raise kind("database 'default': no answer")
        return 1

    assert await top() == 1
    fails = True
    clock.now += 100
    for _ in range(5):
        assert await top() == 1
        await turns()
    told = [record for record in caplog.records if "refreshing" in record.getMessage()]
    assert len(told) == lines
    assert [record.exc_info is None for record in told] == [kind is DatabaseUnavailable] * lines


async def test_a_stale_result_is_given_while_one_computes_anew(cache: BaseCache, clock: Clock) -> None:
    load = Loader()

    @cached(60, stale=600, clock=clock)
    async def top() -> int:
        return await load()

    assert await top() == 1
    clock.now += 659
    assert await top() == 1
    await turns()
    assert await top() == 2
    clock.now += 660
    assert await top() == 3, "too old: waited for"


async def test_a_refresh_that_fails_is_logged_and_tried_again(
    cache: BaseCache, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    load = Loader()

    @cached(60, stale=600, clock=clock)
    async def top() -> int:
        return await load()

    await top()
    clock.now += 61
    load.error = OSError("the database is away")
    assert await top() == 1
    await turns()
    assert "the database is away" in caplog.text
    load.error = None
    assert await top() == 1
    await turns()
    assert await top() == 3


async def test_an_error_is_not_kept(cache: BaseCache, clock: Clock) -> None:
    load = Loader()
    load.error = LookupError("no")

    @cached(60, clock=clock)
    async def top() -> int:
        return await load()

    with pytest.raises(LookupError):
        await top()
    load.error = None
    assert await top() == 2


async def test_none_is_a_result(cache: BaseCache, clock: Clock) -> None:
    calls: list[int] = []

    @cached(None, clock=clock)
    async def nothing() -> None:
        calls.append(1)

    await nothing()
    clock.now += 1e9
    await nothing()
    assert calls == [1]


async def test_timeout_0_keeps_nothing_but_computes_once_at_a_time(cache: BaseCache, clock: Clock) -> None:
    load = Loader()

    @cached(0, clock=clock)
    async def top() -> int:
        return await load()

    assert await top() == 1
    assert await top() == 2


async def test_refresh_and_forget(cache: BaseCache, clock: Clock) -> None:
    load = Loader()

    @cached(60, key="top:{0}", clock=clock)
    async def top(section: str) -> int:
        """The best articles."""
        return await load()

    assert top.__doc__ == "The best articles."
    assert top.key_for("a") == "top:a"
    assert await top("a") == 1
    assert await top.refresh("a") == 2
    assert await top("a") == 2
    assert await top.forget("a")
    assert not await top.forget("a")
    assert await top("a") == 3


async def test_what_somebody_else_keeps_under_the_key_is_no_result(cache: BaseCache, clock: Clock) -> None:
    @cached(60, key="k", clock=clock)
    async def one() -> int:
        return 1

    await cache.set("k", "not ours")
    assert await one() == 1


async def test_methods_name_their_key(cache: BaseCache, clock: Clock) -> None:
    class User:
        def __init__(self, number: int) -> None:
            self.number = number

        @cached(60, key=lambda self: f"user:{self.number}", clock=clock)
        async def name(self) -> str:
            return f"user {self.number}"

    assert await User(1).name() == "user 1"
    assert await User(2).name() == "user 2"
    assert await cache.get("user:2") == [1060.0, "user 2"]
    assert User.name.key_for(User(3)) == "user:3"


async def test_another_alias(cache: BaseCache, clock: Clock) -> None:
    @cached(60, key="k", alias="second", clock=clock)
    async def one() -> int:
        return 1

    assert await one() == 1
    assert await caches["second"].has_key("k")
    assert not await cache.has_key("k")
    await caches["second"].close()


async def test_with_a_lease_one_of_all_processes_computes(cache: BaseCache, clock: Clock) -> None:
    load = Loader()
    load.go.clear()

    async def function() -> int:
        return await load()

    here, there = (cached(60, key="k", lease=30, clock=clock)(function) for _ in range(2))
    other = type(cache)(cache.location)  # another process's cache has flights of its own
    other.clock = clock
    first = asyncio.ensure_future(here())
    await turns()
    second = asyncio.ensure_future(there._compute(other, "k", (), {}))
    await turns()
    assert load.calls == 1
    load.go.set()
    assert (await first, await second) == (1, 1)
    await other.close()


async def test_with_a_lease_only_one_process_refreshes_behind(cache: BaseCache, clock: Clock) -> None:
    load = Loader()

    @cached(60, key="k", ahead=10, lease=30, clock=clock)
    async def top() -> int:
        return await load()

    await top()
    clock.now += 55
    async with cache.lock(_lock_of("k")):  # another process is at it
        assert await top() == 1
        await turns()
        assert load.calls == 1
    assert await top() == 1
    await turns()
    assert load.calls == 2


async def test_versions_of_one_key_are_computed_apart(cache: BaseCache, clock: Clock) -> None:
    load, other = Loader(), Loader()

    @cached(60, key="k", version=1, clock=clock)
    async def first() -> int:
        return await load()

    @cached(60, key="k", version=2, clock=clock)
    async def second() -> str:
        return f"second {await other()}"

    assert [*await asyncio.gather(first(), second())] == [1, "second 1"]


async def test_a_lock_that_a_dead_process_holds_does_not_stop_anybody(cache: BaseCache, clock: Clock) -> None:
    @cached(60, key="k", lease=0.02, clock=clock)
    async def one() -> int:
        return 1

    async with cache.lock(_lock_of("k"), lease=1e6):
        assert await one() == 1


async def test_closing_the_cache_ends_its_refreshes(cache: BaseCache, clock: Clock) -> None:
    load = Loader()

    @cached(60, stale=600, clock=clock)
    async def top() -> int:
        return await load()

    await top()
    clock.now += 61
    load.go.clear()
    await top()
    await turns()
    before = len(asyncio.all_tasks())
    await cache.close()
    assert len(asyncio.all_tasks()) == before - 1


def _lock_of(key: str) -> str:
    from torngas_aio.cache.cached import _lock_name

    return _lock_name(key)


async def test_what_cannot_be_decorated_is_refused() -> None:
    with pytest.raises(ArgumentError, match="async def"):
        cached(60)(lambda: 1)  # type: ignore[arg-type, return-value]  # what is refused

    with pytest.raises(ArgumentError, match="Name its key"):

        class Thing:
            @cached(60)
            async def method(self) -> None: ...


async def test_arguments_without_a_plain_value_want_a_key(cache: BaseCache) -> None:
    @cached(60)
    async def top(*args: object, **kwargs: object) -> int:
        return 1

    assert await top([1, ("a", None)], x={"a": 1.5}) == 1
    assert top.key_for(1) != top.key_for("1") != top.key_for(b"1") != top.key_for(True)
    with pytest.raises(ArgumentError, match="type object"):
        await top(object())


@pytest.mark.parametrize("name", ["timeout", "ahead", "stale", "lease"])
@pytest.mark.parametrize("value", [-1, math.nan, 10**400, "30", True, [1]], ids=str)
def test_a_duration_that_is_none_is_refused_at_once(name: str, value: Any) -> None:
    """Within a call it would pass for a failing cache, and nothing would ever be kept."""
    with pytest.raises(ArgumentError, match=rf"cached: {name} = .* number"):
        cached(**{name: value})


def test_an_endless_lease_is_refused_at_once() -> None:
    """As `cache.lock` would refuse it in each call."""
    with pytest.raises(ArgumentError, match="cached: lease = inf: must be a finite number"):
        cached(lease=math.inf)
