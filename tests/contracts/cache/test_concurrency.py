"""Atomic operations from several caches on one store: add, incr, get_or_set, compare-and-set, locks."""

import asyncio
from typing import Any

import pytest

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import MISSING, BaseCache
from torngas_aio.exception import ArgumentError

CALLERS = 40


async def test_concurrent_incr_loses_nothing(subject: Subject) -> None:
    caches = [subject.make() for _ in range(3)]
    await caches[0].set("n", 100)
    sums = await asyncio.gather(*(caches[i % 3].incr("n", 1 + i % 2) for i in range(CALLERS)))
    assert len(set(sums)) == CALLERS
    assert await caches[0].get("n") == 100 + CALLERS * 3 // 2
    await asyncio.gather(*(caches[i % 3].decr("n") for i in range(CALLERS)))
    assert await caches[1].get("n") == 100 + CALLERS // 2


async def test_counters_may_be_negative(cache: BaseCache) -> None:
    await cache.set("n", 1)
    assert await cache.decr("n", 5) == -4
    assert await cache.get("n") == -4
    assert await cache.incr("n", -6) == -10
    assert await cache.incr("n", 20) == 10


@pytest.mark.parametrize("delta", [1.5, 1.0, "1", None, b"1"])
async def test_a_step_that_is_no_integer_is_refused(cache: BaseCache, delta: Any) -> None:
    await cache.set("n", 7)
    with pytest.raises(TypeError):
        await cache.incr("n", delta)
    assert await cache.incr("n", True) == 8


@pytest.mark.parametrize("lease", [0, -1, float("nan"), float("inf"), -0.5])
async def test_a_lease_that_is_no_time_is_refused(cache: BaseCache, lease: float) -> None:
    """Before anything is sent: memcached would reject the command, and its connection would count as broken."""
    with pytest.raises(ArgumentError, match="a finite number above 0"):
        cache.lock("work", lease=lease)
    assert await cache.lock("work", wait=0).acquire()


async def test_counters_stop_at_64_bits(cache: BaseCache) -> None:
    await cache.set("n", 2**63 - 2)
    assert await cache.incr("n") == 2**63 - 1
    with pytest.raises(ValueError, match="integer"):
        await cache.incr("n")
    assert await cache.get("n") == 2**63 - 1


async def test_a_sum_beyond_64_bits_stays_out_though_its_caller_is_cancelled(cache: BaseCache) -> None:
    for turns in range(40):
        await cache.set("n", 2**63 - 1)
        task = asyncio.ensure_future(cache.incr("n", 5))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await cache.get("n") == 2**63 - 1, turns


@pytest.mark.parametrize("delta", [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**64)])
async def test_a_step_beyond_64_bits_changes_nothing(cache: BaseCache, delta: int) -> None:
    start = 7 if delta > 0 else -7
    await cache.set("n", start)
    with pytest.raises(ValueError, match="integer"):
        await cache.incr("n", delta)
    assert await cache.get("n") == start


async def test_counters_stop_at_64_bits_for_all_callers(subject: Subject) -> None:
    caches = [subject.make() for _ in range(3)]
    await caches[0].set("n", 2**63 - 10)
    sums = await asyncio.gather(*(caches[i % 3].incr("n") for i in range(CALLERS)), return_exceptions=True)
    assert all(isinstance(each, int | ValueError) for each in sums)
    assert await caches[0].get("n") == 2**63 - 10 + sum(isinstance(each, int) for each in sums)


async def test_exactly_one_add_wins(subject: Subject) -> None:
    caches = [subject.make() for _ in range(3)]
    wins = await asyncio.gather(*(caches[i % 3].add("key", i) for i in range(CALLERS)))
    assert wins.count(True) == 1
    assert await caches[2].get("key") == wins.index(True)


async def test_many_callers_compute_once(cache: BaseCache) -> None:
    calls = 0

    async def load() -> list[int]:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return [calls]

    found = await asyncio.gather(*(cache.get_or_set("key", load) for _ in range(CALLERS)))
    assert found == [[1]] * CALLERS
    assert calls == 1
    assert await cache.get("key") == [1]


async def test_get_or_set_takes_values_functions_and_none(cache: BaseCache) -> None:
    assert await cache.get_or_set("value", 1) == 1
    assert await cache.get_or_set("value", 2) == 1
    assert await cache.get_or_set("function", lambda: "made") == "made"
    assert await cache.get_or_set("none", lambda: None) is None
    assert await cache.get("none", MISSING) is None
    assert await cache.get_or_set("none", lambda: 5) is None


async def test_an_error_of_the_loader_reaches_everyone_and_keeps_nothing(cache: BaseCache) -> None:
    calls = 0

    async def load() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        raise LookupError("the database said no")

    tasks = [asyncio.ensure_future(cache.get_or_set("key", load)) for _ in range(5)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(result) for result in results] == ["the database said no"] * 5
    assert not await cache.has_key("key")
    assert await cache.get_or_set("key", 3) == 3


