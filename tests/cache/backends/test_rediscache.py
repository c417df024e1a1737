"""What is Redis's own: every way in on both loops, the native client, scripts, prefixes that look like patterns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.services.redis import RedisServer
from torngas_aio.cache.backends import rediscache
from torngas_aio.cache.backends.rediscache import RedisCache
from torngas_aio.exception import ConfigError, ValueTooLarge

pytestmark = pytest.mark.redis

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
async def cache(redis_server: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[RedisCache]:
    cache = RedisCache(redis_server.address, {"ALIAS": "main", "KEY_PREFIX": request.node.name})
    yield cache
    await cache.close()


def ways_in(server: RedisServer) -> dict[str, str]:
    return {
        "port": server.address,
        "url": f"redis://127.0.0.1:{server.port}/1",
        "unix": server.socket_path,
        "tls": f"rediss://127.0.0.1:{server.tls_port}/0?ssl_ca_certs={server.certificates.authority}",
    }


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("way", ["port", "url", "unix", "tls"])
def test_every_way_in_on_both_loops(redis_server: RedisServer, way: str, runner: Runner) -> None:
    async def use() -> None:
        cache = RedisCache(ways_in(redis_server)[way], {"KEY_PREFIX": way, "OPTIONS": {"DEADLINE": 10}})
        await cache.set("big", "x" * 1_000_000)
        found = await asyncio.gather(cache.get("big"), *(cache.get(f"absent{number}", number) for number in range(20)))
        assert found == ["x" * 1_000_000, *range(20)]
        assert await cache.client.ping()
        await cache.close()

    runner(use())


@pytest.mark.parametrize("parser", ["redis.connection.DefaultParser", "redis.connection.PythonParser"])
async def test_the_configuration_of_torngas_1_8_works(redis_server: RedisServer, parser: str) -> None:
    options = {
        "DB": 0,
        "PARSER_CLASS": parser,
        "POOL_KWARGS": {"socket_timeout": 2, "socket_connect_timeout": 2},
        "PING_INTERVAL": 120,
    }
    cache = RedisCache(redis_server.address, {"OPTIONS": options, "KEY_PREFIX": "old"})
    await cache.set("key", [1])
    assert await cache.get("key") == [1]
    assert await cache.client.get(cache.keys_of.make("key")) is not None
    await cache.close()


def test_a_wrong_location_names_the_alias() -> None:
    with pytest.raises(ConfigError, match=r"CACHES\['main'\]\['LOCATION'\]"):
        RedisCache("http://a", {"ALIAS": "main"})


async def test_clear_takes_the_prefix_literally_and_leaves_the_rest(redis_server: RedisServer) -> None:
    odd = [
        RedisCache(redis_server.address, {"KEY_PREFIX": prefix}) for prefix in ("a*", "ab", "[a]", "a?", "a\\", "a^-]")
    ]
    for number, cache in enumerate(odd):
        await cache.set("key", number)
    await odd[0].raw_set("%session:a*:1", b"kept", None)
    for number, cache in enumerate(odd):
        assert await cache.keys() == ["key"]
        await cache.clear()
        left = [await each.get("key") for each in odd]
        assert left == [None] * (number + 1) + list(range(number + 1, len(odd)))
    assert await odd[0].raw_get("%session:a*:1") == b"kept"
    for cache in odd:
        await cache.close()


async def test_thousands_of_keys_are_listed_and_cleared(cache: RedisCache) -> None:
    data = {f"key{number}": number for number in range(3000)}
    await cache.set_many(data)
    assert sorted(await cache.keys("key?")) == [f"key{number}" for number in range(10)]
    assert len(await cache.keys()) == 3000
    await cache.clear()
    assert await cache.keys() == []


async def test_scripts_are_sent_again_when_the_server_forgot_them(cache: RedisCache, redis_server: RedisServer) -> None:
    await cache.set("n", 1)
    assert await cache.incr("n") == 2
    await asyncio.to_thread(redis_server.command, "SCRIPT", "FLUSH")
    assert await asyncio.gather(*(cache.incr("n") for _ in range(10))) == list(range(3, 13))


async def test_what_redis_cannot_take_is_refused_before_it_is_sent(
    cache: RedisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cache.set("key", 1)
    monkeypatch.setattr(rediscache, "MAX_VALUE_BYTES", 100)
    for call in (cache.set("key", "x" * 200), cache.add("key", "x" * 200), cache.set_many({"key": "x" * 200})):
        with pytest.raises(ValueTooLarge, match=r"CACHES\['main'\].*100 at most"):
            await call
    assert await cache.get("key") is None


async def test_lives_beyond_redis_clock_are_kept_for_as_long_as_it_can(cache: RedisCache) -> None:
    await cache.set("key", 1, 1e18)
    assert await cache.get("key") == 1
    assert await cache.touch("key", 1e18)
    assert (await cache.ttl("key") or 0) > 1e12
    assert await cache.touch("key", None)
    assert await cache.ttl("key") is None


async def test_nothing_asks_nothing(cache: RedisCache) -> None:
    assert await cache.get_many([]) == {}
    assert await cache.set_many({}) == []
    await cache.delete_many([])
    assert cache._loop is not None
    assert not cache._connected().is_open  # type: ignore[union-attr]


async def test_closing_ends_what_is_refreshed_behind_callers(cache: RedisCache) -> None:
    has_ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            has_ended.set()

    cache.refresh_soon("top", work)
    await asyncio.sleep(0)
    await cache.close()
    assert has_ended.is_set()
