"""Migrations with Alembic: versions are written, applied and taken back, on every kind of server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from sqlalchemy import Column, Integer, String, Table, inspect
from sqlalchemy.exc import DBAPIError

from torngas_aio._project_errors import place_of
from torngas_aio.db.dbalchemy import Connector, metadata_of
from torngas_aio.db.dbalchemy.migrations import Migrations, version_table_of
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.exception import ArgumentError
from torngas_aio.jobs.outbox import tables_of

TABLE = "migrated"


@pytest.fixture
async def migrations(backend: str, tmp_path: Path, blocking_calls_fail: BlockBuster) -> AsyncIterator[Migrations]:
    """Versions of the default connection, whose tables are there already; a table `migrated` comes on top."""
    blocking_calls_fail.deactivate()  # a command may read and write files
    said: list[str] = []
    made = Migrations("default", tmp_path / "migrations", write=said.append)
    _define("id")
    yield made
    metadata_of().remove(metadata_of().tables[TABLE])
    async with cluster_of().master.engine.begin() as connection:
        for name in (TABLE, version_table_of("default")):
            await connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


def _define(*names: str) -> None:
    if TABLE in metadata_of().tables:
        metadata_of().remove(metadata_of().tables[TABLE])
    known: dict[str, Column[Any]] = {
        "id": Column("id", Integer, primary_key=True),
        "name": Column("name", String(20)),
    }
    Table(TABLE, metadata_of(), *[known[name] for name in names])


async def columns() -> list[str]:
    async with cluster_of().master.engine.connect() as connection:
        if TABLE not in await connection.run_sync(lambda sync: inspect(sync).get_table_names()):
            return []
        return [found["name"] for found in await connection.run_sync(lambda sync: inspect(sync).get_columns(TABLE))]


async def test_the_tables_of_jobs_are_no_difference(migrations: Migrations) -> None:
    tables = tables_of("default")
    try:
        await Connector.get_conn().create_db()
        assert await migrations.revision("nothing") is None
    finally:
        async with cluster_of().master.engine.begin() as connection:
            await connection.run_sync(metadata_of().drop_all, tables=tables)


async def test_forth_and_back(migrations: Migrations) -> None:
    await Connector.get_conn().create_db()
    async with cluster_of().master.engine.begin() as connection:
        await connection.exec_driver_sql(f"DROP TABLE {TABLE}")
    first = await migrations.revision("one table")
    assert first is not None
    assert first.name.endswith("_one_table.py")
    assert f"op.drop_table('{TABLE}')" in first.read_text(encoding="utf-8")
    assert await migrations.current() is None
    await migrations.upgrade()
    assert await columns() == ["id"]
    assert await migrations.current() == first.name.partition("_")[0]

    assert await migrations.revision("nothing") is None
    _define("id", "name")
    second = await migrations.revision("a name")
    assert second is not None
    assert "create_table" not in second.read_text(encoding="utf-8")
    await migrations.upgrade("+1")
    assert await columns() == ["id", "name"]
    await migrations.downgrade("-1")
    assert await columns() == ["id"]
    await migrations.downgrade("base")
    assert await columns() == []
    await migrations.history()
    with pytest.raises(ArgumentError, match=r"default: .*nonsense"):
        await migrations.upgrade("nonsense")
    with pytest.raises(ArgumentError, match=r"default: .*not up to date.* db upgrade --connection=default`"):
        await migrations.revision("too early")


async def test_a_version_that_fails_leaves_the_one_before(migrations: Migrations) -> None:
    made = await migrations.revision("broken", is_empty=True)
    assert made is not None
    text = made.read_text(encoding="utf-8").replace("    pass", "    op.execute('NONSENSE')", 1)
    made.write_text(text, encoding="utf-8")
    with pytest.raises(DBAPIError) as caught:
        await migrations.upgrade()
    assert await migrations.current() is None
    notes = getattr(caught.value, "__notes__", [])
    is_mysql = cluster_of().master.engine.dialect.name == "mysql"
    assert [note.partition(" cannot")[0] for note in notes] == ["MySQL and MariaDB"] * is_mysql


async def test_two_versions_that_follow_one_are_told_with_the_mend(migrations: Migrations) -> None:
    first, second = [await made(migrations, message) for message in ("first", "second")]
    other = second.with_name("bbbbbbbbbbbb_other.py")
    text = second.read_text(encoding="utf-8")
    other.write_text(text.replace(version_of(second), "bbbbbbbbbbbb"), encoding="utf-8")
    assert len(await migrations.pending()) == 1
    newest = f"2 newest versions, .*{version_of(second)}.*`down_revision`"
    for work in (migrations.upgrade(), migrations.revision("more")):
        with pytest.raises(ArgumentError, match=newest):
            await work
    await migrations.upgrade("heads")
    assert await migrations.current() == ", ".join(sorted([version_of(second), "bbbbbbbbbbbb"]))
    assert await migrations.pending() == []
    await migrations.downgrade(version_of(first))
    other.write_text(other.read_text(encoding="utf-8").replace(version_of(first), version_of(second)), encoding="utf-8")
    await migrations.upgrade()
    assert await migrations.current() == "bbbbbbbbbbbb"


async def test_a_database_at_a_version_without_file_is_told_with_the_mend(migrations: Migrations) -> None:
    await made(migrations, "first")
    (await made(migrations, "of another branch")).unlink()
    for work in (migrations.pending(), migrations.upgrade(), migrations.downgrade("-1"), migrations.revision("more")):
        with pytest.raises(ArgumentError, match="another branch of the code: bring its file back"):
            await work


async def made(migrations: Migrations, message: str) -> Path:
    """An empty version that is applied."""
    path = await migrations.revision(message, is_empty=True)
    assert path is not None
    await migrations.upgrade()
    return path


def version_of(path: Path) -> str:
    return path.name.partition("_")[0]


@pytest.mark.parametrize("line", ["raise SystemExit(3)", "import sys; sys.exit('no')", "exit(0)"])
async def test_a_version_that_exits_is_an_error_at_its_line(migrations: Migrations, line: str) -> None:
    """The command ended without a word."""
    first = await migrations.revision("first", is_empty=True)
    assert first is not None
    text = first.read_text(encoding="utf-8")
    begin, _, end = text.partition("def upgrade() -> None:\n")
    first.write_text(f"{begin}def upgrade() -> None:\n    {line}\n    return\n{end}", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"sys\.exit") as caught:
        await migrations.upgrade()
    assert f"{first.name}:" in place_of(caught.value)
    assert await migrations.current() is None


async def test_a_version_whose_predecessor_is_gone_is_named(migrations: Migrations) -> None:
    first = await migrations.revision("first", is_empty=True)
    await migrations.upgrade()
    second = await migrations.revision("second", is_empty=True)
    assert first is not None
    assert second is not None
    first.unlink()
    for work in (migrations.upgrade, migrations.history):
        with (
            pytest.warns(UserWarning, match="not present"),
            pytest.raises(ArgumentError, match=r"down_revision.*Bring"),
        ):
            await work()


async def test_without_versions_the_mend_is_named(migrations: Migrations) -> None:
    with pytest.raises(ArgumentError, match="torngas-aio db revision -m"):
        await migrations.upgrade()


def test_two_connections_of_one_database_keep_their_versions_apart() -> None:
    assert version_table_of("default") == "alembic_version"
    assert version_table_of("other") == "alembic_version_other"
