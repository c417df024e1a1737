"""`Connector`: connections by name, their tables made and dropped."""

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import Column, Integer, Table, create_engine, inspect
from sqlalchemy.dialects.mysql import TINYINT
from sqlalchemy.pool import StaticPool

from tests.db.models import Elsewhere, User
from tests.db.support import configured, in_request, prepared
from torngas_aio._cleanup import close_all
from torngas_aio.db.dbalchemy import Connector, DbConnection, metadata_of, session_scope
from torngas_aio.exception import ArgumentError, ConfigError, DatabaseUnavailable, UnknownAlias


async def tables(connection: DbConnection) -> set[str]:
    async with connection.engine.connect() as open_connection:
        return set(await open_connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_every_connection_has_the_tables_of_its_own_models(sqlite: dict[str, Any]) -> None:
    with configured(sqlite):
        async with prepared():
            default, other = Connector.get_conn(), Connector.get_conn("other")
            await other.create_db()
            assert await tables(default) >= {"users", "posts"}
            assert await tables(other) == {"users"}
            async with session_scope("other") as session:
                session.add(Elsewhere(id=1, label="there"))
                await session.commit()
                assert await Elsewhere.Q.count() == 1
            async with session_scope():
                assert await User.Q.count() == 0
            await other.drop_db()
            assert await tables(other) == set()
            await default.drop_db()


async def test_a_type_that_the_database_lacks_is_named_with_its_column(sqlite: dict[str, Any]) -> None:
    with configured(sqlite):
        table = Table("odd", metadata_of(), Column("id", Integer, primary_key=True), Column("flag", TINYINT(1)))
        try:
            with pytest.raises(
                ConfigError, match=r"'default' does not fit sqlite: \(in table 'odd', column 'flag'\).*TINYINT"
            ):
                await Connector.get_conn().create_db()
        finally:
            metadata_of().remove(table)
            await close_all()


@pytest.mark.parametrize(("name", "ours"), [("create_all", "create_db"), ("drop_all", "drop_db")])
async def test_tables_are_not_made_by_an_engine_of_asyncio_itself(sqlite: dict[str, Any], name: str, ours: str) -> None:
    """As scripts of torngas 1.8 did: `Model.metadata.create_all(session.get_bind(User))`."""
    with configured(sqlite):
        async with prepared():
            connection = Connector.get_conn()
            async with session_scope() as session:
                from_session = session.get_bind(User)
            for bind in (connection.engine, connection.engine.sync_engine, from_session):
                with pytest.raises(ArgumentError, match=rf"{name}\(\) cannot await .*\.{ours}\(\)"):
                    getattr(User.metadata, name)(bind)
            async with connection.engine.begin() as opened:
                await opened.run_sync(getattr(User.metadata, name))
    engine = create_engine("sqlite://", poolclass=StaticPool)
    await asyncio.to_thread(getattr(User.metadata, name), engine)
    await asyncio.to_thread(engine.dispose)


def test_models_of_two_connections_may_share_a_table_name() -> None:
    assert User.metadata is metadata_of()
    assert Elsewhere.metadata is metadata_of("other")
    assert metadata_of("other").tables["users"] is Elsewhere.__table__


async def test_the_pool_lists_what_is_configured(sqlite: dict[str, Any]) -> None:
    with configured(sqlite):
        async with prepared():
            assert list(Connector.conn_pool) == ["default", "other"]
            assert len(Connector.conn_pool) == 2
            assert repr(Connector.conn_pool["other"]) == "<DbConnection 'other'>"
            with pytest.raises(KeyError):
                Connector.conn_pool["nowhere"]
            with pytest.raises(UnknownAlias, match="'nowhere'"):
                Connector.get_conn("nowhere")
            async with in_request():
                assert Connector.get_session() is User.session
                assert Connector.get_conn().session is User.session
            async with Connector.get_conn().session_scope() as session:
                assert User.session is session
            await Connector.get_conn().ping()


async def test_a_ping_of_what_is_not_there_says_so() -> None:
    said = r"master /nowhere/at/all\.db: no connection"
    before = set(threading.enumerate())
    with (
        configured({"default": {"connections": [{"DATABASE": "/nowhere/at/all.db"}]}}),
        pytest.raises(DatabaseUnavailable, match=said),
    ):
        await Connector.get_conn().ping()
    for thread in {*threading.enumerate()} - before:  # aiosqlite does not wait for that of a failed connection
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join)
