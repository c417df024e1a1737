"""One table with a column of each type, through every driver of both database layers."""

import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
    insert,
    select,
)  # fmt: skip
from sqlalchemy.dialects import mysql

from tests.db.basedb.conftest import asyncpg_may_look_for_its_files, params_of
from tests.db.conftest import cluster, postgres, servers, sqlite
from tests.db.support import configured, maria, pg
from tests.services.mariadb import shared_cluster
from torngas_aio._cleanup import close_all
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy import Connector, session_scope

__all__ = ["Colour", "asyncpg_may_look_for_its_files", "cluster", "postgres", "servers", "sqlite"]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "it's blue"


_MYSQL_TIMES: dict[str, Any] = {"time": mysql.TIME(fsp=6), "datetime": mysql.DATETIME(fsp=6)}
TABLE = Table(
    "column_types",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("bytes", LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")),
    Column("decimal", Numeric(30, 10)),
    Column("json", JSON),
    Column("enum", Enum(Colour, values_callable=lambda kind: [each.value for each in kind])),
    Column("time", Time().with_variant(_MYSQL_TIMES["time"], "mysql")),
    Column("interval", Interval(second_precision=6).with_variant(Interval(native=False), "mysql")),
    Column("text", Text),
    Column("string", String(200)),
    Column("date", Date),
    Column("datetime", DateTime().with_variant(_MYSQL_TIMES["datetime"], "mysql")),
    Column("integer", BigInteger),
    Column("float", Float(53)),
    Column("boolean", Boolean),
    Column("uuid", Uuid),
)


class OrmColumns:
    """The SQLAlchemy layer: values read equal the values written, including their type."""

    is_exact = True

    async def keep(self, **values: Any) -> dict[str, Any]:
        """Write one row and return it as read back."""
        async with session_scope() as session:
            await session.execute(insert(TABLE).values(id=1, **values))
            await session.commit()
            columns = [TABLE.c[name] for name in values]
            row = (await session.execute(select(*columns).where(TABLE.c.id == 1))).one()
            return dict(row._mapping)


class BasedbColumns:
    """The web.py layer: values have the types of the driver."""

    def __init__(self, db: Any) -> None:
        self.db = db

    is_exact = False

    async def keep(self, **values: Any) -> dict[str, Any]:
        """Write one row and return it as read back."""
        await self.db.insert("column_types", seqname=False, id=1, **values)
        row = await self.db.where("column_types", id=1).first()
        return {name: row[name] for name in values}


MARKS = {"aiomysql": pytest.mark.mariadb, "asyncmy": pytest.mark.mariadb, "asyncpg": pytest.mark.postgres}
LAYERS = [
    pytest.param((layer, driver), marks=MARKS.get(driver, ()))
    for layer, drivers in (
        ("orm", ("sqlite", "aiomysql", "asyncmy", "asyncpg")),
        ("basedb", ("sqlite", "aiomysql", "asyncpg")),
    )
    for driver in drivers
]


@pytest.fixture(params=LAYERS, ids="-".join)
async def columns(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OrmColumns | BasedbColumns]:
    """The empty table in one layer and driver."""
    layer, driver = request.param
    kinds = {"sqlite": "file", "aiomysql": "mysql", "asyncpg": "postgres"}
    if layer == "basedb":
        params = params_of(kinds[driver], tmp_path)
        async with _made(_connections_like(params, driver)):
            db = database(**params)
            yield BasedbColumns(db)
            await db.aclose()
        return
    if driver == "sqlite":
        connections = request.getfixturevalue("sqlite")
    elif driver == "asyncpg":
        connections = pg(request.getfixturevalue("postgres"))
    else:
        connections = maria(shared_cluster(), f"mysql+{driver}", slaves=0)
    async with _made(connections):
        yield OrmColumns()


@asynccontextmanager
async def _made(connections: dict[str, Any]) -> AsyncIterator[None]:
    with configured(connections):
        engine = Connector.get_conn().engine
        try:
            async with engine.begin() as connection:
                await connection.run_sync(TABLE.metadata.drop_all)
                await connection.run_sync(TABLE.metadata.create_all)
            yield
            async with engine.begin() as connection:  # other tests list the tables
                await connection.run_sync(TABLE.metadata.drop_all)
        finally:
            await close_all()


def _connections_like(params: dict[str, Any], driver: str) -> dict[str, Any]:
    kinds = {"sqlite": "sqlite+aiosqlite", "aiomysql": "mysql+aiomysql", "asyncpg": "postgresql+asyncpg"}
    keys = {"db": "DATABASE", "host": "HOST", "port": "PORT", "user": "UID", "pw": "PASSWD"}
    server = {keys[name]: value for name, value in params.items() if name in keys}
    return {"default": {"connections": [{"ROLE": "master", "DRIVER": kinds[driver], **server}]}}
