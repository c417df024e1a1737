"""Calls of caches and databases are told, with hits, roles and errors; nothing is told once the block has ended."""

import sqlite3
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.db.conftest import sqlite
from tests.db.models import User
from tests.db.support import configured, prepared
from tests.services.redis import RedisServer
from torngas_aio.cache import caches
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.exception import CacheUnavailable, DatabaseUnavailable
from torngas_aio.operations.calls import Call, watched_calls
from torngas_aio.settings_manager import settings

__all__ = ["sqlite"]


@pytest.fixture
def calls() -> Iterator[list[Call]]:
    told: list[Call] = []
    with watched_calls(told.append):
        yield told


def shown(calls: list[Call]) -> list[Any]:
    return [(call.operation, call.hits, call.misses) for call in calls]


async def use(cache: Any) -> None:
    await cache.set("a", 1)
    assert await cache.get("a") == 1
    assert await cache.get("b", 7) == 7
    assert await cache.get_many(["a", "b", "c"]) == {"a": 1}
    await cache.delete("a")


LOCAL = {"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache", "LOCATION": "calls"}


async def test_calls_of_a_cache_in_memory(calls: list[Call]) -> None:
    with settings.override(CACHES={"here": LOCAL}):
        await use(caches["here"])
    single = [("get", 1, 0), ("get", 0, 1), ("get", 0, 1)]
    assert shown(calls) == [("set", 0, 0), ("get", 1, 0), ("get", 0, 1), *single, ("delete", 0, 0)]
    assert {(call.kind, call.target, call.error) for call in calls} == {("cache", "here", None)}
    assert all(call.seconds >= 0 for call in calls)


async def test_each_operation_of_a_store_is_told(calls: list[Call]) -> None:
    with settings.override(CACHES={"here": {**LOCAL, "LOCATION": "each"}}):
        cache: Any = caches["here"]
        await cache.raw_set("a", b"1", None)
        calls.clear()
        assert await cache.raw_ttl("a") is None
        assert await cache.raw_keys("a", "*") == ["a"]
        await cache.raw_ping()
    assert shown(calls) == [("ttl", 0, 0), ("keys", 0, 0)]  # a ping has no key


@pytest.mark.redis
async def test_calls_of_redis_and_their_errors(calls: list[Call]) -> None:
    with RedisServer() as server:
        config = {"BACKEND": "torngas_aio.cache.backends.rediscache.RedisCache", "LOCATION": server.url}
        with settings.override(CACHES={"shared": {**config, "OPTIONS": {"DEADLINE": 0.5}}}):
            await use(caches["shared"])
            assert shown(calls) == [("set", 0, 0), ("get", 1, 0), ("get", 0, 1), ("get_many", 1, 2), ("delete", 0, 0)]
            server.process.kill()
            with pytest.raises(CacheUnavailable):
                await caches["shared"].get("a")
    assert (calls[-1].target, type(calls[-1].error), calls[-1].misses) == ("shared", CacheUnavailable, 0)


async def test_calls_of_a_database_tell_role_and_statement(sqlite: dict[str, Any]) -> None:
    told: list[Call] = []
    with configured(sqlite), watched_calls(told.append):
        async with prepared():
            told.clear()
            async with session_scope() as session:
                await session.query(User).count()
                session.add(User(name="calls"))
                await session.commit()
                with pytest.raises(OperationalError):
                    await session.execute(text("SELECT nothing FROM nowhere"))
    found = [(call.operation, call.role, call.error is None) for call in told if call.operation in {"SELECT", "INSERT"}]
    assert found == [("SELECT", "slave", True), ("INSERT", "master", True), ("SELECT", "master", False)]
    assert {(call.kind, call.target) for call in told} == {("sql", "default")}


async def test_statements_of_basedb_are_told_with_those_that_fail_time_out_or_are_streamed(
    calls: list[Call], tmp_path: Path
) -> None:
    db = database(dbn="sqlite", db=str(tmp_path / "small shop.db"), timeout=0.3)
    async with aclosing(db):
        await db.query("CREATE TABLE things (id integer PRIMARY KEY, name text)")
        calls.clear()
        await db.multiple_insert("things", [{"name": str(number)} for number in range(3)])
        names = [row.name async for row in db.select("things")]
        async for _ in db.select("things"):
            break
        with pytest.raises(sqlite3.OperationalError):
            await db.query("SELECT nothing FROM nowhere")
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        with pytest.raises(DatabaseUnavailable):
            await db.query(endless)
    assert names == ["0", "1", "2"]
    found = [(call.operation, call.error is None) for call in calls]
    written = [("BEGIN", True), ("INSERT", True), ("COMMIT", True)]
    assert found == [*written, ("SELECT", True), ("SELECT", True), ("SELECT", False), ("WITH", False)]
    assert calls[1].parameters == ["0", "1", "2"]
    assert {(call.kind, call.target, call.role) for call in calls} == {("sql", "small shop.db", "")}
    assert {call.server for call in calls} == {f"sqlite:///{tmp_path}/small shop.db"}


async def test_nothing_is_told_when_the_block_has_ended() -> None:
    told: list[Call] = []
    with settings.override(CACHES={"here": LOCAL}):
        with watched_calls(told.append):
            cache = caches["here"]
        await use(cache)
    assert not told


@pytest.mark.redis
async def test_a_redis_client_that_is_no_cache_is_left_as_it_is(calls: list[Call]) -> None:
    with RedisServer() as server:
        config = {"BACKEND": "torngas_aio.cache.backends.rediscache.RedisClient", "LOCATION": server.url}
        with settings.override(CACHES={"native": config}):
            client: Any = caches["native"]
            await client.client.lpush("a", "b")
            assert await client.client.llen("a") == 1
    assert calls == []
