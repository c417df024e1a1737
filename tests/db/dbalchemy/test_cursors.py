"""Cursors carry every value that can be sorted, and take nothing that does not fit its column."""

import base64
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    Uuid,
)  # fmt: skip
from sqlalchemy import types as sql_types
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.orm import Mapped, mapped_column

from tests.db.models import User
from tests.db.support import configured, prepared
from torngas_aio import Application, WebHandler
from torngas_aio.db.dbalchemy import Connector, Model, session_scope
from torngas_aio.db.dbalchemy.cursors import read_cursor, write_cursor
from torngas_aio.db.dbalchemy.mysql_dialects import AiomysqlDialect
from torngas_aio.db.dbalchemy.postgres_dialect import AsyncpgDialect
from torngas_aio.exception import ArgumentError, InvalidCursor
from torngas_aio.testing import TestClient

DIALECTS: dict[str, Any] = {
    "sqlite": sqlite_dialect.dialect(),
    "mysql": AiomysqlDialect(),
    "postgresql": AsyncpgDialect(),  # type: ignore[no-untyped-call]  # SQLAlchemy's is untyped
}


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Cents(TypeDecorator[decimal.Decimal]):
    """A type of a project's own: an amount, kept as an integer."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return int(value * 100)


class Plain(TypeDecorator[int]):
    impl = Integer
    cache_ok = True


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


GOOD: list[tuple[Any, Any]] = [
    (Integer(), 7),
    (SmallInteger(), -(2**15)),
    (BigInteger(), 2**63 - 1),
    (String(40), "ü'\" 😀"),
    (Text(), ""),
    (Boolean(), True),
    (Boolean(), False),
    (Float(), 1.5),
    (Double(), 1e300),
    (Numeric(10, 2), decimal.Decimal("12345678.90")),
    (Numeric(), decimal.Decimal("1E-10")),
    (Numeric(10, 2, asdecimal=False), 1.5),
    (DateTime(), utc("2026-01-02T03:04:05.000006")),
    (DateTime(timezone=True), utc("2026-01-02T03:04:05+02:00")),
    (Date(), dt.date(1, 1, 1)),
    (Time(), dt.time(23, 59, 59, 999999)),
    (Uuid(), uuid.UUID(int=7)),
    (Uuid(as_uuid=False), str(uuid.UUID(int=7))),
    (LargeBinary(), b"\x00\xff"),
    (sql_types.VARBINARY(9), b"\x00"),
    (Enum("a", "b", name="letters"), "a"),
    (Enum(Colour), Colour.RED),
    (Enum(Level), Level.LOW),
    (Cents(), decimal.Decimal("1.50")),
    (Plain(), 5),
    (Integer().with_variant(BigInteger(), "postgresql"), 2**40),
    (mysql.INTEGER(unsigned=True).with_variant(BigInteger(), "postgresql"), 2**32 - 1),
    (postgresql.INET().with_variant(String(40), "mysql", "sqlite"), "::1"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("kind", "value"), GOOD, ids=str)
def test_a_cursor_carries_every_value_that_can_be_sorted(dialect: str, kind: Any, value: Any) -> None:
    column = Column("c", kind)
    Table("t", MetaData(), column)
    (read,) = read_cursor(write_cursor([value]), [column.type], DIALECTS[dialect])
    assert read == value
    assert type(read) is type(value)


def test_a_value_that_cannot_be_sorted_is_refused() -> None:
    with pytest.raises(ArgumentError, match="of type dict"):
        write_cursor([{}])


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


NEVER = [
    "null", "NaN", "Infinity", "-Infinity",
    "1e999", "[]", "[1]", "{}", '{"a": "b"}', '{"decimal": "1e300000000"}', '"\\ud800"',
    '{"decimal": "NaN"}', '{"decimal": "sNaN"}', '{"decimal": "Infinity"}', '{"decimal": "1_0"}',
    '{"decimal": "\u0661"}',
    '{"decimal": null}', '{"decimal": {"decimal": "1"}}', '{"decimal": "1", "x": "1"}', '{"datetime": "tomorrow"}',
    '{"uuid": "7"}', '{"bytes": "0g"}', '{"time": "25:00"}', '{"date": 5}', f'{{"decimal": "{"9" * 1001}"}}',
    str(10**400),
    '{"decimal": "1e9999"}', '{"decimal": "1e-9999"}', '{"datetime": "0001-01-01T00:00:00+23:59"}',
]  # fmt: skip


@pytest.mark.parametrize("text", NEVER)
def test_nothing_takes_what_no_column_can_hold(text: str) -> None:
    for dialect in DIALECTS.values():
        for kind, _ in GOOD:
            with pytest.raises(InvalidCursor, match="not a cursor of this query"):
                read_cursor(cursor(f"[{text}]"), [kind], dialect)


WRONG: list[tuple[Any, list[Any]]] = [
    (Integer(), ["1", 1.0, True, {"decimal": "1"}, 2**64, -(2**63) - 1]),
    (BigInteger(), ["1", 1.0, False, 2**64]),
    (String(), [1, 1.5, True, {"uuid": str(uuid.UUID(int=1))}]),
    (Boolean(), [2, 1.0, "true", "1"]),
    (Float(), ["1", True, {"decimal": "1"}]),
    (Numeric(10, 2), [1, 1.5, "1.5", {"decimal": "123456789"}, {"decimal": "1e8"}]),
    (DateTime(), ["2026-01-02", {"date": "2026-01-02"}, {"datetime": "2026-01-02T03:04:05Z"}]),
    (Date(), [{"datetime": "2026-01-02T03:04:05"}, {"date": "2026-02-30"}]),
    (Time(), [{"time": "03:04+01:00"}, {"datetime": "2026-01-02T03:04:05"}]),
    (Uuid(), [str(uuid.UUID(int=1)), {"uuid": "x"}]),
    (Uuid(as_uuid=False), ["x", {"uuid": str(uuid.UUID(int=1))}]),
    (LargeBinary(), ["00", {"bytes": "0"}]),
    (Enum("a", name="letters"), ["b", "", 1, ["a"]]),
    (Enum(Colour), ["blue", "RED", 1]),
    (Cents(), ["1", {"uuid": str(uuid.UUID(int=1))}, {"decimal": "1e30"}]),
    (Plain(), ["1", 1.5]),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in WRONG for value in values], ids=str)
def test_a_value_must_be_of_its_column_s_type(dialect: str, kind: Any, value: Any) -> None:
    with pytest.raises(InvalidCursor):
        read_cursor(cursor(json.dumps([value])), [kind], DIALECTS[dialect])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SmallInteger(), 2**15),
        (Integer(), 2**31),
        (BigInteger(), 2**63),
        (String(), "\0"),
        (DateTime(timezone=True), {"datetime": "2026-01-02T03:04:05"}),
    ],
    ids=str,
)
def test_postgresql_s_driver_is_never_given_what_it_refuses(kind: Any, value: Any) -> None:
    with pytest.raises(InvalidCursor):
        read_cursor(cursor(json.dumps([value])), [kind], DIALECTS["postgresql"])
    read_cursor(cursor(json.dumps([value])), [kind], DIALECTS["mysql"])


@pytest.mark.parametrize(
    "text", ['[{"decimal": "1e300000000"}, 1]', "[NaN, 1]", '["\\ud800", 1]', "[null, null]", '["a\\u0000", 1]']
)
async def test_a_request_with_a_forged_cursor_is_answered_400(backend: str, text: str) -> None:
    class Users(WebHandler):
        async def get(self) -> None:
            async with session_scope():
                page = await User.Q.order_by(User.name).paginate_after(self.get_argument("after"))
            self.write({"names": [user.name for user in page]})

    async with TestClient(Application([(r"/users", Users)])) as client:
        answer = await client.get("/users", params={"after": cursor(text)})
    assert answer.status_code == (400 if "u0000" not in text or backend == "asyncpg" else 200)


class Raw(sql_types.UserDefinedType[Any]):
    """A type that only the database knows."""

    cache_ok = True

    def get_col_spec(self, **kwargs: Any) -> str:
        return "TEXT"


class Thing(Model):
    __tablename__ = "things"
    __connection_name__ = "raw"

    id: Mapped[str] = mapped_column(Raw(), primary_key=True)


async def test_a_value_that_only_the_database_can_refuse_is_a_bad_cursor_too(sqlite: dict[str, Any]) -> None:
    with configured({**sqlite, "raw": sqlite["other"]}):
        async with prepared():
            connection = Connector.get_conn("raw")
            async with connection.engine.begin() as opened:
                await opened.run_sync(connection.metadata.create_all)
            async with session_scope("raw"):
                assert not (await Thing.Q.order_by(Thing.id).paginate_after(cursor('["a"]'))).items
                with pytest.raises(InvalidCursor, match="takes no such value"):
                    await Thing.Q.order_by(Thing.id).paginate_after(cursor('[{"decimal": "1"}]'))
