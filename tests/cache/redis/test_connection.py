"""Redis that dies, freezes, is cut off or full, or answers nonsense: a clear error in time, and the next call right."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.cache.redis.conftest import Make
from tests.polling import until
from tests.services.process import HOST, free_port
from tests.services.proxy import Proxy
from tests.services.redis import RedisServer
from torngas_aio.cache.backends.rediscache import RedisCache
from torngas_aio.exception import CacheUnavailable

pytestmark = pytest.mark.redis


async def until_right(ask: Callable[[], Awaitable[Any]], wanted: object) -> None:
    """Ask until the breaker's pause is over; anything but the right answer or a refusal fails."""

    async def is_right() -> bool:
        assert await ask() == wanted
        return True

    await until(is_right, 10, accepts=(CacheUnavailable,))


async def settles_at(server: RedisServer, wanted: int) -> None:
    """Return once the server has *wanted* clients besides redis-cli; a closed one is noticed a moment later."""
    await until(lambda: len(server.command("CLIENT", "LIST").splitlines()) - 1 == wanted)


# Dead and back


async def test_a_killed_server_is_reported_by_alias_and_address(make: Make, lone_redis: RedisServer) -> None:
    cache = make(lone_redis.address)
    await cache.set("key", 1)
    lone_redis.process.kill()
    for _ in range(3):
        with pytest.raises(CacheUnavailable) as caught:
            await cache.get("key")
        for part in ("CACHES['main']", lone_redis.address, "Is the server running, and reachable?"):
            assert part in str(caught.value)
    await asyncio.to_thread(lone_redis.process.start)
    await until_right(lambda: cache.get("key", "gone"), "gone")
    await cache.set("key", 2)
    assert await cache.get("key") == 2


async def test_a_server_that_closes_an_idle_connection_is_found_again_without_an_error(
    make: Make, lone_redis: RedisServer
) -> None:
    cache = make(lone_redis.address)
    await cache.set("key", 1)
    link: Any = cache._connected()
    lone_redis.command("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: not link.is_open)
    assert await cache.get("key") == 1


async def test_calls_in_flight_when_the_server_dies_all_fail(make: Make, lone_redis: RedisServer) -> None:
    async with Proxy(lone_redis.port) as proxy:
        cache = make(proxy.address, DEADLINE=5)
        await cache.set("key", 1)
        proxy.stall()
        sent = proxy.sent
        calls = [asyncio.create_task(cache.get("key")) for _ in range(100)]
        await proxy.wait_for_sent(sent + 100)
        proxy.cut()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in found} == {CacheUnavailable}
        proxy.flow()
        await until_right(lambda: cache.get("key"), 1)


async def test_while_a_server_is_down_it_is_not_asked(make: Make) -> None:
    port = free_port()
    cache = make(f"{HOST}:{port}", RETRY_SECONDS=60)
    with pytest.raises(CacheUnavailable):
        await cache.get("key")
    asked: list[object] = []

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, port)
    async with server:
        await cache._connected()._breaker._probing.aclose()
        for _ in range(20):
            with pytest.raises(CacheUnavailable, match="onnect"):
                await cache.get("key")
    assert asked == []