async def test_a_cancelled_leader_hands_over(cache: BaseCache) -> None:
    started: list[int] = []
    release = asyncio.Event()

    async def caller(number: int) -> object:
        async def load() -> int:
            started.append(number)
            await release.wait()
            return number

        return await cache.get_or_set("key", load)

    tasks = [asyncio.ensure_future(caller(number)) for number in range(4)]
    while not started:
        await asyncio.sleep(0)
    leader = tasks[started[0]]
    for _ in range(20):  # the others are waiting for it by now
        await asyncio.sleep(0)
    leader.cancel()
    while len(started) < 2:
        await asyncio.sleep(0)
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[started[0]], asyncio.CancelledError)
    assert [result for result in results if not isinstance(result, BaseException)] == [started[1]] * 3
    assert len(started) == 2


async def test_compare_and_set_writes_only_over_what_was_read(subject: Subject) -> None:
    cache, other = subject.make(), subject.make()
    assert await cache.gets("key") is None
    await cache.set("key", {"n": 1})
    found = await cache.gets("key")
    assert found is not None
    assert found.value == {"n": 1}
    assert await other.cas("key", {"n": 2}, found.token)
    assert not await cache.cas("key", {"n": 3}, found.token)
    assert await cache.get("key") == {"n": 2}
    found = await cache.gets("key")
    assert found is not None
    await other.delete("key")
    assert not await cache.cas("key", {"n": 4}, found.token)
    assert await cache.get("key") is None


async def test_compare_and_set_with_timeout_0_removes(cache: BaseCache) -> None:
    await cache.set("key", 1)
    found = await cache.gets("key")
    assert found is not None
    await cache.set("key", 2)
    assert not await cache.cas("key", 3, found.token, 0)
    found = await cache.gets("key")
    assert found is not None
    assert await cache.cas("key", 3, found.token, 0)
    assert not await cache.has_key("key")


async def test_compare_and_set_loops_lose_nothing(subject: Subject) -> None:
    caches = [subject.make() for _ in range(3)]
    await caches[0].set("names", [])

    async def append(number: int) -> None:
        cache = caches[number % 3]
        is_done = False
        while not is_done:
            found = await cache.gets("names")
            assert found is not None
            is_done = await cache.cas("names", [*found.value, number], found.token)

    await asyncio.gather(*(append(number) for number in range(20)))
    assert sorted(await caches[0].get("names")) == list(range(20))


async def test_reading_may_extend_the_life_and_keeps_the_token(subject: Subject) -> None:
    cache = subject.make()
    await cache.raw_set("%t:key", b"v", subject.unit)
    before = await cache.raw_read("%t:key", subject.unit * 50)
    await subject.wait(subject.unit * 2)
    after = await cache.raw_read("%t:key", None)
    assert before is not None
    assert after is not None
    swap = await cache.raw_swap("%t:key", b"w", before.token, 60)
    assert swap.is_done
    failed = await cache.raw_swap("%t:key", b"x", before.token, 60)
    assert not failed.is_done
    assert failed.current is not None
    assert failed.current.data == b"w"
    assert (await cache.raw_swap("%t:key", b"y", failed.current.token, 60)).is_done
    assert await cache.raw_get("%t:key") == b"y"


async def test_a_lock_has_one_holder_at_a_time(subject: Subject) -> None:
    caches = [subject.make() for _ in range(3)]
    holders = 0

    async def work(number: int) -> None:
        nonlocal holders
        async with caches[number % 3].lock("work") as lock:
            assert lock.is_held
            holders += 1
            assert holders == 1
            await asyncio.sleep(0)
            holders -= 1

    await asyncio.gather(*(work(number) for number in range(6)))


async def test_a_lock_that_is_held_is_not_waited_for_longer_than_asked(subject: Subject) -> None:
    cache, other = subject.make(), subject.make()
    async with cache.lock("work") as lock:
        assert not await other.lock("work", wait=0).acquire()
        with pytest.raises(TimeoutError, match="work"):
            async with other.lock("work", wait=0.02):
                pass
        assert await lock.extend()
        with pytest.raises(RuntimeError, match="held already"):
            await lock.acquire()
        await cache.clear()
        assert not await other.lock("work", wait=0).acquire(), "clear() leaves locks alone"
    assert not lock.is_held
    assert not await lock.release()
    assert not await lock.extend()
    again = other.lock("work", wait=0)
    assert await again.acquire()
    assert await again.release()


async def test_a_lock_falls_free_with_its_lease(subject: Subject) -> None:
    cache, other = subject.make(), subject.make()
    lock = cache.lock("work", lease=subject.unit)
    assert await lock.acquire()
    await subject.wait(subject.unit * 2)
    assert await other.lock("work", wait=0).acquire()
    assert not await lock.extend()
    assert not await lock.release(), "it is another's by now"
    assert not await cache.lock("work", wait=0).acquire()


async def test_a_cancelled_waiter_leaves_no_lock_behind(cache: BaseCache) -> None:
    async with cache.lock("work"):
        waiter = asyncio.ensure_future(cache.lock("work").acquire())
        await asyncio.sleep(0.01)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    assert await cache.lock("work", wait=0).acquire()
