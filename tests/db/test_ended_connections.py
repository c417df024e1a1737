"""The server ends every connection while nobody reads: the next request, a write too, gets a new one and succeeds."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import pymysql
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DataError

from tests.db.basedb.conftest import asyncpg_may_look_for_its_files, create_posts, params_of
from tests.db.models import User
from tests.db.support import LOOPS, configured, in_use, maria, on_loop, pg, prepared
from tests.services import mariadb, postgres
from torngas_aio.db.basedb import Database, database
from torngas_aio.db.dbalchemy import DbSession, session_scope
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.exception import DatabaseUnavailable

__all__ = ["asyncpg_may_look_for_its_files"]

loops = pytest.mark.parametrize("loop", LOOPS)
MYSQL = pytest.mark.mariadb
POSTGRES = pytest.mark.postgres


def end_all() -> None:
    """Have both servers end each connection of the application; no turn of the loop lets it notice."""
    if mariadb.shared_cluster.cache_info().currsize:
        for each in mariadb.shared_cluster().servers:
            while rows := each.execute("SELECT id FROM information_schema.processlist WHERE user = 'torngas'"):
                for row in rows:
                    with suppress(pymysql.err.Error):  # it has ended meanwhile
                        each.execute(f"KILL {row['id']}")
    if postgres.shared_postgres.cache_info().currsize:
        postgres.shared_postgres().execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'torngas'"
        )


async def in_a_transaction(db: Database) -> None:
    async with db.transaction():
        await db.insert("posts", title="new")


BASEDB: dict[str, Callable[[Database], Awaitable[Any]]] = {
    "insert": lambda db: db.insert("posts", title="new"),
    "multiple_insert": lambda db: db.multiple_insert("posts", [{"title": "new"}]),
    "update": lambda db: db.update("posts", {"title": "old"}, title="new"),
    "query": lambda db: db.query("UPDATE posts SET title = 'new'"),
    "select": lambda db: db.where("posts").list(),
    "transaction": in_a_transaction,
}


@loops
@pytest.mark.parametrize("write", BASEDB)
@pytest.mark.parametrize("kind", [pytest.param("mysql", marks=MYSQL), pytest.param("postgres", marks=POSTGRES)])
def test_basedb_replaces_them(kind: str, write: str, loop: str, tmp_path: Any) -> None:
    async def main() -> None:
        db = database(**params_of(kind, tmp_path))
        await create_posts(db, kind)
        await db.insert("posts", title="old")
        end_all()
        await BASEDB[write](db)
        assert db.pool.in_use == 0
        titles = [row.title for row in await db.where("posts", order="title")]
        assert titles == {"update": ["new"], "query": ["new"], "select": ["old"]}.get(write, ["new", "old"])
        await db.query("DROP TABLE posts")

    on_loop(loop, main)


async def add(session: DbSession) -> None:
    session.add(User(name="new"))
    await session.commit()


async def execute_insert(session: DbSession) -> None:
    await session.execute(insert(User).values(name="new"))
    await session.commit()


async def execute_text(session: DbSession) -> None:
    await session.execute(text("INSERT INTO users (name, visits) VALUES ('new', 0)"))
    await session.commit()


async def begin(session: DbSession) -> None:
    async with session.begin():
        session.add(User(name="new"))


async def add_rows(count: int) -> None:
    async with session_scope() as session:
        session.add_all([User(name="old", visits=number) for number in range(count)])
        await session.commit()


def connections_of(driver: str) -> dict[str, Any]:
    if driver.startswith("mysql"):
        return maria(mariadb.shared_cluster(), driver, slaves=0)
    return pg(postgres.shared_postgres())


ORM = {each.__name__: each for each in (add, execute_insert, execute_text, begin)}


drivers = pytest.mark.parametrize(
    "driver",
    [
        pytest.param("mysql+aiomysql", marks=MYSQL),
        pytest.param("mysql+asyncmy", marks=MYSQL),
        pytest.param("postgresql+asyncpg", marks=POSTGRES),
    ],
)


@loops
@pytest.mark.parametrize("write", ORM)
@drivers
def test_sessions_replace_them(driver: str, write: str, loop: str) -> None:
    async def main() -> None:
        with configured(connections_of(driver)):
            async with prepared():
                await add_rows(1)
                end_all()
                async with session_scope() as session:
                    await ORM[write](session)
                async with session_scope() as session:
                    assert await session.query(User).filter(User.name == "new").count() == 1

    on_loop(loop, main)


async def close(session: DbSession) -> None:
    await session.close()


async def rollback(session: DbSession) -> None:
    await session.rollback()


@loops
@pytest.mark.parametrize("end", [rollback, close])
@drivers
def test_a_lost_transaction_counts_as_rolled_back(
    driver: str, end: Callable[[DbSession], Awaitable[None]], loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without an error or a line in the log, and what `on_rollback` was told is done."""

    async def main() -> None:
        with configured(connections_of(driver)):
            async with prepared():
                undone: list[str] = []
                async with session_scope() as session:
                    session.on_rollback(lambda: undone.append("file"))
                    session.add(User(name="lost"))
                    await session.flush()
                    end_all()
                    await end(session)
                    assert undone == ["file"]
                    await add(session)
                    assert [user.name for user in await session.query(User).all()] == ["new"]
                assert in_use(cluster_of("default").master) == 0

    with caplog.at_level(logging.WARNING):
        on_loop(loop, main)
    assert caplog.messages == []