@pytest.mark.parametrize("way", ["killed", "frozen"])
async def test_an_idle_worker_does_not_fail_its_next_call_after_an_outage(
    make: Make, lone_redis: RedisServer, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    cache = make(lone_redis.address, RETRY_SECONDS=0.4)
    await cache.set("key", 1)
    lone_redis.process.kill() if way == "killed" else lone_redis.process.pause()
    for _ in range(5):
        with pytest.raises(CacheUnavailable):
            await cache.get("key")
    await asyncio.to_thread(lone_redis.process.start if way == "killed" else lone_redis.process.resume)
    link: Any = cache._connected()
    await until(lambda: not link.is_down)
    assert await cache.get("key", 1) == 1
    told = [message for message in caplog.messages if lone_redis.address in message]
    assert len(told) == 2
    assert told[0].startswith(f"Redis at {lone_redis.address} is down: ")
    assert told[1] == f"Redis at {lone_redis.address} is back."


# Frozen


async def test_a_frozen_server_is_noticed_within_the_deadline_and_never_shifts_an_answer(
    make: Make, lone_redis: RedisServer
) -> None:
    cache = make(lone_redis.address)
    await cache.set_many({f"key{number}": number for number in range(50)})
    lone_redis.process.pause()
    found = await asyncio.gather(*(cache.get(f"key{number}") for number in range(50)), return_exceptions=True)
    assert {type(each) for each in found} == {CacheUnavailable}
    assert "no answer within 0.3 s" in str(found[0])
    with pytest.raises(CacheUnavailable):
        await cache.get("key1")
    lone_redis.process.resume()
    await until_right(lambda: cache.get("key7"), 7)
    found = await asyncio.gather(*(cache.get(f"key{number}") for number in range(50)))
    assert found == list(range(50))
    await cache.close()
    await settles_at(lone_redis, 0)


async def test_a_server_frozen_before_the_first_call_is_noticed_too(make: Make, lone_redis: RedisServer) -> None:
    cache = make(lone_redis.address)
    lone_redis.process.pause()
    with pytest.raises(CacheUnavailable, match=r"0\.3 s|[Tt]ime"):
        await cache.get("key")
    lone_redis.process.resume()
    await until_right(lambda: cache.get("key"), None)


async def test_an_answer_that_comes_after_the_deadline_reaches_nobody(make: Make, lone_redis: RedisServer) -> None:
    async with Proxy(lone_redis.port) as proxy:
        cache = make(proxy.address)
        await cache.set_many({"old": "old", "new": "new"})
        proxy.stall()
        with pytest.raises(CacheUnavailable, match="no answer within"):
            await cache.get("old")
        proxy.flow()
        await until_right(lambda: cache.get("new"), "new")
        assert proxy.connections >= 2


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_that_stood_still_is_not_the_servers_fault(
    lone_redis: RedisServer, runner: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def use() -> None:
        cache = RedisCache(lone_redis.address, {"OPTIONS": {"DEADLINE": 1.0}})
        await cache.set_many({f"key{number}": number for number in range(50)})
        calls = [asyncio.create_task(cache.get(f"key{number}")) for number in range(50)]
        for _ in range(2):
            await asyncio.sleep(0)  # the commands leave
        time.sleep(1.1)
        assert await asyncio.gather(*calls) == list(range(50))
        await cache.close()

    runner(use())


# Cut


@pytest.mark.parametrize("size", [0, 1, 5, 50, 600])
async def test_a_connection_cut_within_an_answer(make: Make, lone_redis: RedisServer, size: int) -> None:
    async with Proxy(lone_redis.port) as proxy:
        cache = make(proxy.address, DEADLINE=5)
        await cache.set("key", "x" * 1000)
        proxy.cut_after(size)
        with pytest.raises(CacheUnavailable, match="connection"):
            await cache.get("key")
        assert await cache.get("key") == "x" * 1000


async def test_answers_in_small_pieces_are_put_together(make: Make, lone_redis: RedisServer) -> None:
    async with Proxy(lone_redis.port) as proxy:
        cache = make(proxy.address, DEADLINE=5)
        await cache.set_many({"a": "a" * 30, "b": "b" * 30})
        proxy.slow(0.0005, 3)
        found = await asyncio.gather(cache.get("a"), cache.get("b"), cache.get_many(["a", "b"]), cache.get("a"))
        assert found == ["a" * 30, "b" * 30, {"a": "a" * 30, "b": "b" * 30}, "a" * 30]


# Silent


async def test_silence_is_broken_by_pings(make: Make, lone_redis: RedisServer) -> None:
    async with Proxy(lone_redis.port) as proxy:
        cache = make(proxy.address, PING_INTERVAL=0.05)
        await cache.set("key", 1)
        sent = proxy.sent
        async with asyncio.timeout(5):
            await proxy.wait_for_sent(sent + 3 * len(b"*1\r\n$4\r\nPING\r\n"))
        proxy.stall()
        link: Any = cache._connected()
        await until(lambda: not link.is_open)
        proxy.flow()
        await until_right(lambda: cache.get("key"), 1)
