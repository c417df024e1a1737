"""SQL text with bound values. This module does not access a database.

    SQLQuery(["id = ", SQLParam(1), " AND name = ", SQLParam("x")])
        .query("qmark")  -> "id = ? AND name = ?"     the text that is sent
        .values()        -> [1, "x"]                  the parameters that are sent
        str(...)         -> "id = 1 AND name = 'x'"   for logs and debugging only, never sent
    reparam("id = $user.id", {"user": user})          binds a value for each mark; nothing is evaluated:
        $name   $name.attr   $name[3]   $name[key]   $name['key']   ${name.attr}x   $$ (a dollar sign)

Text that is neither a value nor checked as an identifier must come from the program itself: `SQLLiteral` marks it. A
`$` before anything else, such as `$1`, is left unchanged. A bare word in brackets is a literal key, as in `str.format`.
Methods and names that begin with an underscore are not accessible.
"""

import datetime as dt
import enum
import re
from collections.abc import Collection, Generator, Iterable, Mapping
from typing import Any, Self, TypeGuard

from torngas_aio.exception import ArgumentError

__all__ = [
    "SQLLiteral",
    "SQLParam",
    "SQLQuery",
    "is_several",
    "reparam",
    "sqlify",
    "sqllist",
    "sqlors",
    "sqlquote",
    "sqlwhere",
]

_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[(?:-?\d+|\w+|'[^'\]]*'|\"[^\"\]]*\")\])*"
_MARK = re.compile(rf"\$(?:(\$)|({_PATH})|\{{({_PATH})\}}|(\{{))")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(?:(-?\d+)|(\w+)|'([^']*)'|\"([^\"]*)\")\]")
_NAME = re.compile(r"[A-Za-z_]\w*")


class SQLLiteral:
    """SQL text written by the program, inserted into a statement unchanged; never build one from outside input.

    `db.insert("posts", made_at=SQLLiteral("NOW()"))`
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"SQLLiteral({self.text!r})"

    def __str__(self) -> str:
        return self.text


class SQLParam:
    """One value, sent as a parameter."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def sqlquery(self) -> "SQLQuery":
        """Return a query that consists of this value, to add text to."""
        return SQLQuery([self])

    def __add__(self, other: object) -> "SQLQuery":
        return SQLQuery([self, other])

    def __radd__(self, other: object) -> "SQLQuery":
        return SQLQuery([other, self])

    def __repr__(self) -> str:
        return f"SQLParam({self.value!r})"


class SQLQuery:
    """A statement or a part of one: pieces of text and values.

    Adding text, values or statements returns a new query; `append` changes this one.

    Args:
        items: Text, `SQLParam`, `SQLLiteral` or `SQLQuery`, one or several.
    """

    __slots__ = ("items",)

    def __init__(self, items: object = ()) -> None:
        self.items: list[str | SQLParam] = []
        for item in items if is_several(items) else (items,):
            self.append(item)

    def append(self, item: object) -> None:
        """Add *item* at the end.

        Raises:
            ArgumentError: *item* is a bare value; bind it with `sqlquote`.
        """
        if isinstance(item, SQLQuery):
            self.items += item.items
        elif isinstance(item, SQLLiteral):
            self.items.append(item.text)
        elif isinstance(item, (str, SQLParam)):
            self.items.append(item)
        else:
            raise ArgumentError(f"{item!r} is neither SQL text nor a bound value. Write sqlquote({item!r}).")

    def query(self, paramstyle: str = "qmark") -> str:
        """Return the text with a placeholder for each value.

        Args:
            paramstyle: `qmark` (`?`), `format` (`%s`, and `%%` for a percent sign), or `dollar` (`$1`, `$2`).

        Raises:
            ArgumentError: *paramstyle* is not one of these.
        """
        if paramstyle not in {"qmark", "format", "dollar"}:
            raise ArgumentError(f"{paramstyle!r} is no parameter style. Write 'qmark', 'format' or 'dollar'.")
        parts: list[str] = []
        number = 0
        for item in self.items:
            if isinstance(item, str):
                parts.append(item.replace("%", "%%") if paramstyle == "format" else item)
                continue
            number += 1
            parts.append({"qmark": "?", "format": "%s"}.get(paramstyle) or f"${number}")
        return "".join(parts)

    def values(self) -> list[Any]:
        """Return the values in the order of their placeholders; an `Enum` member is replaced by its value."""
        values = (item.value for item in self.items if isinstance(item, SQLParam))
        return [value.value if isinstance(value, enum.Enum) else value for value in values]

    @classmethod
    def join(
        cls, items: Iterable[object], sep: object = " ", prefix: object | None = None, suffix: Any | None = None
    ) -> "SQLQuery":
        """Return *items* with *sep* between them, and *prefix* and *suffix* around the whole."""
        joined = cls() if prefix is None else cls(prefix)
        for place, item in enumerate(items):
            if place:
                joined.append(sep)
            joined.append(item)
        if suffix is not None:
            joined.append(suffix)
        return joined

    def __add__(self, other: object) -> "SQLQuery":
        return SQLQuery([self, other])

    def __radd__(self, other: object) -> "SQLQuery":
        return SQLQuery([other, self])

    def __iadd__(self, other: object) -> Self:
        self.append(other)
        return self

    def __len__(self) -> int:
        return len(self.query())

    def __bool__(self) -> bool:
        return bool(self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SQLQuery) and (self.query(), self.values()) == (other.query(), other.values())

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __await__(self) -> Generator[None, None, "SQLQuery"]:
        """Return the query itself, so that `db.select(..., _test=True)` may also be awaited."""
        yield from ()
        return self

    def __str__(self) -> str:
        return "".join(item if isinstance(item, str) else sqlify(item.value) for item in self.items)

    def __repr__(self) -> str:
        return f"<sql: {str(self)!r}>"