@loops
@POSTGRES
def test_errors_of_a_stream_are_those_of_statements(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL's come with each fetch; MySQL has sent its rows by then."""

    async def main() -> None:
        with configured(connections_of("postgresql+asyncpg")):
            async with prepared():
                await add_rows(500)
                async with session_scope() as session:
                    users = aiter(session.query(User).order_by(User.id))
                    assert (await anext(users)).visits == 0
                    end_all()
                    with pytest.raises(DatabaseUnavailable):
                        await read(users)
                async with session_scope() as session:
                    with pytest.raises(DataError):
                        await read(await session.stream(select(1 / (User.visits - 300))))
                assert in_use(cluster_of("default").master) == 0

    with caplog.at_level(logging.WARNING):
        on_loop(loop, main)
    assert caplog.messages == []


async def read(rows: AsyncIterator[Any]) -> None:
    async for _ in rows:
        pass


MYSQL_ENDLESS = f"SELECT count(*) FROM {', '.join(f'information_schema.columns a{number}' for number in range(4))}"
LIMITS = {
    "mysql+aiomysql": ("SET max_statement_time = 0.1", MYSQL_ENDLESS),
    "mysql+asyncmy": ("SET max_statement_time = 0.1", MYSQL_ENDLESS),
    "postgresql+asyncpg": ("SET statement_timeout = 100", "SELECT pg_sleep(30)"),
}


@pytest.mark.parametrize("driver", [pytest.param(each, marks=MYSQL if "my" in each else POSTGRES) for each in LIMITS])
async def test_a_statement_that_the_server_ends_is_a_503_and_its_session_goes_on(driver: str) -> None:
    limit, endless = LIMITS[driver]
    with configured(connections_of(driver)):
        async with prepared():
            await add_rows(1)
            async with session_scope() as session:
                await session.execute(text(limit))
                with pytest.raises(DatabaseUnavailable, match="the server has ended the statement"):
                    await session.execute(text(endless))
                await session.rollback()
                assert (await session.scalars(select(User.visits).limit(1))).all() == [0]


@pytest.mark.parametrize("kind", [pytest.param("mysql", marks=MYSQL), pytest.param("postgres", marks=POSTGRES)])
async def test_a_statement_of_basedb_that_the_server_ends_is_not_sent_again(
    kind: str, tmp_path: Any, asyncpg_may_look_for_its_files: None
) -> None:
    db = database(**params_of(kind, tmp_path))
    limit = "SET max_statement_time = 0.1" if kind == "mysql" else "SET statement_timeout = 100"
    endless = MYSQL_ENDLESS if kind == "mysql" else "SELECT pg_sleep(30)"
    async with aclosing(db):
        with pytest.raises(DatabaseUnavailable, match="the server has ended the statement"):  # noqa: PT012
            async with db.transaction():
                await db.query(limit)
                await db.query(endless)
        assert await db.query("SELECT 1 AS one")
        assert db.pool.in_use == 0
