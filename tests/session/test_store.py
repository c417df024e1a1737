"""The store's faults: down, cancelled; and what it costs in operations."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.session.visitor import SECRET, Visitor
from tests.session.conftest import RemoteCache
from torngas_aio.exception import CacheUnavailable, ValueTooLarge
from torngas_aio.session import SessionConfig, SessionStore


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
