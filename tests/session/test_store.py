"""The store's faults: down, cancelled, without compare-and-set; and what it costs in operations."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from tests.contracts.session.visitor import SECRET, Visitor
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.exception import CacheUnavailable, SerializationError, SessionError, ValueTooLarge
from torngas_aio.session import SessionConfig, SessionStore, write_queue

NETWORK = ("raw_get", "raw_set", "raw_add", "raw_touch", "raw_delete", "raw_read", "raw_swap", "raw_drop",
           "raw_get_many", "raw_delete_many")  # fmt: skip


class RemoteCache(LocMemCache):
    """A store behind a pretended network: counts round trips, can be down, takes its time."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.trips: list[str] = []
        self.is_down = False
        self.fails_after = 10**9

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self._trip(name, found) if name in NETWORK else found

    def _trip(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        async def serve(*args: Any) -> Any:
            self.trips.append(name)
            await asyncio.sleep(0)
            if self.is_down or len(self.trips) > self.fails_after:
                raise CacheUnavailable("CACHES['far'] at 10.9.9.9:6379: no answer within 2 s.")
            answer = await operation(*args)
            await asyncio.sleep(0)
            return answer

        return serve


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
    assert await cost(lambda session: session.cycle_id()) == ["raw_read", "raw_add", "raw_swap"]
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
        assert session.get("a") is None
        assert "a" not in session
    assert "10.9.9.9" in caplog.text
    assert visitor.cookie == cookie, "the visitor's own session is not replaced"
    cache.is_down = False
    assert await visitor.data() == {"a": 1}


CHANGES: dict[str, Callable[[Any], object]] = {
    "put": lambda session: session.update(b=2),
    "pop": lambda session: session.pop("user", None),
    "del": lambda session: session.__delitem__("user"),
    "setdefault": lambda session: session.setdefault("b", []),
    "incr": lambda session: session.incr("n"),
    "clear": lambda session: session.clear(),
    "cycle_id": lambda session: session.cycle_id(),
    "bind_user": lambda session: session.bind_user(7),
    "unbind": lambda session: session.bind_user(None),
    "set_expire": lambda session: session.set_expire(60),
    "expired": lambda session: session.expired(),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("is_back", [False, True])
async def test_no_change_of_an_empty_session_is_taken_for_stored(cache: RemoteCache, name: str, is_back: bool) -> None:
    visitor = opened(cache, when_unavailable="empty")
    async with visitor.request() as session:
        session["user"] = "ann"
    cache.is_down = True
    session = await visitor.open()
    CHANGES[name](session)
    assert session.is_changed
    cache.is_down = not is_back
    for _ in range(2):
        with pytest.raises(CacheUnavailable, match=r"could not be changed: .*10\.9\.9\.9"):
            await session.save()
    line = visitor.store.set_cookie(session.state)
    assert (line is not None and "Max-Age=0" in line) == (name == "expired"), "a logout takes the cookie back"
    cache.is_down = False
    assert await visitor.data() == {"user": "ann"}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("mode", ["fail", "empty"])
async def test_a_change_that_could_not_be_stored_is_told_and_can_be_saved_again(
    cache: RemoteCache, name: str, mode: str
) -> None:
    visitor = opened(cache, when_unavailable=mode)
    async with visitor.request() as session:
        session.update(user="ann", n=4)
        session.bind_user(1)
    session = await visitor.open()
    CHANGES[name](session)
    cache.is_down = True
    for _ in range(2):
        with pytest.raises(CacheUnavailable):
            await session.save()
    cache.is_down = False
    more: dict[str, dict[str, Any]] = {"put": {"b": 2}, "setdefault": {"b": []}, "incr": {"n": 5}}
    expected = {"user": "ann", "n": 4, **more.get(name, {})}
    expected = {} if name in {"clear", "expired"} else expected
    if name in {"pop", "del"}:
        del expected["user"]
    await visitor.close(session)
    assert await visitor.data() == expected


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


@pytest.mark.parametrize("turns", range(8))
async def test_a_save_that_is_cancelled_leaves_the_login_to_the_next(cache: RemoteCache, turns: int) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["cart"] = [1]
    session = await visitor.open()
    session.cycle_id()
    session["user"] = "ann"
    tasks = [asyncio.ensure_future(session.save()) for _ in range(2)]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await visitor.close(session)
    assert await visitor.data() == {"cart": [1], "user": "ann"}


@pytest.mark.parametrize(
    "fill",
    [
        lambda session: session.update(big="x" * 70_000),
        lambda session: session.update({f"k{number}": "x" * 1000 for number in range(70)}),
        lambda session: session["list"].extend(["x" * 1000] * 70),
        lambda session: (session.cycle_id(), session.update(big="é" * 40_000)),
        lambda session: (session.expired(), session.update(big="x" * 70_000)),
    ],
)
async def test_a_session_has_64_kilobytes_at_most(cache: RemoteCache, fill: Callable[[Any], object]) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["list"] = []
    session = await visitor.open()
    fill(session)
    with pytest.raises(ValueTooLarge, match=r"SESSION\['max_bytes'\] = 65536 is the most.*session\['"):
        await visitor.close(session)
    assert all(len(entry.value) < 65_536 for entry in cache._location.reserved.entries.values())


async def test_the_size_of_a_session_is_set_and_one_that_is_too_large_may_shrink(cache: RemoteCache) -> None:
    visitor = opened(cache, max_bytes=0)
    async with visitor.request() as session:
        session.update(a="x" * 100_000, b="x" * 100_000)
    bounded = visitor.copy(opened(cache, max_bytes=1000).store)
    async with bounded.request() as session:
        del session["a"]
    assert list(await bounded.data()) == ["b"]
    session = await bounded.open()
    session["c"] = 1
    with pytest.raises(ValueTooLarge, match=r"= 1000 is the most"):
        await session.save()


async def test_a_login_costs_the_same_however_many_sessions_the_user_has(
    cache: RemoteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(cache).store
    written: list[int] = []
    swap = LocMemCache.raw_swap

    async def watched(self: LocMemCache, key: str, data: bytes, *rest: Any) -> Any:
        written.append(len(data))
        return await swap(self, key, data, *rest)

    monkeypatch.setattr(LocMemCache, "raw_swap", watched)
    costs = []
    visitors = []
    for _ in range(1500):
        cache.trips.clear()
        visitor = Visitor(store)
        async with visitor.request() as session:
            session.bind_user(7)
            session["n"] = 1
        visitors.append(visitor)
        costs.append(len(cache.trips))
    assert sorted(costs)[-100] <= 9, "round trips of nearly every login"
    assert max(costs) < 200, "a list that is split"
    assert max(written) < 3000
    assert await visitors[0].data() == {"n": 1}
    async with visitors[3].request() as session:
        session.expired()
    assert await store.revoke_user(7) == 1499
    assert [await visitor.data() for visitor in visitors[::100]] == [{}] * 15
    assert await store.revoke_user(7) == 0
    assert not [key for key in cache._location.reserved.entries if key.startswith("%u:")]


@pytest.mark.parametrize("sessions", [3, 200])
@pytest.mark.parametrize("trips", range(8))
async def test_a_revoking_that_failed_is_done_by_the_next(cache: RemoteCache, sessions: int, trips: int) -> None:
    store = opened(cache).store
    visitors = [Visitor(store) for _ in range(sessions)]
    for visitor in visitors:
        async with visitor.request() as session:
            session.bind_user(7)
            session["n"] = 1
    cache.fails_after = len(cache.trips) + trips
    with suppress(CacheUnavailable):
        await store.revoke_user(7)
    cache.fails_after = 10**9
    await store.revoke_user(7)
    assert [await visitor.data() for visitor in visitors] == [{}] * sessions
    assert not [key for key in cache._location.reserved.entries if key.startswith("%s:")]


async def test_a_list_of_sessions_that_an_earlier_version_wrote_goes_on(cache: RemoteCache) -> None:
    store = opened(cache).store
    visitors = [Visitor(store) for _ in range(3)]
    for visitor in visitors:
        async with visitor.request() as session:
            session.bind_user(7)
    (key,) = [key for key in cache._location.reserved.entries if key.startswith("%u:")]
    ids = json.loads(cache._location.reserved.entries[key].value)
    await cache.raw_set(key, json.dumps([f"{number:024}" for number in range(4500)] + ids).encode(), None)
    async with visitors[0].request() as session:
        session.cycle_id()
    assert await store.revoke_user(7) == 3
    assert [await visitor.data() for visitor in visitors] == [{}] * 3


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
