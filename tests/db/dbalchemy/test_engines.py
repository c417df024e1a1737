"""Engines as the settings want them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from tests.db.models import User
from tests.db.support import SERVER, cluster_with, configured, maria, pg, prepared
from tests.services import mariadb, postgres
from torngas_aio._cleanup import close_all
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.db.dbalchemy.engines import make_engine
from torngas_aio.db.dbalchemy.pool import WaitingPool
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.db.dbalchemy.specs import parse_database
from torngas_aio.exception import ConfigError


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ("QueuePool", WaitingPool),
        ("AsyncAdaptedQueuePool", WaitingPool),
        ("NullPool", NullPool),
        ("sqlalchemy.pool.NullPool", NullPool),
        ("sqlalchemy.pool.AsyncAdaptedQueuePool", WaitingPool),
        (AsyncAdaptedQueuePool, WaitingPool),
        (None, WaitingPool),
    ],
)
def test_a_pool_class_by_name(named: Any, kind: type) -> None:
    options = {"poolclass": named} if named is not None else {}
    made = cluster_with(
        {"ROLE": "master", **SERVER}, pool_size="7", max_overflow=0, echo="false", pool_recycle="90.5", **options
    )
    assert isinstance(made.master.sync_engine.pool, kind)
    assert made.master.sync_engine.pool._recycle == 90.5
    if kind is WaitingPool:
        assert made.master.sync_engine.pool.size() == 7  # type: ignore[attr-defined]  # a queue pool


def test_what_cannot_work_is_a_config_error_without_the_password() -> None:
    cases: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
        ([{"ROLE": "master", **SERVER}], {"poolclass": "NoPool"}, "no such pool"),
        ([{"ROLE": "master", **SERVER}], {"no_such_option": 1}, "no_such_option"),
        ([{"ROLE": "master", **SERVER, "DRIVER": "nonsense+x"}], {}, "Write a driver such as"),
        ([{"ROLE": "master", **SERVER, "DRIVER": "oracle+oracledb_async"}], {}, "not installed"),
        ([{"ROLE": "master", **SERVER, "DRIVER": "mssql+pyodbc"}], {}, "database 'default', master h:default port"),
    ]
    for servers, options, said in cases:
        with pytest.raises(ConfigError, match=said) as caught:
            cluster_with(*servers, **options)
        assert "hunter2" not in str(caught.value)


def test_slaves_read_without_transactions_and_the_master_with() -> None:
    made = cluster_with({"ROLE": "master", **SERVER}, {"ROLE": "slave", **SERVER})
    assert made.slaves[0].sync_engine.dialect.skip_autocommit_rollback
    assert not made.master.sync_engine.dialect.skip_autocommit_rollback
    assert "hunter2" not in repr(made.master.engine)


async def test_sqlite_keeps_foreign_keys_and_lets_readers_beside_a_writer(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    servers = [{"ROLE": "master", "DATABASE": path}, {"ROLE": "slave", "DRIVER": "sqlite", "DATABASE": path}]
    with configured({"default": {"connections": servers}}):
        async with prepared():
            async with session_scope() as session:
                assert await session.scalar(text("PRAGMA foreign_keys")) == 1
                assert await session.scalar(text("PRAGMA journal_mode")) == "wal"
            async with session_scope() as writer:
                writer.add(User(id=1, name="x"))
                await writer.flush()
                async with session_scope():
                    assert await User.Q.count() == 0  # a slave's read, while the writer holds the file
                await writer.commit()
            async with session_scope():
                assert await User.Q.count() == 1


async def test_concurrent_changes_of_an_sqlite_file_wait_for_each_other(sqlite: dict[str, Any]) -> None:
    with configured(sqlite):
        async with prepared():
            async with session_scope() as session:
                session.add(User(id=1, name="x", visits=0))
                await session.commit()

            async def visit() -> None:
                async with session_scope() as session:
                    await User.Q.get(1)  # a read first, as handlers do: in one transaction it would doom the write
                    await asyncio.sleep(0)
                    await User.Q.filter(User.id == 1).update({"visits": User.visits + 1})
                    await session.commit()

            await asyncio.gather(*(visit() for _ in range(20)))
            async with session_scope():
                assert await User.session.scalar(select(User.visits)) == 20


async def test_an_sqlite_file_cannot_be_changed_by_a_read(sqlite: dict[str, Any]) -> None:
    with configured(sqlite):
        async with prepared(), session_scope() as session:
            with pytest.raises(OperationalError, match="readonly"):
                await session.execute(text("DELETE FROM users").execution_options(role="slave"))


async def test_savepoints_work_on_sqlite(sqlite: dict[str, Any]) -> None:
    with configured(sqlite):
        async with prepared(), session_scope() as session:
            session.add(User(id=1, name="x"))
            await session.flush()
            nested = await session.begin_nested()
            session.add(User(id=2, name="y"))
            await session.flush()
            await nested.rollback()
            await session.commit()
            assert [user.id for user in await User.Q.all()] == [1]


async def test_an_engine_alone_can_be_used(sqlite: dict[str, Any]) -> None:
    with configured(sqlite):
        spec = parse_database("default", sqlite, {})
        engine = make_engine(spec.master, "alone")
        async with engine.connect() as connection:
            assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
        await engine.dispose()
        assert [each.label for each in cluster_of().nodes] == [
            f"'default', {role} {spec.master.url.database}" for role in ("master", "slave")
        ]
        await close_all()


@pytest.mark.parametrize(
    "kind",
    [
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
)
async def test_a_value_that_does_not_fit_is_a_data_error_on_every_server(kind: str, sqlite: dict[str, Any]) -> None:
    servers = sqlite
    if kind == "postgres":
        servers = pg(postgres.shared_postgres())
    elif kind == "mariadb":
        servers = maria(mariadb.shared_cluster(), slaves=0)
    with configured(servers):
        async with prepared(), session_scope() as session:
            session.add(User(name="a", visits=10**30))
            with pytest.raises(DataError):
                await session.commit()
            await session.rollback()
            if kind != "mariadb":  # it compares what no column of it could hold
                with pytest.raises(DataError):
                    await User.Q.filter(User.id == 10**30).first()
                await session.rollback()
            if kind == "postgres":
                with pytest.raises(DataError):
                    await User.Q.filter(User.name == "\x00").first()
                await session.rollback()
            assert await User.Q.count() == 0
