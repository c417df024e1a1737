"""Behind a pooler in transaction mode, whose clients share two connections of the server."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.db.basedb.conftest import asyncpg_may_look_for_its_files
from tests.db.models import User
from tests.db.support import configured, prepared, server
from tests.services.pgbouncer import PgBouncer
from tests.services.postgres import DATABASE, PASSWORD, USER, shared_postgres
from torngas_aio._cleanup import close_all
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.exception import DatabaseUnavailable

__all__ = ["asyncpg_may_look_for_its_files"]

pytestmark = pytest.mark.postgres
NO_CACHES = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}


@pytest.fixture(scope="module")
def pooler() -> Iterator[PgBouncer]:
    with PgBouncer(shared_postgres()) as running:
        yield running


def entry(role: str, pooler: PgBouncer, **more: Any) -> dict[str, Any]:
    return server(role, pooler.port, "postgresql+asyncpg", **more)


@pytest.mark.parametrize("slaves", [0, 1])
async def test_sessions_share_few_server_connections(pooler: PgBouncer, slaves: int) -> None:
    entries = [entry("master", pooler), *[entry("slave", pooler)] * slaves]
    options: Any = {"connect_args": NO_CACHES, "pool_size": 10, "max_overflow": 0, "pool_timeout": 15}
    with configured({"default": {"connections": entries}}, **options):
        async with prepared():
            await asyncio.gather(*(write_and_read(number) for number in range(60)))
            async with session_scope() as session:
                assert await session.query(User).count() == 60


async def write_and_read(number: int) -> None:
    async with session_scope() as session:
        assert await session.query(User).filter(User.name == f"n{number}").count() == 0
        session.add(User(name=f"n{number}"))
        await session.commit()
        assert await session.query(User).filter(User.name == f"n{number}").count() == 1


async def test_deadlines_work_through_it(pooler: PgBouncer) -> None:
    connections = {"default": {"connections": [entry("master", pooler, READ_TIMEOUT=0.3)]}}
    options: Any = {"connect_args": NO_CACHES}
    with configured(connections, **options):
        try:
            async with session_scope() as session:
                with pytest.raises(DatabaseUnavailable, match="no answer within the deadline"):
                    await session.execute(text("SELECT pg_sleep(2)"))
            async with session_scope(timeout=9) as session:
                assert await session.scalar(text("SELECT 1")) == 1
        finally:
            await close_all()


async def test_basedb_works_behind_it(pooler: PgBouncer) -> None:
    db = database(
        dbn="postgres", db=DATABASE, user=USER, pw=PASSWORD, port=pooler.port, statement_cache_size=0, pool_timeout=15
    )
    await db.query("CREATE TABLE pooled (id SERIAL PRIMARY KEY, title TEXT)")

    async def use(number: int) -> None:
        await db.insert("pooled", title=f"a{number}")
        async with db.transaction():
            await db.insert("pooled", title=f"b{number}")
            assert (await db.where("pooled", title=f"b{number}").first()).title == f"b{number}"
        assert (await db.where("pooled", title=f"a{number}").first()).title == f"a{number}"

    try:
        await asyncio.gather(*(use(number) for number in range(60)))
        assert len(await db.where("pooled")) == 120
    finally:
        await db.query("DROP TABLE pooled")
        await db.aclose()
