"""The tables of outbox and keys, on each kind of server."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateTable

from torngas_aio._cleanup import close_all
from torngas_aio.db.dbalchemy import Connector
from torngas_aio.jobs.outbox import tables_of
from torngas_aio.settings_manager import settings


async def test_create_db_makes_them_where_jobs_have_their_database(tmp_path: Path) -> None:
    connections = {
        name: {"connections": [{"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(tmp_path / name)}]}
        for name in ("for_jobs", "for_others")
    }
    jobs = {"default": {"BACKEND": "torngas_aio.jobs.memory.MemoryJobs", "DATABASE": "for_jobs"}}
    with settings.override(DATABASE_CONNECTION=connections, JOBS=jobs):
        made = {}
        for name, connection in Connector.conn_pool.items():
            await connection.create_db()
            made[name] = await connection.existing_tables()
        await close_all()
    assert made == {"for_jobs": ["torngas_job_keys", "torngas_job_outbox"], "for_others": []}


@pytest.mark.parametrize(
    ("dialect", "kind"),
    [(mysql.dialect, "MEDIUMBLOB"), (postgresql.dialect, "BYTEA"), (sqlite.dialect, "BLOB")],
)
def test_a_job_of_256_kb_fits_the_outbox(dialect: Any, kind: str) -> None:
    outbox, _ = tables_of("tables")
    text = str(CreateTable(outbox).compile(dialect=dialect()))
    assert f"data {kind} NOT NULL" in text
