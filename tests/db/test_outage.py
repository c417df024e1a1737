"""A server that falls silent: deadlines for statements, an unknown COMMIT, and a breaker that refuses at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from tests.db.basedb.conftest import asyncpg_may_look_for_its_files, create_posts, params_of
from tests.db.models import User
from tests.db.support import configured, prepared, server, servers_of
from tests.polling import until
from tests.services import mariadb, postgres
from tests.services.process import free_port
from tests.services.proxy import Proxy
from torngas_aio._cleanup import close_all
from torngas_aio.db import _outage
from torngas_aio.db._connections import deadline_of, limited
from torngas_aio.db._outage import Outage
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy import DbSession, session_scope
from torngas_aio.exception import DatabaseUnavailable, OutcomeUnknown

__all__ = ["asyncpg_may_look_for_its_files"]

DRIVERS = [
    pytest.param("mysql+aiomysql", marks=pytest.mark.mariadb),
    pytest.param("mysql+asyncmy", marks=pytest.mark.mariadb),
    pytest.param("postgresql+asyncpg", marks=pytest.mark.postgres),
]
KINDS = [pytest.param("mysql", marks=pytest.mark.mariadb), pytest.param("postgres", marks=pytest.mark.postgres)]
SLEEP = {"mysql": "SELECT SLEEP(0.4)", "postgresql": "SELECT pg_sleep(0.4)"}


@asynccontextmanager
async def far_away(driver: str, **more: Any) -> AsyncIterator[Proxy]:
    """Settings for a master behind a proxy, and empty tables."""
    is_mysql = driver.startswith("mysql")
    port = mariadb.shared_cluster().master.port if is_mysql else postgres.shared_postgres().port
    async with Proxy(port) as proxy:
        with configured({"default": {"connections": [server("master", proxy.port, driver, **more)]}}):
            async with prepared():
                yield proxy
                proxy.flow()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_statement_on_the_master_has_a_deadline(driver: str) -> None:
    async with far_away(driver, READ_TIMEOUT=0.3) as proxy, session_scope() as session:
        await session.execute(text("SELECT 1"))
        proxy.stall()
        with pytest.raises(DatabaseUnavailable, match="no answer within the deadline"):
            await session.execute(insert(User).values(name="x"))


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_commit_without_an_answer_is_unknown_and_sent_once(driver: str) -> None:
    async with far_away(driver, READ_TIMEOUT=0.3) as proxy:
        async with session_scope() as session:
            session.add(User(name="x"))
            await session.flush()
            before = proxy.connections
            proxy.stall()
            with pytest.raises(OutcomeUnknown, match="outcome is unknown") as caught:
                await session.commit()
            assert caught.value.status_code == 503
            assert proxy.connections == before
        proxy.flow()
        async with session_scope() as session:  # it was kept, this time
            assert await session.query(User).count() == 1


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_block_chooses_its_own_deadline(driver: str) -> None:
    sleep = text(SLEEP[driver.partition("+")[0]])
    async with far_away(driver, READ_TIMEOUT=0.2):
        async with session_scope(timeout=None) as session:
            await session.execute(sleep)
            await session.commit()
        with pytest.raises(DatabaseUnavailable, match="no answer within the deadline"):
            async with session_scope() as session:
                await session.execute(sleep)
        async with session_scope(timeout=9) as session:
            await session.execute(sleep)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_master_that_refuses_connections_is_told_once(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    """Callers try by themselves: they are refused at once, and served as soon as it is back."""
    with configured({"default": {"connections": [server("master", free_port(), driver)]}}):
        outage = servers_of().master.outage
        assert outage is not None
        for _ in range(5):
            with pytest.raises(DatabaseUnavailable, match="no connection"):
                async with session_scope() as session:
                    await session.execute(text("SELECT 1"))
            assert not outage.is_down
        await until(lambda: "refuses connections" in caplog.text)
        await close_all()
    assert caplog.text.count(" is down: ") == 1


async def test_a_server_that_refused_connections_is_told_to_be_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outage, "PROBE_SECONDS", 0.2)
    port = free_port()

    async def connect() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    outage = Outage("Database x", connect)
    with pytest.raises(ConnectionRefusedError):
        await outage.watched(connect())
    await until(lambda: "is down" in caplog.text)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        await until(lambda: "is back" in caplog.text)
    await outage.aclose()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "Database x is down", "Database x is back."
    ]  # fmt: skip


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_silent_master_is_refused_at_once_until_it_is_back(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with far_away(driver) as proxy:
        outage = servers_of().master.outage
        assert outage is not None
        async with session_scope() as first:
            await first.execute(insert(User).values(name="x"))
            proxy.stall()
            waiting = asyncio.ensure_future(first.execute(insert(User).values(name="y")))
            await until(lambda: outage.is_down)
            connections = proxy.connections
            for _ in range(20):
                async with session_scope() as session:
                    with pytest.raises(DatabaseUnavailable, match="is down: it has not answered for"):
                        await session.execute(insert(User).values(name="z"))
            assert proxy.connections - connections <= 1  # the probe's
            proxy.flow()
            await until(lambda: not outage.is_down)
            await waiting  # was never given up: its deadline was far
            await first.commit()
        await use(session_scope)
    for said in ("is down: no answer", "is back."):
        assert caplog.text.count(said) == 1


async def use(scope: Callable[[], Any]) -> None:
    async with scope() as session:
        assert isinstance(session, DbSession)
        assert await session.query(User).count() == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_basedb_refuses_at_once_too(kind: str, tmp_path: Path) -> None:
    params = params_of(kind, tmp_path)
    async with Proxy(params["port"]) as proxy:
        db = database(**{**params, "port": proxy.port})
        await create_posts(db, kind)
        outage = db.pool.outage
        assert outage is not None
        proxy.stall()
        waiting = asyncio.ensure_future(db.query("SELECT 1 AS one").first())
        await until(lambda: outage.is_down)
        for _ in range(20):
            with pytest.raises(DatabaseUnavailable, match="is down: it has not answered for"):
                await db.insert("posts", title="x")
            with pytest.raises(DatabaseUnavailable, match="is down"):
                async with db.transaction():
                    pass
        proxy.flow()
        await until(lambda: not outage.is_down)
        assert (await waiting).one == 1
        await db.insert("posts", title="x")
        await db.query("DROP TABLE posts")
        await db.aclose()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_who_waits_for_a_connection_is_refused_when_the_server_is_found_to_be_silent(driver: str) -> None:
    """Not after the ten seconds that opening a connection may take."""
    async with far_away(driver) as proxy:
        await close_all()
        proxy.stall()
        async with asyncio.timeout(5), session_scope() as session:
            with pytest.raises(DatabaseUnavailable, match="is down: it has not answered"):
                await session.execute(text("SELECT 1"))


@pytest.mark.parametrize("kind", KINDS)
async def test_who_waits_for_a_connection_of_basedb_is_refused_too(kind: str, tmp_path: Path) -> None:
    params = params_of(kind, tmp_path)
    async with Proxy(params["port"]) as proxy:
        db = database(**{**params, "port": proxy.port})
        proxy.stall()
        async with asyncio.timeout(5):
            with pytest.raises(DatabaseUnavailable, match="is down: it has not answered"):
                await db.query("SELECT 1")
        assert db.pool.in_use == 0
        await db.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_commit_of_basedb_without_an_answer_is_unknown(kind: str, tmp_path: Path) -> None:
    params = params_of(kind, tmp_path)
    async with Proxy(params["port"]) as proxy:
        db = database(**{**params, "port": proxy.port}, timeout=0.45)  # below SUSPECT_SECONDS
        await create_posts(db, kind)
        for fail in (proxy.stall, proxy.cut):
            transaction = await db.transaction()
            await db.insert("posts", title=f"{fail}")
            fail()
            with pytest.raises(OutcomeUnknown, match="outcome of a COMMIT is unknown"):
                await transaction.commit()
            proxy.flow()
        assert db.pool.in_use == 0
        await db.query("DROP TABLE posts")
        await db.aclose()


@pytest.mark.mariadb
async def test_a_server_that_refuses_at_once_is_not_probed() -> None:
    with configured({"default": {"connections": [server("master", free_port(), "mysql+aiomysql")]}}):
        for _ in range(3):
            async with session_scope() as session:
                with pytest.raises(DatabaseUnavailable, match="running and in reach"):
                    await session.execute(text("SELECT 1"))
        outage = servers_of().master.outage
        assert outage is not None
        assert not outage.is_down
        await close_all()


async def test_a_server_that_is_silent_and_then_refuses_is_down_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_outage, "PROBE_SECONDS", 0.02)
    answers = iter(["silence", "refusal", "silence", "refusal", ""])

    async def probe() -> bool:
        answer = next(answers)
        if answer == "silence":
            await asyncio.sleep(5)
        if answer == "refusal":
            raise ConnectionRefusedError
        return True

    outage = Outage("it", probe)
    outage.suspect()
    await until(lambda: "is back." in caplog.text)
    assert caplog.text.count("is down: ") == caplog.text.count("is back.") == 1
    await outage.aclose()


async def test_a_slow_statement_is_asked_about_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outage, "SUSPECT_SECONDS", 0.02)
    probes = 0

    async def probe() -> bool:
        nonlocal probes
        probes += 1
        return True

    outage = Outage("it", probe)
    await outage.watched(asyncio.sleep(0.3))
    assert 1 <= probes <= 6
    assert not outage.is_down
    await outage.aclose()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX i ON t (a)",
        "alter table t add c int",
        "\n DROP TABLE t",
        "TRUNCATE t",
        "VACUUM",
        "REINDEX TABLE t",
    ],
)
def test_ddl_has_no_deadline(statement: str) -> None:
    assert deadline_of(statement, 30) is None


@pytest.mark.parametrize(
    "statement", ["SELECT 1", "INSERT INTO created VALUES (1)", "UPDATE dropped SET a = 1", "COMMIT", ""]
)
def test_other_statements_have_the_server_s_or_the_block_s(statement: str) -> None:
    assert deadline_of(statement, 30) == 30
    assert deadline_of(statement, None) is None
    with limited(5):
        assert deadline_of(statement, 30) == 5
        with limited(None):
            assert deadline_of(statement, 30) is None
