"""A master that takes no writes any more: set read-only, made a replica, or another server behind the same name."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pymysql
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from tests.db.basedb.conftest import asyncpg_may_look_for_its_files, create_posts, params_of
from tests.db.models import User
from tests.db.support import configured, prepared, server, servers_of
from tests.polling import until
from tests.services import mariadb, postgres
from tests.services.postgres import PostgresStandby
from tests.services.proxy import Proxy
from torngas_aio._cleanup import close_all
from torngas_aio.db._outage import Outage, is_refusal, mysql_takes_writes
from torngas_aio.db.basedb import Database, database
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.exception import DatabaseUnavailable

__all__ = ["asyncpg_may_look_for_its_files"]

MYSQL = [pytest.param(f"mysql+{name}", marks=pytest.mark.mariadb) for name in ("aiomysql", "asyncmy")]
DRIVERS = [*MYSQL, pytest.param("postgresql+asyncpg", marks=pytest.mark.postgres)]
KINDS = [pytest.param("mysql", marks=pytest.mark.mariadb), pytest.param("postgres", marks=pytest.mark.postgres)]


def set_read_only(kind: str, is_so: bool) -> None:
    value = "ON" if is_so else "OFF"
    if kind.startswith("mysql"):
        mariadb.shared_cluster().master.execute(f"SET GLOBAL read_only = {value}")
    else:
        postgres.shared_postgres().execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        postgres.shared_postgres().execute("SELECT pg_reload_conf()")
        while postgres.shared_postgres().execute("SHOW default_transaction_read_only") != value.lower():
            pass


@contextmanager
def read_only(kind: str) -> Iterator[None]:
    set_read_only(kind, True)
    try:
        yield
    finally:
        set_read_only(kind, False)


@asynccontextmanager
async def one_master(driver: str, port: int | None = None, **options: Any) -> AsyncIterator[Outage]:
    is_mysql = driver.startswith("mysql")
    home = mariadb.shared_cluster().master.port if is_mysql else postgres.shared_postgres().port
    with configured(only(port or home, driver), **options):
        async with prepared():
            outage = servers_of().master.outage
            assert outage is not None
            yield outage


def only(port: int, driver: str = "postgresql+asyncpg") -> dict[str, Any]:
    return {"default": {"connections": [server("master", port, driver)]}}


async def write(name: str = "x") -> None:
    async with session_scope() as session:
        await session.execute(insert(User).values(name=name))
        await session.commit()


async def count() -> int:
    async with session_scope() as session:
        return await session.query(User).count()


async def settled(writing: Callable[[], Any], *, accepts: type[Exception] = DatabaseUnavailable) -> int:
    """Write until it succeeds; return how many times it failed, each time with *accepts*."""
    failed = 0
    while True:
        try:
            await writing()
        except accepts:
            failed += 1
            await asyncio.sleep(0.05)
        else:
            return failed


# ------------------------------------------------------------------ dbalchemy


@pytest.mark.parametrize("driver", DRIVERS)
async def test_writes_are_503_while_the_master_is_read_only(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    async with one_master(driver) as outage:
        await write()
        with read_only(driver):
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable, match="is read-only; nothing was written") as caught:
                    await write()
                assert caught.value.status_code == 503
            assert outage.is_read_only
            assert await count() == 1  # it still reads
        await until(lambda: not outage.is_read_only)
        await write()
        assert await count() == 2
    assert caplog.text.count("is now read-only") == caplog.text.count("is back.") == 1


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("role", ["using_master", "commit", "flush", "connection"])
async def test_whatever_writes_is_503(driver: str, role: str) -> None:
    async with one_master(driver), session_scope() as session:
        if role == "commit":
            session.add(User(name="x"))
            await session.flush()
        with read_only(driver):
            refused = pytest.raises(DatabaseUnavailable, match="is read-only")
            if role == "using_master":
                with refused:
                    await session.using_master().execute(text("UPDATE users SET visits = 1"))
            elif role == "flush":
                session.add(User(name="x"))
                with refused:
                    await session.flush()
            elif role == "connection":
                with refused:
                    await (await session.connection()).exec_driver_sql("DELETE FROM users")
            elif driver.startswith("mysql"):  # of PostgreSQL's, only new transactions are read-only
                with refused:
                    await session.commit()
        await session.rollback()
        assert await settled(write) <= 60
        assert await count() == 1


@pytest.mark.parametrize("driver", DRIVERS)
async def test_pooled_connections_are_replaced(driver: str) -> None:
    """Also those that were in use when it was found, and those that were opened meanwhile."""
    question = text("SELECT connection_id()" if driver.startswith("mysql") else "SELECT pg_backend_pid()")

    async def numbers() -> set[int]:
        async with session_scope() as first, session_scope() as second, session_scope() as third:
            return {await each.scalar(question) for each in (first, second, third)}

    async with one_master(driver) as outage:
        before = await numbers()
        async with session_scope() as busy:
            before.add(await busy.scalar(question) or 0)
            with read_only(driver):
                with pytest.raises(DatabaseUnavailable):
                    await write()
                during = await numbers()
            await until(lambda: not outage.is_read_only)
        after = await numbers()
    assert not before & during
    assert not (before | during) & after


@pytest.mark.parametrize("driver", MYSQL)
async def test_a_statement_that_is_refused_for_itself_is_the_caller_s(driver: str) -> None:
    async with one_master(driver) as outage, session_scope() as session:
        mariadb.shared_cluster().master.execute(f"GRANT FILE ON *.* TO '{mariadb.USER}'@'%'")
        await session.execute(insert(User).values(name="x"))
        with pytest.raises(DBAPIError) as caught:  # --secure-file-priv, or the file is there
            await session.execute(text("SELECT 1 INTO OUTFILE '/proc/none'"))
        assert not isinstance(caught.value, DatabaseUnavailable)
        await session.commit()  # the transaction is whole
        assert await count() == 1
        assert not outage.is_read_only


@pytest.mark.postgres
@pytest.mark.parametrize("begin", ["SET TRANSACTION READ ONLY", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"])
async def test_a_transaction_that_is_read_only_itself_is_the_caller_s(begin: str) -> None:
    async with one_master("postgresql+asyncpg") as outage, session_scope() as session:
        await session.execute(text(begin))
        await session.commit() if "SESSION" in begin else None
        with pytest.raises(DBAPIError) as caught:
            await session.execute(insert(User).values(name="x"))
        assert is_refusal(caught.value.orig)
        assert not outage.is_read_only
        await session.rollback()
        await session.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"))
        await session.commit()
        await write()


@pytest.mark.parametrize("driver", MYSQL)
async def test_a_name_that_has_moved_is_followed(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    """The old master, now a replica, answers on the pooled connections; new ones reach the new master."""
    cluster = mariadb.shared_cluster()
    async with one_master(driver), Proxy(cluster.slaves[0].port) as proxy:
        cluster.wait_for_slaves()
        with configured(only(proxy.port, driver)):
            async with session_scope() as first, session_scope() as second:
                for session in (first, second):
                    assert (await session.scalars(select(User))).all() == []
            proxy.move_to(cluster.master.port)
            with pytest.raises(DatabaseUnavailable, match="read-only; nothing was written"):
                await write()
            for _ in range(3):
                await write()
            assert await count() == 3
            await close_all()
    assert caplog.text.count("is now another server") == 1
    assert "is now read-only" not in caplog.text


@pytest.mark.mariadb
async def test_a_name_that_moves_later_is_followed() -> None:
    cluster = mariadb.shared_cluster()
    async with one_master("mysql+aiomysql"), Proxy(cluster.slaves[0].port) as proxy:
        cluster.wait_for_slaves()
        with configured(only(proxy.port, "mysql+aiomysql")):
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable, match="read-only"):
                    await write()
            proxy.move_to(cluster.master.port)
            await settled(write)
            assert await count() == 1
            await close_all()


@pytest.mark.postgres
async def test_a_hot_standby_that_is_promoted_takes_writes_without_a_restart() -> None:
    async with one_master("postgresql+asyncpg"):
        with PostgresStandby(postgres.shared_postgres()) as standby, configured(only(standby.port)):
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable, match="read-only"):
                    await write()
            async with session_scope() as session:
                with pytest.raises(DatabaseUnavailable, match="read-only"):
                    await session.execute(select(User).with_for_update())
            assert await count() == 0
            standby.execute("SELECT pg_promote()")
            await settled(write)
            assert await count() == 1
            await close_all()


@pytest.mark.postgres
async def test_connections_to_a_standby_are_left_for_the_master() -> None:
    async with one_master("postgresql+asyncpg"):
        with PostgresStandby(postgres.shared_postgres()) as standby:
            async with Proxy(standby.port) as proxy:
                with configured(only(proxy.port)):
                    assert await count() == 0
                    proxy.move_to(postgres.shared_postgres().port)
                    with pytest.raises(DatabaseUnavailable, match="read-only"):
                        await write()
                    await write()
                    await close_all()


@pytest.mark.mariadb
async def test_a_hundred_refused_writes_ask_on_one_new_connection() -> None:
    cluster = mariadb.shared_cluster()
    async with Proxy(cluster.master.port) as proxy, one_master("mysql+aiomysql", proxy.port, pool_size=15):
        await asyncio.gather(*(count() for _ in range(15)))
        before = proxy.connections
        with read_only("mysql"):
            failures = await asyncio.gather(*(write() for _ in range(15)), return_exceptions=True)
        assert all(isinstance(failure, DatabaseUnavailable) for failure in failures)
        assert proxy.connections - before <= 3


@pytest.mark.mariadb
async def test_a_write_that_is_cancelled_while_the_server_is_asked_leaves_nothing() -> None:
    cluster = mariadb.shared_cluster()
    async with Proxy(cluster.master.port) as proxy, one_master("mysql+aiomysql", proxy.port) as outage:
        await write()
        with read_only("mysql"):
            outage.suspect()  # so that the write waits for this answer
            proxy.slow(0.02, 8)
            writing = asyncio.ensure_future(write())
            await asyncio.sleep(0.15)
            writing.cancel()
            await asyncio.wait([writing])
            proxy.flow()
        await settled(write)
        found = []

        async def look() -> None:
            found.append(await count())

        await settled(look)  # a probe of the slow time may find no answer only now
        assert found == [2]


# ------------------------------------------------------------------ basedb


@asynccontextmanager
async def posts(kind: str, tmp_path: Path, **more: Any) -> AsyncIterator[Database]:
    db = database(**{**params_of(kind, tmp_path), **more})
    await create_posts(db, kind)
    yield db
    await db.query("DROP TABLE posts")
    await db.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_basedb_s_writes_are_503_too(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    numbers = itertools.count()
    async with posts(kind, tmp_path) as db:

        async def post() -> None:
            async with db.transaction():
                await db.insert("posts", title=f"{next(numbers)}")

        await post()
        with read_only(kind):
            for writing in (post, lambda: db.insert("posts", title="x"), lambda: db.delete("posts", "1 = 1")):
                with pytest.raises(DatabaseUnavailable, match="read-only; nothing was written") as caught:
                    await writing()
                assert caught.value.status_code == 503
            assert len(await db.select("posts")) == 1
        await settled(post)
        assert len(await db.select("posts")) == 2
        outage = db.pool.outage
        assert outage is not None
        await until(lambda: not outage.is_read_only)
        assert db.pool.in_use == 0
    assert caplog.text.count("is now read-only") == caplog.text.count("is back.") == 1


@pytest.mark.mariadb
async def test_a_commit_of_basedb_that_is_refused_is_not_unknown(tmp_path: Path) -> None:
    async with posts("mysql", tmp_path) as db:
        transaction = await db.transaction()
        await db.insert("posts", title="x")
        with read_only("mysql"), pytest.raises(DatabaseUnavailable, match="read-only; nothing was written"):
            await transaction.commit()
        assert await db.select("posts") == []
        await settled(lambda: db.insert("posts", title="y"))


@pytest.mark.mariadb
async def test_basedb_follows_a_name_that_has_moved(tmp_path: Path) -> None:
    cluster = mariadb.shared_cluster()
    async with posts("mysql", tmp_path) as db:
        cluster.wait_for_slaves()
        async with Proxy(cluster.slaves[0].port) as proxy:
            moving = database(**{**params_of("mysql", tmp_path), "port": proxy.port})
            assert await moving.select("posts") == []
            proxy.move_to(cluster.master.port)
            with pytest.raises(DatabaseUnavailable, match="read-only"):
                await moving.insert("posts", title="x")
            await moving.insert("posts", title="y")
            await moving.aclose()
        assert [row.title for row in await db.select("posts")] == ["y"]


@pytest.mark.postgres
async def test_a_read_only_transaction_of_basedb_is_the_caller_s(tmp_path: Path) -> None:
    async with posts("postgres", tmp_path) as db:
        async with db.transaction():
            await db.query("SET TRANSACTION READ ONLY")
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await db.insert("posts", title="x")
        await db.insert("posts", title="x")
        assert db.pool.outage is not None
        assert not db.pool.outage.is_read_only


# ------------------------------------------------------------------ codes and answers


@pytest.mark.parametrize(
    ("code", "is_so"), [(1290, True), (1836, True), (1792, False), (1213, False), (1062, False), (2013, False)]
)
def test_the_codes_of_a_refusal(code: int, is_so: bool) -> None:
    error = pymysql.err.OperationalError(code, "text")
    assert is_refusal(error) is is_so
    wrapped = RuntimeError("x")
    wrapped.__cause__ = error
    assert is_refusal(wrapped) is is_so


@pytest.mark.parametrize(
    ("row", "is_so"),
    [((0, 0), True), (("OFF", 0), True), ((1, 0), False), ((0, 1), False), (("NO_LOCK_NO_ADMIN", 0), False)],
)
def test_answers_of_every_version_are_understood(row: tuple[Any, ...], is_so: bool) -> None:
    assert mysql_takes_writes(row) is is_so
