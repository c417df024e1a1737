"""Cursors of keyset pages: the values of one row's columns as URL-safe text, treated as untrusted input.

    write_cursor([3, Decimal("1.50")])  ──►  base64 of [3,{"decimal":"1.50"}]  ──►  read_cursor(text, types, dialect)

A client can send any cursor. Its values must fit the columns' types; anything else raises `InvalidCursor` (400). The
cost of reading is bounded by the maximum length of the text.
"""

import base64
import datetime as dt
import decimal
import enum
import json
import math
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any, cast

from sqlalchemy import types
from sqlalchemy.engine import Dialect

from torngas_aio.exception import ArgumentError, InvalidCursor
from torngas_aio.utils.narrowing import class_of, is_dict, is_list

__all__ = ["is_checked", "read_cursor", "write_cursor"]

MAX_CURSOR = 4096
"""Maximum length of a cursor in characters; a longer one is refused unread."""

_MAX_DIGITS = 1000
"""Maximum digits before and after the decimal point, for a column without a declared precision."""

_DECIMAL = re.compile(r"-?\d{1,1000}(?:\.\d{1,1000})?(?:[eE][+-]?\d{1,4})?", re.ASCII)


def write_cursor(values: Sequence[object]) -> str:
    """Return the cursor for the page after the row with these values.

    Raises:
        ArgumentError: A value is of a type that a cursor cannot hold.
    """
    text = json.dumps([_write_value(value) for value in values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: object, column_types: Sequence[object], dialect: Dialect) -> list[Any]:
    """Return the values of *cursor*, one for each of *column_types*.

    Raises:
        InvalidCursor: It is not a cursor, or a value does not fit its column's type in this database.
    """
    try:
        if not isinstance(cursor, str) or len(cursor) > MAX_CURSOR:
            raise ValueError(f"write text of at most {MAX_CURSOR} characters")
        read = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), parse_constant=_refuse)
        if not is_list(read) or len(read) != len(column_types):
            raise ValueError("another number of columns")
        return [_fit(each, kind, dialect) for each, kind in zip(read, column_types, strict=True)]
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as exc:
        raise InvalidCursor(f"paginate_after(): {repr(cursor)[:40]} is not a cursor of this query ({exc}).") from exc


def is_checked(column_type: Any, dialect: Dialect) -> bool:
    """Return whether `read_cursor` can validate *column_type*; others, such as INET, only the database can."""
    kind = column_type.dialect_impl(dialect)
    return isinstance(kind, tuple(base for base, _ in _READERS)) and not isinstance(kind, types.TypeDecorator)


def _write_value(value: object) -> object:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str | int | float):
        return value
    for name, (kind, write) in _KINDS.items():
        if isinstance(value, kind):
            return {name: write(value)}
    raise ArgumentError(f"paginate_after() cannot order by values of type {type(value).__name__}.")


# datetime is a subclass of date, so it comes first.
_KINDS: dict[str, tuple[type[object], Callable[..., str]]] = {
    "datetime": (dt.datetime, dt.datetime.isoformat), "date": (dt.date, dt.date.isoformat),
    "time": (dt.time, dt.time.isoformat), "decimal": (decimal.Decimal, str), "uuid": (uuid.UUID, str),
    "bytes": (bytes, bytes.hex),
}  # fmt: skip


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not a value of a column")


# ------------------------------------------------------------------ values by their column's type


def _fit(read: object, declared: Any, dialect: Dialect) -> object:
    kind = declared.dialect_impl(dialect)
    reader = next((reader for base, reader in _READERS if isinstance(kind, base)), _read_any)
    return reader(read, kind, dialect)


def _read_decorated(read: object, kind: types.TypeDecorator[Any], dialect: Dialect) -> object:
    """Return a value of a project's own type in its Python form; its stored form must fit the underlying type."""
    if cast(Any, class_of(kind)).process_bind_param is _BINDS_AS_IT_IS:
        return _fit(read, kind.impl_instance, dialect)
    value = _read_any(read, kind, dialect)
    try:
        bound = kind.process_bind_param(value, dialect)
    except Exception as exc:
        raise ValueError(f"its column does not take it: {type(exc).__name__}") from exc
    if bound is not None:
        _fit(_write_value(bound), kind.impl_instance, dialect)
    return value


_BINDS_AS_IT_IS: object = cast(Any, types.TypeDecorator).process_bind_param


def _read_enum(read: object, kind: types.Enum, dialect: Dialect) -> object:
    if kind.enum_class is not None:
        return kind.enum_class(read)
    if read not in kind.enums:
        raise ValueError("not a value of the enumeration")
    return read


def _read_text(read: object, kind: object, dialect: Dialect) -> str:
    if not isinstance(read, str):
        raise TypeError("text is wanted")
    read.encode()  # a lone surrogate is a ValueError
    if "\0" in read and dialect.name == "postgresql":
        raise ValueError("PostgreSQL's text holds no NUL")
    return read


