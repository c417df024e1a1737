"""A database of each kind, with a table of posts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from tests.services import mariadb, postgres
from torngas_aio.db.basedb import Database, database

NAME = "torngas_basedb"

KINDS = [
    "memory",
    "file",
    pytest.param("mysql", marks=pytest.mark.mariadb),
    pytest.param("postgres", marks=pytest.mark.postgres),
]

_CREATE = {
    "memory": "CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT UNIQUE, score INT DEFAULT 0, body TEXT)",
    "mysql": "CREATE TABLE posts (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(100) UNIQUE, score INT DEFAULT 0, "
    "body TEXT) ENGINE=InnoDB",
    "postgres": "CREATE TABLE posts (id SERIAL PRIMARY KEY, title TEXT UNIQUE, score INT DEFAULT 0, body TEXT)",
}


def params_of(kind: str, folder: Path) -> dict[str, Any]:
    """What `database` wants to be told for one kind, whose server runs then."""
    if kind == "memory":
        return {"dbn": "sqlite", "db": ":memory:"}
    if kind == "file":
        return {"dbn": "sqlite", "db": str(folder / "test.db")}
    if kind == "mysql":
        server = mariadb.shared_cluster().master
        server.execute(f"CREATE DATABASE IF NOT EXISTS {NAME}")
        return {
            "dbn": "mysql", "db": NAME, "host": "127.0.0.1", "port": server.port, "user": mariadb.USER,
            "pw": mariadb.PASSWORD,
        }  # fmt: skip
    service = postgres.shared_postgres()
    if not service.execute(f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'"):
        service.execute(f"CREATE DATABASE {NAME} OWNER {postgres.USER}")
    return {
        "dbn": "postgres", "db": NAME, "host": "127.0.0.1", "port": service.port, "user": postgres.USER,
        "pw": postgres.PASSWORD,
    }  # fmt: skip


async def create_posts(db: Database, kind: str) -> None:
    await db.query("DROP TABLE IF EXISTS posts")
    await db.query(_CREATE.get(kind, _CREATE["memory"]))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def params(kind: str, tmp_path: Path) -> dict[str, Any]:
    return params_of(kind, tmp_path)


@pytest.fixture
async def db(kind: str, params: dict[str, Any]) -> AsyncIterator[Database]:
    """An empty table of posts; whatever a test did, all its connections have come back."""
    made = database(**params, timeout=10)
    try:
        await create_posts(made, kind)
        yield made
        assert made.pool.in_use == 0
    finally:
        await made.aclose()


@pytest.fixture(autouse=True)
def asyncpg_may_look_for_its_files(blocking_calls_fail: BlockBuster) -> None:
    """When it connects, asyncpg looks for a password file and certificates in the home directory."""
    for function in blocking_calls_fail.functions.values():
        function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args", "_read_password_file"})
