"""The client alone, and what a Redis answers instead of a value: full, forbidden, of another type, foreign."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
import redis.asyncio

from tests.cache.redis.conftest import Make
from tests.cache.redis.test_connection import until_right
from tests.services.process import HOST
from tests.services.proxy import answering
from tests.services.redis import RedisServer
from torngas_aio.cache.backends.rediscache import RedisClient
from torngas_aio.cache.registry import caches, close_caches, make_cache
from torngas_aio.exception import CacheUnavailable, SerializationError
from torngas_aio.settings_manager import settings

pytestmark = pytest.mark.redis

NATIVE = "torngas_aio.cache.backends.rediscache.RedisClient"


async def outcome(call: Awaitable[Any]) -> str:
    """What the call raised, as text; "" when it returned."""
    try:
        await call
    except CacheUnavailable as exc:
        return str(exc)
    return ""


async def test_out_of_memory_is_said_and_reading_goes_on(make: Make) -> None:
    with RedisServer(maxmemory="3mb", maxmemory_policy="noeviction") as server:
        cache = make(server.address)
        await cache.set("kept", 1)
        done = [await outcome(cache.set(f"big{number}", "x" * 100_000)) for number in range(100)]
        assert "OOM" in done[-1]
        assert "raise its maxmemory" in done[-1]
        assert await cache.get("kept") == 1
        with pytest.raises(CacheUnavailable, match="OOM"):
            await cache.set("kept", 2)
        assert await cache.get("kept", "gone") == "gone", "a failed set leaves no old value"
        await cache.delete_many(f"big{number}" for number in range(100))
        await cache.set("big", "x" * 100_000)


async def test_that_too_few_replicas_follow_is_said(make: Make) -> None:
    with RedisServer(min_replicas_to_write="1") as server:
        assert "its min-replicas-to-write asks for" in await outcome(make(server.address).set("a", 1))


async def test_a_key_of_another_type_is_no_cached_value(make: Make, lone_redis: RedisServer) -> None:
    cache = make(lone_redis.address)
    lone_redis.command("LPUSH", cache.keys_of.make("list"), "x")
    with pytest.raises(SerializationError, match="another of Redis's types"):
        await cache.get("list")
    with pytest.raises(SerializationError, match="another of Redis's types"):
        await cache.gets("list")
    with pytest.raises(SerializationError, match="another of Redis's types"):
        await cache.incr("list")
    await cache.set("list", "now a value")
    assert await cache.get("list") == "now a value"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+PONG\r\n+PONG\r\n", b"\x00\x01\x02\r\n"])
async def test_a_server_that_is_no_redis(make: Make, answer: bytes) -> None:
    async with answering(answer) as address:
        cache = make(address)
        with pytest.raises(CacheUnavailable):
            await cache.get("key")
        await cache.close()


async def test_a_password_is_wanted_and_never_told(make: Make) -> None:
    with RedisServer(requirepass="right-one") as server:
        with pytest.raises(CacheUnavailable, match="PASSWORD"):
            await make(server.address).get("key")
        with pytest.raises(CacheUnavailable) as caught:
            await make(server.address, PASSWORD="wrong-one").get("key")
        assert "wrong-one" not in str(caught.value)
        cache = make(server.address, PASSWORD="right-one")
        await cache.set("key", 1)
        assert await cache.get("key") == 1


async def test_a_replica_refuses_writes_with_a_mend(make: Make, lone_redis: RedisServer) -> None:
    with RedisServer(replicaof=f"{HOST} {lone_redis.port}") as replica:
        cache = make(replica.address)
        await until_right(lambda: cache.get("key"), None)
        with pytest.raises(CacheUnavailable, match="redis\\+sentinel"):
            await cache.set("key", 1)


async def test_the_native_client_stands_alone(redis_server: RedisServer) -> None:
    client = RedisClient(redis_server.address, {})
    assert isinstance(client.client, redis.asyncio.Redis)
    assert client._client is client.client
    await client.client.delete("list")
    assert await client.client.rpush("list", "a", "b") == 2
    await client.ping()
    await client.close()
    await client.close()
    assert await client.client.lrange("list", 0, -1) == [b"a", b"b"]
    await client.close()


async def test_settings_may_name_the_client_alone(redis_server: RedisServer) -> None:
    made: Any = make_cache("raw", {"BACKEND": NATIVE, "LOCATION": redis_server.address, "OPTIONS": {"DB": 3}})
    assert (await made.client.client_info())["db"] == 3
    assert made.label == "CACHES['raw']"
    await made.close()


def test_a_redis_client_kept_by_a_module_is_that_of_the_loop_that_runs(redis_server: RedisServer) -> None:
    """As `redis = caches["redis"].client` at the top of a module of a torngas 1.8 project."""
    entry = {"BACKEND": NATIVE, "LOCATION": redis_server.address}
    with settings.override(CACHES={"redis": entry}):
        native: Any = caches["redis"]
        client = native.client
        assert repr(client) == "caches['redis'].client"
        with pytest.raises(RuntimeError, match=r"\['redis'\]\.client\.get was used outside a running event loop: by"):
            client.get  # noqa: B018  reading it is the test

        async def use(value: bytes) -> None:
            await client.set("key", value)
            assert await client.get("key") == value
            await close_caches()

        asyncio.run(use(b"1"))
        asyncio.run(use(b"2"))
