"""A lock's own ways: who may give it back, a holder without a lease, cancellation midway, a store that is down.

That one holder has it at a time, on every store, is in `tests/contracts/cache/test_concurrency.py`.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from torngas_aio.cache.backends.dummy import DummyCache
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.cache.lock import CacheLock
from torngas_aio.exception import ArgumentError, CacheUnavailable

KEY = "%lock::work"


class Store(LocMemCache):
    """A cache in memory that is down when told, and that answers an `add` only when it may."""

    is_down = False
    may_answer: asyncio.Event | None = None

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        done = await super().raw_add(key, data, timeout)
        if self.may_answer is not None:
            await self.may_answer.wait()
        return done

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Any:
        if self.is_down:
            raise CacheUnavailable("down")
        return await super().raw_read(key, touch)


@pytest.fixture
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    now = 1000.0
    cache = Store(request.node.nodeid, {"OPTIONS": {"PURGE_INTERVAL": 0}})
    cache.clock = lambda: now
    yield cache
    await cache.close()


def lock(store: Store, lease: float = 10, wait: float | None = 0) -> CacheLock:
    return CacheLock(store, KEY, lease, wait)


async def test_only_its_holder_gives_it_back(store: Store) -> None:
    held, other = lock(store), lock(store)
    assert await held.acquire()
    assert not await other.acquire()
    assert not other.is_held
    assert not await other.release()
    assert not await other.extend()
    assert await store.raw_has(KEY)
    assert await held.release()
    assert not held.is_held
    assert not await held.release(), "once"


async def test_a_holder_whose_lease_is_over_takes_nothing_from_the_next(store: Store) -> None:
    slow, quick = lock(store, lease=5), lock(store)
    assert await slow.acquire()
    store.clock = lambda: 1006.0
    assert await quick.acquire()
    assert slow.is_held, "nobody has told it"
    assert not await slow.extend()
    assert not await slow.release()
    assert await quick.release()


async def test_a_lease_begins_again_when_extended(store: Store) -> None:
    held = lock(store, lease=5)
    await held.acquire()
    store.clock = lambda: 1004.0
    assert await held.extend()
    assert await store.raw_ttl(KEY) == 5
    store.clock = lambda: 1008.0
    assert not await lock(store).acquire()


async def test_leaving_the_block_gives_it_back_whatever_ends_the_block(store: Store) -> None:
    with pytest.raises(LookupError, match="of the work"):
        async with lock(store):
            raise LookupError("of the work")
    held = lock(store)
    await held.acquire()
    with pytest.raises(LookupError, match="of the work"):
        async with held.holding():
            raise LookupError("of the work")
    assert not await store.raw_has(KEY)
    async with held.holding():  # not held: nothing is given back
        assert await lock(store).acquire()
    assert await store.raw_has(KEY)


async def test_a_lock_that_is_not_free_in_time_is_said(store: Store) -> None:
    await lock(store).acquire()
    with pytest.raises(TimeoutError, match=r"'%lock::work' was not free within 0\.02 s"):
        async with lock(store, wait=0.02):
            pass
    assert not await lock(store, wait=0.02).acquire()


async def test_a_waiter_gets_it_when_it_falls_free(store: Store) -> None:
    held = lock(store)
    await held.acquire()
    waiter = lock(store, wait=None)
    waiting = asyncio.create_task(waiter.acquire())
    await asyncio.sleep(0)
    assert not waiting.done()
    await held.release()
    assert await waiting
    assert waiter.is_held


@pytest.mark.parametrize("wait", [None, 0.01], ids=["cancelled", "too late"])
async def test_an_add_whose_answer_nobody_saw_is_undone(store: Store, wait: float | None) -> None:
    store.may_answer = asyncio.Event()
    taking = asyncio.create_task(lock(store, wait=wait).acquire())
    if wait is None:
        while not await store.raw_has(KEY):
            await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
    else:
        assert not await taking
    assert not await store.raw_has(KEY)


async def test_a_block_that_is_cancelled_gives_it_back(store: Store) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with lock(store):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await store.raw_has(KEY)


async def test_a_store_that_is_down_does_not_fail_the_work(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The lock falls free with its lease."""
    async with lock(store) as held:
        store.is_down = True
    assert not held.is_held
    assert not caplog.messages
    again = lock(store)
    store.is_down = False
    assert not await again.acquire()
    store.clock = lambda: 1011.0
    assert await again.acquire()
    store.is_down = True
    with pytest.raises(CacheUnavailable, match="down"):
        await again.release()


async def test_one_object_has_one_holder(store: Store) -> None:
    held = lock(store)
    async with held:
        with pytest.raises(RuntimeError, match=r"held already.*cache\.lock"):
            await held.acquire()
    async with held:  # given back: it may be taken again
        assert held.is_held


async def test_a_store_without_compare_and_set_has_no_locks() -> None:
    with pytest.raises(NotImplementedError, match=r"DummyCache has no lock\(\)"):
        DummyCache().lock("work")


@pytest.mark.parametrize("value", [-1, math.nan, 10**400, "30", True, [1]], ids=str)
def test_durations_that_are_none_are_refused(value: Any) -> None:
    cache = LocMemCache()
    with pytest.raises(
        ArgumentError, match=r"lock\('work'\): lease = .*finite number above 0.*wait = .*number of seconds"
    ):
        cache.lock("work", lease=value, wait=value)
