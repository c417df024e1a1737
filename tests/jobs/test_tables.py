"""The tables of outbox and keys, on each kind of server."""

from typing import Any

import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateTable

from torngas_aio.jobs.outbox import tables_of


@pytest.mark.parametrize(
    ("dialect", "kind"),
    [(mysql.dialect, "BLOB(524288)"), (postgresql.dialect, "BYTEA"), (sqlite.dialect, "BLOB")],
)
def test_a_job_of_256_kb_fits_the_outbox(dialect: Any, kind: str) -> None:
    outbox, _ = tables_of("tables")
    text = str(CreateTable(outbox).compile(dialect=dialect()))
    assert f"data {kind} NOT NULL" in text
