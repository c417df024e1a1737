"""The server ends every connection while nobody reads: the next request, a write too, gets a new one and succeeds."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pymysql
import pytest
from sqlalchemy import insert, text

from tests.db.basedb.conftest import asyncpg_may_look_for_its_files, create_posts, params_of
from tests.db.models import User
from tests.db.support import LOOPS, configured, maria, on_loop, pg, prepared
from tests.services import mariadb, postgres
from torngas_aio.db.basedb import Database, database
from torngas_aio.db.dbalchemy import DbSession, session_scope

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


ORM = {each.__name__: each for each in (add, execute_insert, execute_text, begin)}


@loops
@pytest.mark.parametrize("write", ORM)
@pytest.mark.parametrize(
    "driver",
    [
        pytest.param("mysql+aiomysql", marks=MYSQL),
        pytest.param("mysql+asyncmy", marks=MYSQL),
        pytest.param("postgresql+asyncpg", marks=POSTGRES),
    ],
)
def test_sessions_replace_them(driver: str, write: str, loop: str) -> None:
    is_mysql = driver.startswith("mysql")
    connections = maria(mariadb.shared_cluster(), driver, slaves=0) if is_mysql else pg(postgres.shared_postgres())

    async def main() -> None:
        with configured(connections):
            async with prepared():
                await add_one()
                end_all()
                async with session_scope() as session:
                    await ORM[write](session)
                async with session_scope() as session:
                    assert await session.query(User).filter(User.name == "new").count() == 1

    async def add_one() -> None:
        async with session_scope() as session:
            session.add(User(name="old"))
            await session.commit()

    on_loop(loop, main)
