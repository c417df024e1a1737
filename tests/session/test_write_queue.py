"""Many writers of one session: their changes are merged, none is lost, none is counted twice."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.session.conftest import RemoteCache
from tests.session.test_store import opened
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.exception import CacheUnavailable, SerializationError, ValueTooLarge
from torngas_aio.session import write_queue


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


async def test_saves_at_the_same_time_run_one_after_the_other(cache: RemoteCache) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["cart"] = [1]
    for work in (lambda session: session.cycle_id(), lambda session: session.incr("n"), lambda session: None):
        session = await visitor.open()
        work(session)
        session["user"] = "ann"
        await asyncio.gather(session.save(), session.save(), session.save())
        await visitor.close(session)
        assert (await visitor.data())["cart"] == [1]
    assert await visitor.data() == {"cart": [1], "user": "ann", "n": 1}
    session = await visitor.open()
    session.expired()
    await asyncio.gather(session.save(), session.save())
    await visitor.close(session)
    assert await visitor.data() == {}


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


@pytest.mark.parametrize(
    "spoil",
    [
        lambda session: session.update(big="x" * 70_000),
        lambda session: session.incr("n", 10**4250),
        lambda session: session.incr("n", 10**5000),
    ],
    ids=range(3),
)
@pytest.mark.parametrize("place", range(4))
async def test_what_cannot_be_kept_fails_its_own_request_only(
    cache: RemoteCache, spoil: Callable[[Any], object], place: int
) -> None:
    visitor = opened(cache, max_bytes=4096)
    async with visitor.request() as session:
        session["n"] = 0
    sessions = [await visitor.open() for _ in range(4)]
    for number, session in enumerate(sessions):
        session[f"k{number}"] = 1
        session.incr("n")
    spoil(sessions[place])
    results = await asyncio.gather(*(session.save() for session in sessions), return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == [place]
    assert isinstance(results[place], ValueTooLarge | SerializationError)
    others = {f"k{number}": 1 for number in range(4) if number != place}
    assert await visitor.data() == {"n": 3, **others}
    assert visitor.store._writers._lines == {}


@pytest.mark.parametrize("turns", range(10))
@pytest.mark.parametrize("other", [True, False])
@pytest.mark.parametrize("begin", [lambda session: None, lambda session: session.cycle_id()], ids=["kept", "renewed"])
async def test_a_count_whose_save_was_cancelled_is_counted_once(
    cache: RemoteCache, turns: int, other: bool, begin: Callable[[Any], None]
) -> None:
    """The next save of the same request does not add it again."""
    visitor = opened(cache)
    async with visitor.request() as session:
        session["n"] = 0
    session, second = await visitor.open(), await visitor.open()
    begin(session)
    session.incr("n")
    second["x"] = 1
    tasks = [asyncio.ensure_future(each.save()) for each in ([second] if other else []) + [session]]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[-1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await visitor.close(session)
    assert (await visitor.data())["n"] == 1


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
    monkeypatch.setattr(write_queue, "MAX_TRIES", 5)
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
