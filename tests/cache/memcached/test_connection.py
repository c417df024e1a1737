"""Memcached that dies, freezes, is cut, full or foreign; and the faults of bare aiomcache, which are not ours."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

import aiomcache
import pytest
import uvloop

from tests.cache.memcached.conftest import Make
from tests.cache.storm import storm
from tests.contracts.session.visitor import Visitor
from tests.polling import until
from tests.services.memcached import MemcachedServer
from tests.services.process import HOST
from tests.services.proxy import Proxy, answering
from torngas_aio.cache.backends.base import MISSING
from torngas_aio.cache.backends.memcached import MemcachedCache
from torngas_aio.cache.memcached.connection import MemcachedLink
from torngas_aio.exception import CacheUnavailable, ValueTooLarge
from torngas_aio.session import SessionConfig, SessionStore

pytestmark = pytest.mark.memcached


@pytest.fixture
def three() -> Iterator[list[MemcachedServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MemcachedServer()) for _ in range(3)]


async def until_right(ask: Callable[[], Awaitable[Any]], wanted: object) -> None:
    """Ask until the right answer comes; misses and refusals are what a server that was down answers meanwhile."""

    async def is_right() -> bool:
        found = await ask()
        assert found in (wanted, MISSING, None)
        return bool(found == wanted)

    await until(is_right, 10, accepts=(CacheUnavailable,))


def held_by(cache: MemcachedCache, server: MemcachedServer, number: int = 0) -> str:
    """A key that *server* holds, the *number*th such."""
    names = [f"key{each}" for each in range(2000)]
    return [name for name in names if cache._node(cache.keys_of.make(name)).pool.name == server.address][number]


# What bare aiomcache does, and what ours does in the same place


async def test_bare_aiomcache_hands_the_next_caller_the_previous_answer(lone_memcached: MemcachedServer) -> None:
    async with Proxy(lone_memcached.port) as proxy:
        client = aiomcache.Client(HOST, proxy.port, pool_size=1)
        await client.set(b"mine", b"10")
        await client.set(b"yours", b"500")
        proxy.stall()
        sent = proxy.sent
        call = asyncio.ensure_future(client.incr(b"mine"))
        await proxy.wait_for_sent(sent + 1)
        call.cancel()
        await asyncio.wait([call])
        proxy.flow()
        assert await client.incr(b"yours") == 11  # the answer to the cancelled call
        await client.close()


@pytest.mark.parametrize("operation", ["get", "incr"])
async def test_ours_never_shifts_an_answer(make: Make, lone_memcached: MemcachedServer, operation: str) -> None:
    async with Proxy(lone_memcached.port) as proxy:
        cache = make(proxy.address, POOL_SIZE=1, DEADLINE=5)
        await cache.set_many({"mine": 10, "yours": 500})
        proxy.stall()
        sent = proxy.sent
        call = asyncio.create_task(getattr(cache, operation)("mine"))
        await proxy.wait_for_sent(sent + 1)
        call.cancel()
        if operation == "incr":
            proxy.flow()  # a count is awaited to its end, as it may have been carried out
        await asyncio.wait([call])
        proxy.flow()
        assert await cache.incr("yours") == 501


async def test_bare_aiomcache_lets_callers_wait_for_ever_when_the_server_dies(lone_memcached: MemcachedServer) -> None:
    async with Proxy(lone_memcached.port) as proxy:
        client = aiomcache.Client(HOST, proxy.port, pool_size=1)
        await client.set(b"key", b"1")
        proxy.stall()
        calls = [asyncio.ensure_future(client.get(b"key")) for _ in range(5)]
        await proxy.wait_for_sent(proxy.sent + 1)
        lone_memcached.process.kill()
        proxy.cut()
        _, waiting = await asyncio.wait(calls, timeout=1)
        assert len(waiting) == 4
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        for call in calls:
            assert call.cancelled() or call.exception() is not None


async def test_ours_lets_nobody_wait_when_the_server_dies(make: Make, lone_memcached: MemcachedServer) -> None:
    async with Proxy(lone_memcached.port) as proxy:
        cache = make(proxy.address, POOL_SIZE=1, DEADLINE=5)
        await cache.set("key", 1)
        proxy.stall()
        sent = proxy.sent
        calls = [asyncio.create_task(cache.incr("key")) for _ in range(5)]
        await proxy.wait_for_sent(sent + 1)
        lone_memcached.process.kill()
        proxy.cut()
        async with asyncio.timeout(4):
            found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in found} == {CacheUnavailable}


CLOSING_SERVER = """
import asyncio, sys

async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    {client}
    print("went on", flush=True)

