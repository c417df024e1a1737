"""A master that sentinels replace is left at once: by whatever the cache sends and by the native client."""

import asyncio
from collections.abc import Iterator

import pytest
from redis.exceptions import RedisError

from tests.polling import until
from tests.services.process import HOST
from tests.services.redis import RedisSentinels, command
from torngas_aio.cache.backends.rediscache import RedisCache
from torngas_aio.cache.redis.location import read_location
from torngas_aio.cache.redis.sentinel import SentinelWatch
from torngas_aio.exception import CacheUnavailable

pytestmark = pytest.mark.redis


@pytest.fixture
def watched() -> Iterator[RedisSentinels]:
    with RedisSentinels() as servers:
        yield servers


@pytest.fixture(scope="module")
def calm() -> Iterator[RedisSentinels]:
    """Servers for tests that change nothing about them."""
    with RedisSentinels(down_after=60) as servers:
        yield servers


def opened(servers: RedisSentinels, **options: object) -> RedisCache:
    return RedisCache(servers.url, {"ALIAS": "watched", "OPTIONS": {"DEADLINE": 10, **options}})


async def until_new_master(servers: RedisSentinels) -> None:
    async def is_so() -> bool:
        return await asyncio.to_thread(servers.master_port) == servers.second.port

    await until(is_so)


async def test_a_planned_failover_loses_no_acknowledged_write(
    watched: RedisSentinels, caplog: pytest.LogCaptureFixture
) -> None:
    cache = opened(watched)
    native = cache.client
    acknowledged: list[str] = []
    is_over = False

    async def write(number: int) -> None:
        count = 0
        while not is_over:
            count += 1
            key = f"{number}:{count}"
            try:
                if number % 4:
                    await cache.set(key, count)
                else:
                    await native.set(cache.keys_of.make(key), count)
            except (CacheUnavailable, RedisError, OSError):  # refused: nothing was promised
                await asyncio.sleep(0.02)
            else:
                acknowledged.append(key)
            await asyncio.sleep(0.01)

    writers = [asyncio.ensure_future(write(number)) for number in range(8)]
    await until(lambda: len(acknowledged) >= 200)
    before = len(acknowledged)
    await asyncio.to_thread(watched.switch)
    await until_new_master(watched)
    after = len(acknowledged)
    await until(lambda: len(acknowledged) >= after + 200)
    is_over = True
    await asyncio.gather(*writers)
    assert len(acknowledged) > before
    await asyncio.to_thread(command, watched.first.port, "REPLICAOF", HOST, str(watched.second.port))
    found = await cache.get_many(acknowledged)
    assert sorted(set(acknowledged) - {str(key) for key in found}) == []
    assert cache._connected().peer == (HOST, watched.second.port)  # type: ignore[union-attr]  # no cluster
    told = [message for message in caplog.messages if "the master is now" in message]
    assert told == [f"Redis at {cache.address}: the master is now {HOST}:{watched.second.port}."]
    await cache.close()


async def test_a_replica_that_the_sentinels_still_name_is_refused(watched: RedisSentinels) -> None:
    for process in watched.sentinels:
        process.pause()
    for process in watched.sentinels[:2]:
        process.resume()
    command(watched.first.port, "REPLICAOF", HOST, str(watched.second.port))
    cache = opened(watched, DEADLINE=1)
    with pytest.raises(CacheUnavailable, match="is a replica, not the master"):
        await cache.get("key")
    with pytest.raises(Exception, match="is a replica, not the master"):
        await cache.client.get("key")
    await cache.close()


async def test_a_switch_that_was_not_heard_is_seen_when_the_sentinel_is_back(calm: RedisSentinels) -> None:
    cache = opened(calm)
    await cache.set("key", 1)
    await until(lambda: cache._watch is not None and cache._watch.master is not None)
    assert cache._watch is not None
    await cache._watch._move((HOST, 1))  # as if another had been heard of
    await cache._watch._compare()
    assert cache._watch.master == (HOST, calm.first.port)
    assert await cache.get("key") == 1
    await cache.close()


async def test_a_failover_that_is_given_up_lets_calls_go_on(calm: RedisSentinels) -> None:
    cache = opened(calm)
    await cache.set("key", 1)
    watch = cache._watch
    assert watch is not None
    await watch._on_message("+try-failover", ["master", "another", HOST, "1"])
    assert watch.is_settled
    await watch._on_message("+try-failover", ["master", calm.service, HOST, str(calm.first.port)])
    assert not watch.is_settled
    await watch._compare()  # as a sentinel does that has not heard of the failover
    assert not watch.is_settled
    waiting = asyncio.ensure_future(cache.get("key"))
    await until(lambda: watch._settled._waiters)
    assert not waiting.done()
    await watch._on_message("-failover-abort-not-elected", ["master", calm.service, HOST, str(calm.first.port)])
    assert await waiting == 1
    await cache.close()
    await cache.close()


async def test_a_failover_that_began_before_it_was_listened_for_is_noticed(
    calm: RedisSentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = opened(calm)
    await cache.set("a", 1)
    watch = cache._watch
    assert watch is not None
    states: list[dict[str, dict[str, object]]] = await watch.sentinels._ask()
    for state in states:
        state[calm.service]["flags"] = "master,failover_in_progress"

    async def ask() -> list[dict[str, dict[str, object]]]:
        return states

    monkeypatch.setattr(watch.sentinels, "_ask", ask)
    await watch._compare()
    assert not watch.is_settled
    await cache.close()


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_was_said_before_a_failover_does_not_end_it(
    calm: RedisSentinels, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    watch = SentinelWatch(read_location(calm.url, {}, "watched"))
    watch.master = (HOST, 1) if is_known else None
    states: list[dict[str, dict[str, object]]] = await watch.sentinels._ask()
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def ask() -> list[dict[str, dict[str, object]]]:
        is_asked.set()
        await may_answer.wait()
        return states

    monkeypatch.setattr(watch.sentinels, "_ask", ask)
    comparing = asyncio.ensure_future(watch._compare())
    await is_asked.wait()
    await watch._on_message("+try-failover", ["master", calm.service, HOST, "1"])
    may_answer.set()
    await comparing
    assert not watch.is_settled
    await watch._on_message("+switch-master", [calm.service, HOST, "1", HOST, "2"])
    assert watch.is_settled
    await watch.aclose()
