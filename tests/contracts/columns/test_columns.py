"""Every driver of both layers returns the values written, for every column type."""

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest

from tests.contracts.columns.conftest import BasedbColumns, Colour, OrmColumns
from torngas_aio.db.dbalchemy import Connector

Columns = OrmColumns | BasedbColumns

EVERY_BYTE = bytes(range(256))
HARD_TEXT = 'it\'s 100 % \\ "quoted" \n\t\r\x1a $name :name %s {} 日本語 😀👩‍👩‍👧 \U0010fffd'

VALUES = [
    ("bytes", b""),
    ("bytes", EVERY_BYTE),
    ("bytes", b"'\\\"%s\x00;--"),
    ("bytes", "😀".encode()),
    ("bytes", EVERY_BYTE * 8192),  # two million
    ("decimal", Decimal("12345678901234567890.0123456789")),
    ("decimal", Decimal("-0.0000000001")),
    ("decimal", Decimal("1E+5")),
    ("enum", Colour.RED),
    ("enum", Colour.BLUE),
    ("time", dt.time(0, 0)),
    ("time", dt.time(23, 59, 59, 999999)),
    ("text", HARD_TEXT),
    ("text", ""),
    ("text", "x" * 60_000),
    ("string", HARD_TEXT),
    ("date", dt.date(1000, 1, 1)),
    ("date", dt.date(9999, 12, 31)),
    ("date", dt.date(2024, 2, 29)),
    ("datetime", dt.datetime.fromisoformat("2024-02-29T23:59:59.000001")),
    ("datetime", dt.datetime.fromisoformat("1000-01-01")),
    ("integer", -(2**63)),
    ("integer", 2**63 - 1),
    ("float", 0.1),
    ("float", -1.7976931348623157e308),
    ("boolean", True),
    ("boolean", False),
    ("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678")),
]


def _sent_to_basedb(name: str, value: Any) -> Any:
    return value.hex if name == "uuid" and isinstance(value, uuid.UUID) else value


def _normal(name: str, read: Any) -> Any:
    """Convert a value of the web.py layer to the type written: SQLite and MySQL have fewer types."""
    if name == "decimal":
        return Decimal(str(read))
    if name == "time":
        return (
            (dt.datetime.fromisoformat("2000-01-01") + read).time()
            if isinstance(read, dt.timedelta)
            else _parsed(dt.time, read)
        )
    if name == "datetime":
        return _parsed(dt.datetime, read)
    if name == "date":
        return _parsed(dt.date, read)
    if name == "enum":
        return Colour(read)
    if name == "uuid":
        return uuid.UUID(str(read))
    return bool(read) if name == "boolean" else read


def _parsed(kind: Any, read: Any) -> Any:
    return kind.fromisoformat(read) if isinstance(read, str) else read


@pytest.mark.parametrize(("name", "value"), VALUES, ids=lambda each: str(each)[:20])
async def test_a_value_comes_back_as_it_was(columns: Columns, name: str, value: Any) -> None:
    if columns.is_exact:
        read = (await columns.keep(**{name: value}))[name]
        assert isinstance(read, type(value))
    else:
        read = _normal(name, (await columns.keep(**{name: _sent_to_basedb(name, value)}))[name])
    if name == "decimal" and Connector.get_conn().engine.dialect.name == "sqlite":  # binary floating point only
        assert abs(read - value) <= abs(value) * Decimal("1e-15")
    else:
        assert read == value


@pytest.mark.parametrize("name", sorted({name for name, _ in VALUES}))
async def test_null_comes_back_as_none(columns: Columns, name: str) -> None:
    assert (await columns.keep(**{name: None}))[name] is None


@pytest.mark.parametrize(
    "value", [bytearray(EVERY_BYTE), memoryview(EVERY_BYTE)], ids=lambda value: type(value).__name__
)
async def test_what_holds_bytes_is_bytes(columns: Columns, value: Any) -> None:
    assert bytes((await columns.keep(bytes=value))["bytes"]) == EVERY_BYTE


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, None, True, HARD_TEXT]}, [], "text", 3, {"": {}}], ids=lambda v: str(v)[:9]
)
async def test_json(columns: Columns, value: Any) -> None:
    if columns.is_exact:
        assert (await columns.keep(json=value))["json"] == value
    else:  # JSON columns are text in this layer, in both directions
        assert json.loads(str((await columns.keep(json=json.dumps(value)))["json"])) == value


@pytest.mark.parametrize(
    "value",
    [dt.timedelta(hours=5), dt.timedelta(minutes=-90), dt.timedelta(seconds=-1), dt.timedelta(days=30, seconds=1)],
    ids=str,
)
async def test_intervals(columns: Columns, value: dt.timedelta) -> None:
    if isinstance(columns, OrmColumns):
        assert (await columns.keep(interval=value))["interval"] == value
        return
    dialect = columns.db._dialect.name
    if dialect == "mysql":  # TIME holds intervals
        assert (await columns.keep(time=value))["time"] == value
    elif dialect == "postgres":
        assert (await columns.keep(interval=value))["interval"] == value


async def test_every_type_at_once(columns: Columns) -> None:
    values = {name: value if columns.is_exact else _sent_to_basedb(name, value) for name, value in VALUES}
    read = await columns.keep(**values)
    assert list(read) == list(values)
