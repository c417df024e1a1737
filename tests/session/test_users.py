"""Sessions of one user: found and revoked at a cost that does not grow with their number."""

import json
from contextlib import suppress
from typing import Any

import pytest

from tests.contracts.session.visitor import Visitor
from tests.session.conftest import RemoteCache
from tests.session.test_store import opened
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.exception import CacheUnavailable


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
