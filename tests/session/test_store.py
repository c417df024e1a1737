"""The store's faults: down, cancelled, without compare-and-set; and what it costs in operations."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from tests.contracts.session.visitor import SECRET, Visitor
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.exception import CacheUnavailable, SessionError
from torngas_aio.session import SessionConfig, SessionStore
from torngas_aio.session import writers as writers_module

NETWORK = ("raw_get", "raw_set", "raw_add", "raw_touch", "raw_delete", "raw_read", "raw_swap", "raw_drop",
           "raw_get_many", "raw_delete_many")  # fmt: skip


class RemoteCache(LocMemCache):
    """A store behind a pretended network: counts round trips, can be down, takes its time."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.trips: list[str] = []
        self.is_down = False

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self._trip(name, found) if name in NETWORK else found

    def _trip(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        async def travel(*args: Any) -> Any:
            self.trips.append(name)
            await asyncio.sleep(0)
            if self.is_down:
                raise CacheUnavailable("CACHES['far'] at 10.9.9.9:6379: no answer within 2 s.")
            answer = await operation(*args)
            await asyncio.sleep(0)
            return answer

        return travel


class PlainCache(RemoteCache):
    can_swap: ClassVar[bool] = False


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> RemoteCache:
    return RemoteCache(request.node.nodeid)


def opened(cache: RemoteCache, **config: Any) -> Visitor:
    return Visitor(SessionStore(cache, SessionConfig.of({"secret_key": SECRET, **config})))


async def test_what_a_request_costs(cache: RemoteCache) -> None:
    visitor = opened(cache)

    async def cost(work: Callable[[Any], object]) -> list[str]:
        cache.trips.clear()
        async with visitor.request() as session:
            work(session)
        return cache.trips

    assert await cost(lambda session: session.get("a")) == []
    assert await cost(lambda session: session.update(a=1)) == ["raw_add"]
    assert await cost(lambda session: session.get("a")) == ["raw_read"]
    assert await cost(lambda session: session.update(a=2)) == ["raw_read", "raw_swap"]
    assert await cost(lambda session: session.incr("n")) == ["raw_read", "raw_swap"]
    assert await cost(lambda session: session.set_expire(600)) == ["raw_read", "raw_swap"]
    assert await cost(lambda session: session.get("a")) == ["raw_read"], "extended by the read itself"
    assert await cost(lambda session: session.cycle_id()) == ["raw_read", "raw_add", "raw_drop"]
    assert await cost(lambda session: session.expired()) == ["raw_read", "raw_delete"]


async def test_writers_of_one_session_are_written_together(cache: RemoteCache) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["n"] = 0
    cache.trips.clear()

    async def one(number: int) -> None:
        async with visitor.copy().request() as session:
            session[f"k{number}"] = number
            session.incr("n")

    await asyncio.gather(*(one(number) for number in range(100)))
    assert cache.trips.count("raw_read") == 100
    assert cache.trips.count("raw_swap") <= 4
    data = await visitor.data()
    assert data.pop("n") == 100
    assert data == {f"k{number}": number for number in range(100)}


async def test_a_thousand_concurrent_requests_lose_nothing(cache: RemoteCache) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["n"] = 0

    async def one(number: int) -> None:
        async with visitor.copy().request() as session:
            session[f"k{number}"] = number
            session.incr("n")

    await asyncio.gather(*(one(number) for number in range(1000)))
    assert len(await visitor.data()) == 1001
    assert (await visitor.data())["n"] == 1000


async def test_a_store_that_is_down_fails_the_request(cache: RemoteCache) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["a"] = 1
    session = await visitor.open()
    session["a"] = 2
    cache.is_down = True
    with pytest.raises(CacheUnavailable, match=r"10\.9\.9\.9"):
        await visitor.open()
    with pytest.raises(CacheUnavailable, match=r"10\.9\.9\.9"):
        await visitor.close(session)
    assert dict(await opened(cache).open()) == {}, "without a cookie the store is not asked"
    cache.is_down = False
    assert await visitor.data() == {"a": 1}


async def test_a_store_that_is_down_may_mean_an_empty_session(
    cache: RemoteCache, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = opened(cache, when_unavailable="empty")
    async with visitor.request() as session:
        session["a"] = 1
    cookie = visitor.cookie
    cache.is_down = True
    async with visitor.request() as session:
        assert dict(session) == {}
        assert not session.is_available
        session["b"] = 2
        session.cycle_id()
        assert session["b"] == 2
        cache.is_down = False
    assert "10.9.9.9" in caplog.text
    assert visitor.cookie == cookie, "the visitor's own session is not replaced"
    assert await visitor.data() == {"a": 1}
    async with visitor.request() as session:
        assert session.is_available
        session["a"] = 3
        cache.is_down = True
    cache.is_down = False
    assert await visitor.data() == {"a": 1}


async def test_an_error_reaches_every_writer_that_was_written_with_it(cache: RemoteCache) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["n"] = 0
    sessions = [await visitor.open() for _ in range(5)]
    for session in sessions:
        session.incr("n")
    cache.is_down = True
    results = await asyncio.gather(*(session.save() for session in sessions), return_exceptions=True)
    assert [type(result) for result in results] == [CacheUnavailable] * 5
    cache.is_down = False
    async with visitor.request() as session:
        session["after"] = 1
    assert await visitor.data() == {"n": 0, "after": 1}
    assert visitor.store._writers._lines == {}


@pytest.mark.parametrize("turns", range(9))
@pytest.mark.parametrize("victim", range(3))
async def test_a_writer_cancelled_at_any_turn_leaves_the_others_whole(
    cache: RemoteCache, turns: int, victim: int
) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["n"] = 0
    sessions = [await visitor.open() for _ in range(4)]
    for number, session in enumerate(sessions):
        session[f"k{number}"] = 1
        session.incr("n")
    tasks = [asyncio.ensure_future(session.save()) for session in sessions]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[victim].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    others = set(range(4)) - {victim}
    assert others <= {number for number, result in enumerate(results) if result is None}
    data = await visitor.data()
    assert {f"k{number}" for number in others} <= set(data)
    assert data["n"] == len(data) - 1
    assert visitor.store._writers._lines == {}


async def test_compare_and_sets_lost_without_end_are_an_error(
    cache: RemoteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers_module, "MAX_TRIES", 5)
    visitor = opened(cache)
    async with visitor.request() as session:
        session["a"] = 1
    session = await visitor.open()
    session["a"] = 2
    (key,) = cache._location.reserved.entries
    swap = LocMemCache.raw_swap

    async def meddling(self: LocMemCache, *args: Any) -> Any:
        await LocMemCache.raw_set(self, key, (await LocMemCache.raw_get(self, key)) or b"", None)
        return await swap(self, *args)

    monkeypatch.setattr(LocMemCache, "raw_swap", meddling)
    with pytest.raises(CacheUnavailable, match="5 compare-and-sets of one session were lost"):
        await session.save()


async def test_a_store_without_compare_and_set_gets_a_lock_and_a_warning(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    cache = PlainCache(request.node.nodeid)
    visitor = opened(cache)
    assert "PlainCache) has no compare-and-set" in caplog.text
    async with visitor.request() as session:
        session["n"] = 0

    async def one(number: int) -> None:
        async with visitor.copy().request() as session:
            session[f"k{number}"] = 1
            session.incr("n")

    await asyncio.gather(*(one(number) for number in range(20)))
    assert len(await visitor.data()) == 21
    late = await visitor.open()
    late["late"] = 1
    old = visitor.copy()
    async with visitor.request() as session:
        session.cycle_id()
        session.bind_user(7)
    assert (await visitor.data())["n"] == 20
    await old.close(late)
    assert await old.data() == {}
    assert await visitor.store.revoke_user(7) == 1
    assert await visitor.data() == {}
    assert await visitor.store.revoke_user(7) == 0


async def test_counting_what_is_no_number_is_refused(cache: RemoteCache, caplog: pytest.LogCaptureFixture) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session.update(text="x", yes=True, n=1)
        for key in ("text", "yes"):
            with pytest.raises(SessionError, match="no number to count"):
                session.incr(key)
        del session["n"]
        assert session.incr("n", 2.5) == 2.5
    first, second = await visitor.open(), await visitor.open()
    first["n"] = "text"
    second.incr("n")
    await visitor.close(first)
    await visitor.close(second)
    assert (await visitor.data())["n"] == "text"
    assert "no number, put by another request" in caplog.text


async def test_a_life_below_0_is_refused(cache: RemoteCache) -> None:
    async with opened(cache).request() as session:
        with pytest.raises(SessionError, match="expired"):
            session.set_expire(-1)


@pytest.mark.parametrize("name", ["msgpack", "signed-pickle", "pickle"])
async def test_other_serializers_hold_what_they_can(cache: RemoteCache, name: str) -> None:
    visitor = opened(cache, serializer=name)
    value: Any = [b"bytes"] if name == "msgpack" else {("a", 1): {2}}
    async with visitor.request() as session:
        session["v"] = value
        session["n"] = 1
    async with visitor.request() as session:
        session.incr("n")
        assert session["v"] == value
    assert await visitor.data() == {"v": value, "n": 2}
