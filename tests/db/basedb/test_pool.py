"""Databases that are slow, gone, cut off or full: a clear error, and nothing lost, mixed up or leaked."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.db.basedb.conftest import create_posts
from tests.polling import until
from tests.services.process import free_port
from tests.services.proxy import Proxy
from torngas_aio._concurrency import Places
from torngas_aio.db import _outage
from torngas_aio.db.basedb import Database, database
from torngas_aio.exception import ConfigError, DatabaseUnavailable, PoolExhausted

SLOW = {
    "memory": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400000000) SELECT max(i) FROM n",
    "mysql": "SELECT SLEEP(60)",
    "postgres": "SELECT pg_sleep(60)",
}
SERVERS = [
    pytest.param("mysql", marks=pytest.mark.mariadb),
    pytest.param("postgres", marks=pytest.mark.postgres),
]


def slow(kind: str) -> str:
    return SLOW.get(kind, SLOW["memory"])


@pytest.fixture
async def hasty(params: dict[str, Any], kind: str, db: Database) -> AsyncIterator[Database]:
    """A database whose statements have a second, which a quick one needs on no machine, however busy."""
    made = database(**params, timeout=1, pool_timeout=1, pool_size=2)
    if kind == "memory":  # a database of its own
        await create_posts(made, kind)
    yield made
    assert made.pool.in_use == 0
    await made.aclose()


async def test_a_statement_that_takes_too_long_is_given_up(hasty: Database, kind: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="no answer within 1 s"):
        await hasty.query(slow(kind))
    assert (await hasty.query("SELECT 7 AS n").first()).n == 7


async def test_a_cancelled_statement_leaves_no_answer_for_the_next(db: Database, kind: str) -> None:
    task = asyncio.ensure_future(db.query(slow(kind)).list())
    await asyncio.sleep(0)
    await until(lambda: db.pool.in_use != 0)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert db.pool.in_use == 0
    assert (await db.query("SELECT 7 AS n").first()).n == 7


async def test_a_storm_of_cancelled_callers_mixes_up_no_answers(db: Database) -> None:
    chance = random.Random(7)

    async def ask(number: int) -> None:
        for _ in range(5):
            rows = await db.query("SELECT $n AS n", vars={"n": str(number)}).list()
            assert rows[0].n == str(number)
            await db.update("posts", -number, body=str(number))

    tasks = [asyncio.create_task(ask(number)) for number in range(40)]
    for _ in range(20):
        await asyncio.sleep(0.005)
        chance.choice(tasks).cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)
    assert db.pool.in_use == 0
    assert db.pool.idle <= 10


async def test_a_statement_too_slow_inside_a_transaction_loses_all_of_it(hasty: Database, kind: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="no answer within"):  # noqa: PT012  # the block is what is tested
        async with hasty.transaction():
            await hasty.insert("posts", title="undone")
            with pytest.raises(DatabaseUnavailable, match="no answer within"):
                await hasty.query(slow(kind))
            with pytest.raises(DatabaseUnavailable, match="lost by an earlier error"):
                await hasty.insert("posts", title="undone as well")
            await hasty.query(slow(kind))
    await asyncio.sleep(0)
    assert await hasty.where("posts").list() == []


@pytest.mark.parametrize("kind", ["memory", "file", *SERVERS], indirect=True)
async def test_with_all_connections_in_use_a_caller_waits_and_is_told_why(hasty: Database, kind: str) -> None:
    size = 1 if kind == "memory" else 2
    if kind == "file":  # two write transactions of one file wait for each other
        size = 1
        hasty.pool._places = Places(1)
    held = [await hasty.transaction()]
    if size == 2:
        hasty._current.set(None)  # as in another task
        held.append(await hasty.transaction())

    async def other() -> Any:
        hasty._current.set(None)  # as in another task
        return await hasty.query("SELECT 1 AS one").first()

    with pytest.raises(PoolExhausted, match=r"stayed in use for 1 s.*Raise pool_size"):
        await asyncio.create_task(other())
    waiting = asyncio.create_task(other())
    await asyncio.sleep(0)
    for transaction in held:
        await transaction.rollback()
    assert (await waiting).one == 1


@pytest.mark.parametrize("kind", SERVERS, indirect=True)
class TestThroughAProxy:
    """The network between us and the server."""

    @pytest.fixture
    async def proxy(self, params: dict[str, Any]) -> AsyncIterator[Proxy]:
        async with Proxy(params["port"]) as made:
            yield made

    @pytest.fixture
    async def far(self, params: dict[str, Any], proxy: Proxy, db: Database) -> AsyncIterator[Database]:
        made = database(**{**params, "port": proxy.port}, timeout=0.5, connect_timeout=0.5, pool_timeout=2)
        yield made
        assert made.pool.in_use == 0
        await made.aclose()

    async def test_a_read_on_a_dead_connection_is_asked_again(self, far: Database, proxy: Proxy) -> None:
        await asyncio.gather(*(far.query("SELECT 1 AS one") for _ in range(3)))
        proxy.cut()
        assert (await far.query("SELECT 2 AS two").first()).two == 2
        assert far.pool.idle >= 1

    async def test_a_write_on_a_dead_connection_is_not(self, far: Database, proxy: Proxy) -> None:
        await far.query("SELECT 1 AS one")
        proxy.cut()
        with pytest.raises(DatabaseUnavailable, match="the connection broke"):
            await far.insert("posts", title="maybe")
        await far.insert("posts", title="surely")
        assert [row.title for row in await far.where("posts")] == ["surely"]

    async def test_a_select_of_a_function_that_may_write_is_not(self, far: Database, proxy: Proxy) -> None:
        await far.query("SELECT 1 AS one")
        proxy.cut()
        with pytest.raises(DatabaseUnavailable, match="the connection broke"):
            await far.query("SELECT book_seat(7) AS seat")

    async def test_a_connection_that_lay_idle_is_asked_whether_it_lives(self, far: Database, proxy: Proxy) -> None:
        await far.query("SELECT 1 AS one")
        proxy.cut()
        far.pool._idle = [(connection, made_at, used_at - 60) for connection, made_at, used_at in far.pool._idle]
        await far.insert("posts", title="on a new one")
        assert len(await far.where("posts")) == 1

    async def test_an_old_connection_is_replaced(self, params: dict[str, Any], db: Database) -> None:
        made = database(**params, pool_recycle=3600)
        await made.query("SELECT 1")
        (connection, made_at, used_at) = made.pool._idle[0]
        made.pool._idle[0] = (connection, made_at - 7200, used_at)
        await made.query("SELECT 1")
        assert made.pool._idle[0][0] is not connection
        await made.aclose()

    async def test_a_server_that_stands_still_is_given_up_in_time(
        self, far: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_outage, "SUSPECT_SECONDS", 30)  # the deadlines are tested; a probe may end at any moment
        await far.query("SELECT 1 AS one")
        proxy.stall()
        with pytest.raises(DatabaseUnavailable, match=r"no answer within 0\.5 s"):
            await far.query("SELECT 2 AS two")
        with pytest.raises(DatabaseUnavailable, match="no connection could be made"):
            await far.query("SELECT 3 AS three")
        proxy.flow()
        assert (await far.query("SELECT 4 AS four").first()).four == 4

    async def test_a_stream_that_is_cut_ends_in_an_error(self, far: Database, proxy: Proxy, db: Database) -> None:
        await db.multiple_insert("posts", [{"title": str(n), "body": "x" * 5000} for n in range(500)], seqname=False)
        seen = 0
        with pytest.raises(DatabaseUnavailable):  # noqa: PT012  # the loop is what is tested
            async for _ in far.select("posts"):
                if not seen:
                    proxy.cut()
                seen += 1
        assert 0 < seen < 500
        assert len(await far.select("posts", what="id")) == 500

    async def test_a_stream_that_stalls_is_given_up(self, far: Database, proxy: Proxy, db: Database) -> None:
        await db.multiple_insert("posts", [{"title": str(n), "body": "x" * 5000} for n in range(500)], seqname=False)
        with pytest.raises(DatabaseUnavailable, match="no rows within"):  # noqa: PT012  # the loop is what is tested
            async with aclosing(aiter(far.select("posts"))) as rows:
                async for _ in rows:
                    proxy.stall()
        proxy.flow()

    async def test_a_transaction_whose_connection_breaks_keeps_nothing(self, far: Database, proxy: Proxy) -> None:
        with pytest.raises(DatabaseUnavailable):  # noqa: PT012  # the block is what is tested
            async with far.transaction():
                await far.insert("posts", title="undone")
                proxy.cut()
                await far.insert("posts", title="undone as well")
        assert await far.where("posts").list() == []

    async def test_a_commit_that_breaks_is_never_taken_for_done(self, far: Database, proxy: Proxy) -> None:
        with pytest.raises(DatabaseUnavailable, match="the connection broke"):  # noqa: PT012
            async with far.transaction():
                await far.insert("posts", title="undone")
                proxy.cut()
        assert await far.where("posts").list() == []


@pytest.mark.parametrize("kind", SERVERS, indirect=True)
@pytest.mark.parametrize("change", [{"port": 0}, {"pw": "wrong-secret"}, {"db": "no_such_database"}])
async def test_a_database_out_of_reach_is_named_without_its_password(
    params: dict[str, Any], change: dict[str, Any]
) -> None:
    chosen = {**params, **change, "port": free_port() if "port" in change else params["port"]}
    made = database(**chosen)
    with pytest.raises(DatabaseUnavailable, match="no connection could be made") as caught:
        await made.query("SELECT 1")
    assert str(chosen["port"]) in str(caught.value)
    assert chosen["pw"] not in str(caught.value)
    assert made.pool.in_use == 0
    await made.aclose()


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    made = database(dbn="sqlite", db=str(tmp_path / "no" / "such" / "folder.db"))
    with pytest.raises(DatabaseUnavailable, match="unable to open database file"):
        await made.query("SELECT 1")
    await made.aclose()


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "torngas_aio.db.basedb.drivers.postgres", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'torngas-aio\[postgres\]'"):
        database("postgres://u@h/d")


@pytest.mark.mariadb
@pytest.mark.parametrize("kind", ["mysql"], indirect=True)
async def test_warnings_of_the_server_are_logged(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    async with db.transaction():
        await db.query("SET SESSION sql_mode = ''")
        await db.insert("posts", title="x" * 300)
        await db.query("SET SESSION sql_mode = DEFAULT")
    assert "MySQL Warning 1265: Data truncated for column 'title'" in caplog.text
