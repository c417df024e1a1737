"""Connections that are refused: the error names server, user and database, what the code means, never the password."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.db.basedb.conftest import asyncpg_may_look_for_its_files, params_of
from tests.db.support import configured, maria, pg
from tests.services import mariadb, postgres
from tests.services.process import free_port
from torngas_aio._cleanup import close_all
from torngas_aio._masking import MASK
from torngas_aio.db._connections import advice_on, only_reads
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.exception import DatabaseUnavailable

__all__ = ["asyncpg_may_look_for_its_files"]

WRONG = "wr0ng-p@ss"
CASES = [
    ("password", "PASSWD", WRONG, "refuses this user or password"),
    ("user", "UID", "nobody_here", "refuses this user or password"),
    ("database", "DATABASE", "torngas_missing", "has no database of this name"),
    ("port", "PORT", None, "Is the server running and in reach?"),
]
NAMES = {"PASSWD": "pw", "UID": "user", "DATABASE": "db", "PORT": "port"}


@pytest.mark.parametrize(("key", "value", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize(
    "driver",
    [
        pytest.param("mysql+aiomysql", marks=pytest.mark.mariadb),
        pytest.param("mysql+asyncmy", marks=pytest.mark.mariadb),
        pytest.param("postgresql+asyncpg", marks=pytest.mark.postgres),
    ],
)
async def test_a_session_says_why(driver: str, key: str, value: Any, said: str) -> None:
    is_mysql = driver.startswith("mysql")
    connections = maria(mariadb.shared_cluster(), driver, slaves=0) if is_mysql else pg(postgres.shared_postgres())
    server = connections["default"]["connections"][0]
    server[key] = value if value is not None else free_port()
    with configured(connections):
        async with session_scope() as session:
            with pytest.raises(DatabaseUnavailable) as caught:
                await session.execute(text("SELECT 1"))
        await close_all()
    said_text = str(caught.value)
    assert said in said_text
    for shown in (server["HOST"], str(server["PORT"]), server["UID"], server["DATABASE"]):
        assert shown in said_text
    assert server["PASSWD"] not in said_text


@pytest.mark.parametrize(("key", "value", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize(
    "kind",
    [pytest.param("mysql", marks=pytest.mark.mariadb), pytest.param("postgres", marks=pytest.mark.postgres)],
)
async def test_basedb_says_why(kind: str, key: str, value: Any, said: str, tmp_path: Path) -> None:
    params = {**params_of(kind, tmp_path), NAMES[key]: value if value is not None else free_port()}
    db = database(**params)
    with pytest.raises(DatabaseUnavailable) as caught:
        await db.query("SELECT 1")
    said_text = str(caught.value)
    assert said in said_text
    for shown in (params["host"], str(params["port"]), params["user"], params["db"]):
        assert shown in said_text
    assert params["pw"] not in said_text
    await db.aclose()


@pytest.mark.mariadb
async def test_a_user_without_rights_on_the_database_is_told_so(tmp_path: Path) -> None:
    mariadb.shared_cluster().master.execute("CREATE DATABASE IF NOT EXISTS other_app")
    db = database(**{**params_of("mysql", tmp_path), "db": "other_app"})
    with pytest.raises(DatabaseUnavailable, match=r"1044.*no rights on this database: GRANT"):
        await db.query("SELECT 1")
    await db.aclose()


class _Coded(Exception):
    sqlstate = "53300"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Exception(1040, "Too many connections"), "as many connections as it allows"),
        (Exception(1045, "Access denied"), "refuses this user or password"),
        (Exception(1130, "Host"), "from this host"),
        (Exception(4151, "Access denied, this account is locked"), "account is locked"),
        (Exception(2003, "Can't connect"), "running and in reach"),
        (_Coded("too many"), "as many connections as it allows"),
        (OSError(111, "refused"), "running and in reach"),
        (Exception(), "running and in reach"),
    ],
    ids=repr,
)
def test_what_a_code_means(error: Exception, said: str) -> None:
    assert said in advice_on(error)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", True),
        (" select count(*), COALESCE (name, '-') from users where id in (?, ?) and exists (select 1)", True),
        ("SELECT pay(7)", False),
        ("SELECT lower(name), pay (7) FROM users", False),
        ("SELECT app.lower(name) FROM users", False),
        ('SELECT "pay"(7)', False),
        ("SELECT nextval('numbers')", False),
        ("SELECT * INTO copies FROM users", False),
        ("SELECT * FROM users INTO OUTFILE '/tmp/x'", False),
        ("WITH gone AS (DELETE FROM users RETURNING *) SELECT * FROM gone", False),
        ("UPDATE users SET name = 'select'", False),
        ("SELECT 1; DELETE FROM users", False),
        ("SELECT 1;", True),
    ],
)
def test_what_can_be_sent_again(statement: str, expected: bool) -> None:
    assert only_reads(statement) is expected


async def test_a_url_in_the_wrong_setting_is_masked() -> None:
    server = {"ROLE": "master", "DRIVER": "mysql+aiomysql", "HOST": f"mysql://app:{WRONG}@127.0.0.1", "DATABASE": "d"}
    with configured({"default": {"connections": [server]}}):
        async with session_scope() as session:
            with pytest.raises(DatabaseUnavailable) as caught:
                await session.execute(text("SELECT 1"))
        await close_all()
    assert WRONG not in str(caught.value)
    assert MASK in str(caught.value)