def sqlify(value: object) -> str:
    """Return *value* as an SQL literal, for logs and debugging only; never send it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return f"'{value.isoformat()}'"
    if isinstance(value, (bytes, bytearray)):
        return f"X'{bytes(value).hex()}'"
    text = str(value).replace("'", "''")
    return f"'{text}'"


def is_several(value: object) -> TypeGuard[Collection[object]]:
    """Return whether *value* is a list, tuple or set, which stands for several values, as in `IN (1, 2)`."""
    return isinstance(value, list | tuple | set | frozenset)


def sqlquote(value: object) -> SQLQuery:
    """Return *value* as a bound parameter; a list, tuple or set becomes `(?, ?, ?)`, for use after IN.

    Raises:
        ArgumentError: The list is empty: SQL has no `IN ()`.
    """
    if is_several(value):
        if not value:
            raise ArgumentError(
                "An empty list cannot stand in SQL: there is no `IN ()`. Check whether it is empty beforehand, "
                "or use sqlors(), which is then never true."
            )
        return SQLQuery.join([sqlquote(each) for each in value], sep=", ", prefix="(", suffix=")")
    if isinstance(value, SQLQuery):
        return value
    if isinstance(value, SQLLiteral):
        return SQLQuery(value)
    return SQLParam(value).sqlquery()


def sqllist(names: str | Iterable[str]) -> str:
    """Return *names*, each of them SQL text, joined by commas: `'a, b'`; a str is returned unchanged."""
    return names if isinstance(names, str) else ", ".join(names)


def sqlors(left: str, values: object) -> SQLQuery:
    """Return `(left 1 OR left 2 OR left 3)` with the values bound; without values, `1=2`, which is never true.

    `sqlors("id = ", [1, 2])`; a single value returns `id = 1`.
    """
    found = list(values) if is_several(values) else [values]
    if not found:
        return SQLQuery("1=2")
    parts = [left + sqlquote(value) for value in found]
    return parts[0] if len(parts) == 1 else SQLQuery.join(parts, sep=" OR ", prefix="(", suffix=")")


def sqlwhere(values: Mapping[str, object], grouping: str = " AND ") -> SQLQuery:
    """Return `a = 1 AND b = 2` with the values bound; keys are SQL text, so they must come from the program itself.

    None becomes `a IS NULL`, a list `a IN (1, 2)`, an empty list a condition that is never true. Without keys the
    condition is always true.
    """
    return SQLQuery.join([_condition(left, value) for left, value in values.items()], grouping) or SQLQuery("1=1")


def _condition(left: str, value: object) -> SQLQuery:
    if value is None:
        return SQLQuery(f"{left} IS NULL")
    if is_several(value):
        return f"{left} IN " + sqlquote(value) if value else SQLQuery("1=2")
    return f"{left} = " + sqlquote(value)


def reparam(text: object, variables: Mapping[str, object] | None) -> SQLQuery:
    """Return *text* with each `$name` bound to its value in *variables*.

    A list, tuple or set becomes `(?, ?, ?)`; an `SQLLiteral` or `SQLQuery` is inserted unchanged. If *text* is
    already a statement, it is returned unchanged.

    Raises:
        ArgumentError: A name is missing or not accessible, or a mark is inside quotes.
    """
    if isinstance(text, SQLQuery):
        return text
    if not isinstance(text, str):
        return SQLQuery(text)
    found = SQLQuery()
    position = quotes = 0
    for mark in _MARK.finditer(text):
        before = text[position : mark.start()]
        quotes += before.count("'")
        if before:
            found.append(before)
        position = mark.end()
        path = mark[2] or mark[3]
        if mark[1]:
            found.append("$")
        elif path is None:
            raise ArgumentError(f"{text[mark.start() :][:40]!r}: only names stand in ${{…}}; nothing is evaluated.")
        elif quotes % 2:
            raise ArgumentError(f"${path} stands inside quotes. Take the quotes away: the value is bound, not pasted.")
        else:
            found.append(sqlquote(_looked_up(path, variables or {})))
    if position < len(text):
        found.append(text[position:])
    return found


def _looked_up(path: str, variables: Mapping[str, object]) -> object:
    name = _NAME.match(path)
    assert name is not None
    if name[0] not in variables:
        raise ArgumentError(f"${path}: no {name[0]!r} was given; there is {sorted(variables)!r}.")
    value = variables[name[0]]
    for step in _STEP.finditer(path, name.end()):
        value = _step(value, step, path)
    if callable(value) and not isinstance(value, type(SQLQuery)):
        raise ArgumentError(f"${path} is a function or method, not a value; nothing is called.")
    return value


def _step(value: Any, step: re.Match[str], path: str) -> object:
    attribute, number, word, single, double = step.groups()
    try:
        if attribute is not None:
            if attribute.startswith("_"):
                raise ArgumentError(f"${path}: {attribute!r} is private and out of reach.")
            return getattr(value, attribute)
        if number is not None:
            return value[_index(value, number)]
        return value[next(key for key in (word, single, double) if key is not None)]
    except (AttributeError, LookupError, TypeError) as exc:
        if isinstance(exc, ArgumentError):
            raise
        raise ArgumentError(f"${path}: {type(value).__name__} has no {step[0]!r}.") from exc


def _index(value: object, number: str) -> int | str:
    return number if isinstance(value, Mapping) and int(number) not in value else int(number)