def _read_boolean(read: object, kind: object, dialect: Dialect) -> bool:
    if read not in (True, False) or isinstance(read, float):
        raise TypeError("true or false is wanted")
    return bool(read)


def _read_integer(read: object, kind: object, dialect: Dialect) -> int:
    if isinstance(read, bool) or not isinstance(read, int):
        raise TypeError("a whole number is wanted")
    bits = 64
    if dialect.name == "postgresql":  # its driver refuses values beyond the column's range
        bits = 16 if isinstance(kind, types.SmallInteger) else 64 if isinstance(kind, types.BigInteger) else 32
    top = 2**64 if dialect.name == "mysql" else 2 ** (bits - 1)  # UNSIGNED
    if not -(2 ** (bits - 1)) <= read < top:
        raise ValueError("beyond the column's range")
    return read


def _read_number(read: object, kind: Any, dialect: Dialect) -> object:
    if kind.asdecimal:
        return _read_decimal(read, kind)
    if isinstance(read, bool) or not isinstance(read, int | float):
        raise TypeError("a number is wanted")
    if not math.isfinite(number := float(read)):
        raise ValueError("beyond the column's range")
    return number


def _read_decimal(read: object, kind: Any) -> decimal.Decimal:
    text = _read_marked(read, "decimal")
    if not _DECIMAL.fullmatch(text):
        raise ValueError("a decimal number is wanted")
    number = decimal.Decimal(text)
    before = _MAX_DIGITS if kind is None or kind.precision is None else kind.precision - (kind.scale or 0)
    if number and not -_MAX_DIGITS <= number.adjusted() < before:
        raise ValueError("beyond the column's range")
    return number


def _read_datetime(read: object, kind: types.DateTime, dialect: Dialect) -> object:
    return _check_zone(_parse_datetime(_read_marked(read, "datetime")), kind, dialect)


def _parse_datetime(text: str) -> dt.datetime:
    value = dt.datetime.fromisoformat(text)
    if value.tzinfo is not None:
        value.astimezone(dt.UTC)  # raises OverflowError if the offset leads beyond the range of datetime
    return value


def _read_time(read: object, kind: types.Time, dialect: Dialect) -> object:
    return _check_zone(dt.time.fromisoformat(_read_marked(read, "time")), kind, dialect)


def _check_zone(value: dt.datetime | dt.time, kind: types.DateTime | types.Time, dialect: Dialect) -> object:
    has_zone = value.tzinfo is not None
    if (has_zone and not kind.timezone) or (not has_zone and kind.timezone and dialect.name == "postgresql"):
        raise ValueError("a time zone where the column has none, or none where it has one")
    return value


def _read_date(read: object, kind: object, dialect: Dialect) -> dt.date:
    return dt.date.fromisoformat(_read_marked(read, "date"))


def _read_uuid(read: object, kind: types.Uuid[Any], dialect: Dialect) -> object:
    if kind.as_uuid:
        return uuid.UUID(_read_marked(read, "uuid"))
    uuid.UUID(_read_text(read, kind, dialect))
    return read


def _read_bytes(read: object, kind: object, dialect: Dialect) -> bytes:
    return bytes.fromhex(_read_marked(read, "bytes"))


def _read_marked(read: object, name: str) -> str:
    """Return the text in `{name: text}`."""
    if not is_dict(read) or list(read) != [name] or not isinstance(read[name], str):
        raise TypeError(f"a value marked {name!r} is wanted")
    return str(read[name])


def _read_any(read: object, kind: object, dialect: Dialect) -> object:
    """Return a value for a project's own type: any value that a cursor can hold and that the type converts."""
    if is_dict(read):
        (name,) = read
        return _read_decimal(read, None) if name == "decimal" else _PARSERS[name](_read_marked(read, name))
    if isinstance(read, str):
        return _read_text(read, kind, dialect)
    if isinstance(read, float):
        return _read_number(read, types.Float(), dialect)
    return _read_integer(read, types.BigInteger(), dialect)


_PARSERS: dict[str, Callable[[str], object]] = {
    "datetime": _parse_datetime,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "uuid": uuid.UUID,
    "bytes": bytes.fromhex,
}

# The first match counts: Enum is a subclass of String.
_READERS: tuple[tuple[type[object], Callable[..., object]], ...] = (
    (types.TypeDecorator, _read_decorated),
    (types.Enum, _read_enum),
    (types.Uuid, _read_uuid),
    (types.String, _read_text),
    (types.Boolean, _read_boolean),
    (types.Integer, _read_integer),
    (types.Numeric, _read_number),
    (types.Float, _read_number),
    (types.DateTime, _read_datetime),
    (types.Date, _read_date),
    (types.Time, _read_time),
    (types.LargeBinary, _read_bytes),
    (types.BINARY, _read_bytes),
    (types.VARBINARY, _read_bytes),
)