asyncio.run(main())
"""
BARE = """
    import aiomcache
    client = aiomcache.Client("127.0.0.1", port, pool_size=1)
    try:
        await asyncio.wait_for(client.set(b"key", b"1"), 0.1)
    except Exception:
        pass
"""
OURS = """
    from torngas_aio.cache.backends.memcached import MemcachedCache
    cache = MemcachedCache(f"127.0.0.1:{port}", {"OPTIONS": {"DEADLINE": 0.1}})
    try:
        await cache.set("key", 1)
    except ConnectionError:
        pass
"""


@pytest.mark.parametrize(("client", "goes_on"), [(BARE, False), (OURS, True)], ids=["bare", "ours"])
def test_a_server_that_closes_stops_bare_aiomcaches_whole_loop_but_not_ours(client: str, goes_on: bool) -> None:
    """Bare aiomcache reads the end of the stream again and again without yielding: not even a timeout gets through."""
    program = CLOSING_SERVER.replace("{client}", client)
    seconds = 60 if goes_on else 3
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=seconds, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        assert not goes_on
    else:
        assert goes_on, done.stderr
        assert done.stdout == "went on\n", done.stderr


# Dead and back


async def test_a_killed_server_reads_as_misses_and_refuses_writes(make: Make, lone_memcached: MemcachedServer) -> None:
    cache = make(lone_memcached.address)
    await cache.set("key", 1)
    lone_memcached.process.kill()
    for _ in range(3):
        assert await cache.get("key", "miss") == "miss"
        assert await cache.get_many(["key"]) == {}
        assert not await cache.has_key("key")
        assert await cache.ttl("key") == 0
    writes: list[Callable[[], Awaitable[Any]]] = [
        lambda: cache.set("key", 1), lambda: cache.add("key", 1), lambda: cache.incr("key"), lambda: cache.decr("key"),
        lambda: cache.delete("key"), lambda: cache.touch("key", 5), lambda: cache.set_many({"key": 1, "other": 2}),
        lambda: cache.delete_many(["key"]), cache.clear, cache.ping, lambda: cache.gets("key"),
        lambda: cache.cas("key", 1, 1), lambda: cache.raw_read("%session:1", 60),
    ]  # fmt: skip
    for write in writes:
        with pytest.raises(CacheUnavailable) as caught:
            await write()
        for part in ("CACHES['main']", lone_memcached.address, "Is the server running"):
            assert part in str(caught.value)
    await asyncio.to_thread(lone_memcached.process.start)
    await until_right(lambda: cache.add("key", 2), True)
    assert await cache.get("key") == 2


@pytest.mark.parametrize("way", ["killed", "frozen"])
async def test_an_idle_worker_does_not_fail_its_next_call_after_an_outage(
    make: Make, lone_memcached: MemcachedServer, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    cache = make(lone_memcached.address, RETRY_SECONDS=0.4)
    await cache.set("key", 1)
    lone_memcached.process.kill() if way == "killed" else lone_memcached.process.pause()
    for _ in range(5):
        with pytest.raises(CacheUnavailable):
            await cache.set("key", 1)
    await asyncio.to_thread(lone_memcached.process.start if way == "killed" else lone_memcached.process.resume)
    pool = cache._node("any").pool
    await until(lambda: not pool.is_down)
    await cache.set("key", 1)
    told = [message for message in caplog.messages if lone_memcached.address in message]
    assert len(told) == 2
    assert " is down: " in told[0]
    assert told[1] == f"memcached at {lone_memcached.address} is back."


async def test_a_restarted_server_is_found_again_without_an_error(make: Make, lone_memcached: MemcachedServer) -> None:
    cache = make(lone_memcached.address)
    await asyncio.gather(*(cache.set(f"key{number}", number) for number in range(10)))
    await asyncio.to_thread(lone_memcached.process.restart)
    assert await cache.get("key1", "gone") == "gone"
    await cache.set("key1", 1)
    assert await cache.get("key1") == 1


async def test_one_dead_server_of_three_takes_its_own_keys_away_only(make: Make, three: list[MemcachedServer]) -> None:
    cache = make([server.address for server in three])
    data = {f"key{number}": number for number in range(90)}
    assert await cache.set_many(data) == []
    gone = {key for key in data if cache._node(cache.keys_of.make(key)).pool.name == three[0].address}
    assert 10 < len(gone) < 60
    three[0].process.kill()
    assert await cache.get_many(data) == {key: value for key, value in data.items() if key not in gone}
    assert set(await cache.set_many(data)) == gone
    with pytest.raises(CacheUnavailable, match=three[0].address):
        await cache.delete_many(data)
    with pytest.raises(CacheUnavailable, match=three[0].address):
        await cache.ping()
    with pytest.raises(CacheUnavailable, match=three[0].address):
        await cache.clear()
    assert await cache.get_many(data) == {}  # the two that answered did clear
    await asyncio.to_thread(three[0].process.start)
    await until_right(lambda: cache.add(held_by(cache, three[0]), 1), True)


async def test_keys_of_a_dead_server_move_only_when_told(make: Make, three: list[MemcachedServer]) -> None:
    location = [server.address for server in three]
    cache = make(location, REHASH=True, RETRY_SECONDS=60)
    key = held_by(cache, three[1])
    await cache.set(key, "there")
    three[1].process.kill()
    assert await cache.get(key, "miss") == "miss"
    await cache.set(key, "elsewhere")
    assert await cache.get(key) == "elsewhere"
    for server in (three[0], three[2]):
        server.process.kill()
    with pytest.raises(CacheUnavailable):
        await cache.set(key, 1)
    with pytest.raises(CacheUnavailable):
        await cache.set(key, 1)
    with pytest.raises(CacheUnavailable):
        await cache.set(key, 1)


async def test_a_session_whose_server_is_down_is_no_dead_one(make: Make, three: list[MemcachedServer]) -> None:
    cache = make([server.address for server in three])
    store = SessionStore(cache, SessionConfig.of({"secret_key": "a long random text for these tests"}))
    visitors: list[Visitor] = []
    while len({cache._node(visitor_key(store, each)).pool.name for each in visitors}) < 2:
        visitors.append(Visitor(store))
        async with visitors[-1].request() as session:
            session["user"] = len(visitors)
    dead, live = visitors[0], visitors[-1]
    await store.revoke(str(dead.cookie).split(".")[0])
    name = cache._node(visitor_key(store, live)).pool.name
    next(server for server in three if server.address == name).process.kill()
    for _ in range(3):
        with pytest.raises(CacheUnavailable):
            await store.open([str(dead.cookie), str(live.cookie)], "10.0.0.1")


def visitor_key(store: SessionStore, visitor: Visitor) -> str:
    return store._record_store.session_key(str(visitor.cookie).split(".")[0])


# Frozen, cut, cancelled


async def test_a_frozen_server_is_noticed_within_the_deadline(make: Make, lone_memcached: MemcachedServer) -> None:
    cache = make(lone_memcached.address, POOL_SIZE=4)
    await cache.set_many({f"key{number}": number for number in range(50)})
    lone_memcached.process.pause()
    found = await asyncio.gather(*(cache.incr(f"key{number}") for number in range(50)), return_exceptions=True)
    assert {type(each) for each in found} == {CacheUnavailable}
    assert "no answer within 0.3 s" in str(found[0])
    with pytest.raises(CacheUnavailable):
        await cache.set("key1", 1)
    assert await cache.get("key1", "miss") == "miss"
    lone_memcached.process.resume()
    await until_right(lambda: cache.add("fresh", 7), True)
    # What had left before the server froze may have happened, once.
    values = await cache.get_many([f"key{number}" for number in range(50)])
    assert all(values[f"key{number}"] in (number, number + 1) for number in range(50))


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_that_stood_still_is_not_the_servers_fault(
    lone_memcached: MemcachedServer, runner: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def use() -> None:
        cache = MemcachedCache(lone_memcached.address, {"OPTIONS": {"DEADLINE": 1}})
        for number in range(10):
            await cache.set(f"key{number}", number)
        await asyncio.gather(*(cache.get("key0") for _ in range(10)))  # opens ten connections
        calls = [asyncio.create_task(cache.get(f"key{number}")) for number in range(10)]
        for _ in range(2):
            await asyncio.sleep(0)  # the commands leave
        time.sleep(1.1)
        assert await asyncio.gather(*calls) == list(range(10))
        await cache.close()

    runner(use())


@pytest.mark.parametrize("size", [0, 1, 7, 30, 600])
async def test_a_connection_cut_within_an_answer(make: Make, lone_memcached: MemcachedServer, size: int) -> None:
    async with Proxy(lone_memcached.port) as proxy:
        cache = make(proxy.address, DEADLINE=5)
        await cache.set("key", "x" * 1000)
        proxy.cut_after(size)
        with pytest.raises(CacheUnavailable):
            await cache.gets("key")
        await until_right(lambda: cache.get("key"), "x" * 1000)


async def test_a_late_answer_reaches_nobody(make: Make, lone_memcached: MemcachedServer) -> None:
    async with Proxy(lone_memcached.port) as proxy:
        cache = make(proxy.address, POOL_SIZE=1)
        await cache.set_many({"old": 1, "new": 100})
        proxy.stall()
        with pytest.raises(CacheUnavailable, match=r"no answer within 0\.3 s"):
            await cache.incr("old")
        proxy.flow()
        await until_right(lambda: cache.incr("new"), 101)


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_cancelled_at_each_turn_disturbs_nobody(
    make: Make, lone_memcached: MemcachedServer, turns: int
) -> None:
    cache = make(lone_memcached.address, POOL_SIZE=1, DEADLINE=5)
    call = asyncio.create_task(cache.set("mine", "m"))
    others = [asyncio.create_task(cache.get(f"absent{number}", number)) for number in range(5)]
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    assert await asyncio.gather(*others) == [0, 1, 2, 3, 4]
    await asyncio.wait([call])
    await cache.set("next", "n")
    assert await cache.get("next") == "n"


async def test_a_storm_with_half_of_the_calls_cancelled(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    await stormed(make, monkeypatch, 15_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_storm_of_a_million(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    await stormed(make, monkeypatch, 1_000_000)


async def stormed(make: Make, monkeypatch: pytest.MonkeyPatch, operations: int) -> None:
    """On a unix socket: a connection given up for each cancelled call would use up the ports."""
    broken_off = 0
    abort = MemcachedLink.abort

    def counted(link: MemcachedLink) -> None:
        nonlocal broken_off
        broken_off += 1
        abort(link)

    with MemcachedServer("-c", "4096", unix_socket=True) as server:
        cache = make(server.socket_path, DEADLINE=10, POOL_SIZE=64)
        monkeypatch.setattr(MemcachedLink, "abort", counted)
        tally = await storm(cache, operations, (0, 1, 2, 2, 3, 3, 4))
        monkeypatch.undo()
        assert tally.faults == []
        assert tally.answered + tally.cancelled == operations
        assert tally.cancelled > operations * 0.4
        assert broken_off > tally.cancelled / 3, "too few were cancelled after their bytes had left"
        await cache.close()


# Full and foreign


async def test_a_value_beyond_the_servers_limit(make: Make, lone_memcached: MemcachedServer) -> None:
    cache = make(lone_memcached.address)
    await cache.set("big", b"x" * 1_000_000)
    for call in (cache.set("big", b"x" * 1_100_000), cache.add("new", b"x" * 1_100_000)):
        with pytest.raises(ValueTooLarge, match="1100"):
            await call
    assert await cache.get("big", "gone") == "gone", "a failed set leaves no old value"
    await cache.set_many({"a": 1, "b": 1})
    with pytest.raises(ValueTooLarge):
        await cache.set_many({"a": 2, "b": b"x" * 1_100_000})
    assert await cache.get_many(["a", "b"]) == {}
    bold = make(lone_memcached.address, MAX_VALUE_BYTES=10_000_000)
    with pytest.raises(ValueTooLarge, match="larger than the server takes"):
        await bold.set("big", b"x" * 1_100_000)
    assert await bold.get("big", "gone") == "gone"  # memcached never keeps the old value then
    assert await bold.set_many({"a": 1, "b": b"x" * 1_100_000}) == ["b"]
    assert await bold.get("a") == 1


async def test_out_of_memory_is_said_and_reading_goes_on(make: Make) -> None:
    with MemcachedServer("-M", "-m", "8") as server:
        cache = make(server.address, DEADLINE=5)
        await cache.set("kept", 1)
        with pytest.raises(CacheUnavailable, match=r"out of memory.*-m"):
            await fill(cache)
        assert await cache.get("kept") == 1
        await cache.delete_many([f"big{number}" for number in range(50)])
        await cache.set("big0", b"x" * 500_000)


async def fill(cache: MemcachedCache) -> None:
    for number in range(50):
        await cache.set(f"big{number}", b"x" * 500_000)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x01\x02\r\n", b"VALUE\r\n", b"ERROR\r\n", b"x" * 3_000_000]
)
async def test_a_server_that_is_no_memcached(make: Make, answer: bytes) -> None:
    async with answering(answer) as address:
        cache = make(address)
        for call in (cache.set("key", 1), cache.gets("key"), cache.incr("key"), cache.clear()):
            with pytest.raises(CacheUnavailable):
                await call
        await cache.close()


def test_a_cache_made_in_one_loop_serves_the_next(lone_memcached: MemcachedServer) -> None:
    cache = MemcachedCache(lone_memcached.address, {})

    async def use(value: int) -> None:
        await cache.set("key", value)
        assert await cache.get("key") == value
        await cache.close()

    asyncio.run(use(1))
    asyncio.run(use(2))
