"""Construction of SELECT, INSERT, UPDATE and DELETE for one dialect. This module does not access a database.

names of tables and columns   quoted, or an `SQLLiteral`
values                        bound
what, where                   SQL text with `$name`; `where` also a dict of columns, or an id
order, group                  names, with ASC or DESC, or an `SQLLiteral`
limit, offset                 whole numbers
values, filters               mappings of columns, safe for client data: only names and bound values
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torngas_aio.db.basedb.sql import SQLLiteral, SQLParam, SQLQuery, is_several, reparam, sqlquote, sqlwhere
from torngas_aio.exception import ArgumentError
from torngas_aio.utils.narrowing import is_list_or_tuple, is_mapping

__all__ = ["MYSQL", "POSTGRES", "SQLITE", "Dialect", "columns_of", "merged"]

_WORD = r"[^\W\d]\w*"
_TABLE = re.compile(rf"({_WORD}(?:\.{_WORD})*)(?:\s+(?:AS\s+)?({_WORD}))?", re.IGNORECASE)
_TERM = re.compile(rf"({_WORD}(?:\.{_WORD})*)(?:\s+(ASC|DESC))?(?:\s+(NULLS\s+(?:FIRST|LAST)))?", re.IGNORECASE)

Tables = str | SQLLiteral | SQLQuery | Sequence[Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences between databases in the text of statements.

    Attributes:
        name: The name in `database(dbn=…)`.
        quote: The quote character around names.
        paramstyle: The style of placeholders.
        empty_insert: The text after the table's name for a row of defaults.
        endless: The LIMIT that means no limit, for an OFFSET without a LIMIT; None if LIMIT may be omitted.
        max_params: Maximum number of values in one statement.
    """

    name: str
    quote: str
    paramstyle: str
    empty_insert: str
    endless: str | None
    max_params: int

    def identifier(self, name: object) -> str:
        """Return *name* quoted, each part of a dotted name separately.

        Raises:
            ArgumentError: It is empty, not text, or contains a NUL.
        """
        if isinstance(name, SQLLiteral):
            return name.text
        if not isinstance(name, str) or not name or "\0" in name or not all(name.split(".")):
            raise ArgumentError(f"{name!r} is no name of a table or column.")
        quote = self.quote
        return ".".join(f"{quote}{part.replace(quote, quote * 2)}{quote}" for part in name.split("."))

    def select(
        self,
        tables: Tables,
        variables: Mapping[str, object] | None = None,
        *,
        what: object = "*",
        where: object = None,
        order: object = None,
        group: object = None,
        limit: object = None,
        offset: object = None,
    ) -> SQLQuery:
        columns = reparam(self._columns(what), variables)
        statement = SQLQuery.join(["SELECT", columns, "FROM", self._tables(tables)])
        if where is not None:
            statement += " WHERE "
            statement += self.where(where, variables)
        if group is not None:
            statement += " GROUP BY "
            statement += self._terms(group, "group")
        if order is not None:
            statement += " ORDER BY "
            statement += self._terms(order, "order")
        if limit is not None:
            statement += f" LIMIT {_whole(limit, 'limit')}"
        if offset is not None:
            if limit is None and self.endless is not None:
                statement += f" LIMIT {self.endless}"
            statement += f" OFFSET {_whole(offset, 'offset')}"
        return statement

    def insert(self, table: object, rows: Sequence[Mapping[str, object]]) -> SQLQuery:
        """Return one INSERT of *rows*, which must all have the keys of the first.

        Raises:
            ArgumentError: The keys differ, or several rows have no columns.
        """
        columns = list(rows[0])
        for place, row in enumerate(rows):
            if set(row) != set(columns):
                raise ArgumentError(f"Row {place} has the columns {list(row)!r}, row 0 has {columns!r}.")
        statement = SQLQuery(f"INSERT INTO {self.identifier(table)}")
        if not columns:
            if len(rows) > 1:
                raise ArgumentError("Several rows cannot be inserted without a column.")
            return statement + f" {self.empty_insert}"
        names = ", ".join(self.identifier(column) for column in columns)
        tuples = [_tuple(row[column] for column in columns) for row in rows]
        return statement + f" ({names}) VALUES " + SQLQuery.join(tuples, ", ")

    def update(
        self, tables: Tables, where: object, variables: Mapping[str, object] | None, values: Mapping[str, object]
    ) -> SQLQuery:
        """Return an UPDATE that sets *values* in the rows that match *where*.

        Raises:
            ArgumentError: *values* is empty.
        """
        if not values:
            raise ArgumentError("update() was given nothing to set. Name a column: update(table, where, title='…').")
        pairs = [f"{self.identifier(column)} = " + _bound(value) for column, value in values.items()]
        changes = SQLQuery.join(pairs, ", ")
        return SQLQuery.join(["UPDATE", self._tables(tables), "SET", changes, "WHERE", self.where(where, variables)])

    def delete(
        self, table: object, where: object, using: Any | None = None, variables: Mapping[str, object] | None = None
    ) -> SQLQuery:
        parts: list[object] = ["DELETE FROM", self.identifier(table)]
        if using is not None:
            parts += ["USING", self._tables(using)]
        return SQLQuery.join([*parts, "WHERE", self.where(where, variables)])

    def condition(
        self, where: object, filters: Mapping[str, object] | None, variables: Mapping[str, object] | None
    ) -> Any:
        """Return *where* and *filters* as one condition; None if neither restricts anything.

        Raises:
            ArgumentError: *filters* is not a mapping of columns, or contains SQL text, dicts or nested lists.
        """
        if filters is None:
            return where
        columns = _comparable(columns_of(filters, "filters"))
        narrowed = self.where(columns, None) if columns else None
        if where is None or narrowed is None:
            return where if narrowed is None else narrowed
        return "(" + self.where(where, variables) + ") AND " + narrowed

    def where(self, where: object, variables: Mapping[str, object] | None) -> SQLQuery:
        """Return the condition for *where*: SQL text with `$name`, a dict of columns and values, an id or a statement.

        Raises:
            ArgumentError: It is None or empty, which would match every row; write '1=1' for that.
        """
        if isinstance(where, bool) or where is None or where in ("", {}):
            raise ArgumentError(f"where={where!r} would mean every row. Write where='1=1' if that is meant.")
        if isinstance(where, int):
            return f"{self.identifier('id')} = " + SQLParam(where)
        if is_mapping(where):
            return sqlwhere({self.identifier(column): value for column, value in where.items()})
        return reparam(where, variables)

    def _columns(self, what: object) -> object:
        return ", ".join(self.identifier(each) for each in what) if is_list_or_tuple(what) else what

    def _tables(self, tables: Tables) -> SQLQuery:
        several = tables if isinstance(tables, (list, tuple)) else [tables]
        if not several:
            raise ArgumentError("No table was named.")
        return SQLQuery.join([self._table(each) for each in several], ", ")

    def _table(self, table: object) -> object:
        if isinstance(table, (SQLLiteral, SQLQuery)):
            return table
        parts = [_TABLE.fullmatch(each.strip()) for each in table.split(",")] if isinstance(table, str) else []
        if not parts or not all(parts):
            raise ArgumentError(
                f"{table!r} is neither a table's name nor a name with an alias. "
                "Joins and the like are SQL of the program's own: write SQLLiteral('a JOIN b ON …')."
            )
        return ", ".join(self._quote_alias(part) for part in parts if part is not None)

    def _quote_alias(self, part: re.Match[str]) -> str:
        alias = f" {self.identifier(part[2])}" if part[2] else ""
        return self.identifier(part[1]) + alias

    def _terms(self, terms: Any, argument: str) -> object:
        if isinstance(terms, (SQLLiteral, SQLQuery)):
            return terms
        several = terms.split(",") if isinstance(terms, str) else list(terms)
        found: list[str] = []
        for term in several:
            match = _TERM.fullmatch(term.strip()) if isinstance(term, str) else None
            if match is None:
                raise ArgumentError(
                    f"{argument}={terms!r}: {term!r} is neither a column's name nor one with ASC or DESC. "
                    f"An expression is SQL of the program's own: write {argument}=SQLLiteral('…')."
                )
            found.append(" ".join([self.identifier(match[1]), *(part.upper() for part in match.groups()[1:] if part)]))
        return ", ".join(found)


SQLITE = Dialect("sqlite", '"', "qmark", "DEFAULT VALUES", "-1", 32_766)
MYSQL = Dialect("mysql", "`", "format", "() VALUES ()", "18446744073709551615", 65_535)
POSTGRES = Dialect("postgres", '"', "dollar", "DEFAULT VALUES", None, 32_767)


def columns_of(columns: object, argument: str, *, is_client: bool = True) -> dict[str, Any]:
    """Return a mapping of columns and their values as a dict.

    Args:
        is_client: Whether it may come from a client; then no value may be SQL text.

    Raises:
        ArgumentError: It is not a mapping, or contains SQL text.
    """
    if not is_mapping(columns):
        raise ArgumentError(
            f"{argument}={columns!r:.80}: write a dict of columns and their values. "
            f"A column of the name {argument!r} goes into such a dict as well."
        )
    if is_client:
        for name, value in columns.items():
            if any(isinstance(each, _SQL) for each in (value if is_several(value) else [value])):
                raise ArgumentError(
                    f"{argument}: {name!r} holds SQL text, where values are bound. Give it as a keyword."
                )
    found: dict[Any, Any] = dict(columns)
    return found


def merged(values: Mapping[str, object] | None, keywords: Mapping[str, object]) -> dict[str, object]:
    """Return the columns of *values*, which may come from a client, and of a call's *keywords*.

    Raises:
        ArgumentError: A column is in both; see also `columns_of`.
    """
    found = {} if values is None else columns_of(values, "values")
    for name in found.keys() & keywords.keys():
        raise ArgumentError(f"The column {name!r} stands in values= and as a keyword.")
    return {**found, **keywords}


def _comparable(columns: dict[str, object]) -> dict[str, object]:
    """Return *columns* after checking that each is a value or a list of values; a client's JSON may hold others."""
    for name, value in columns.items():
        for each in value if is_several(value) else (value,):
            if is_mapping(each) or is_several(each):
                raise ArgumentError(
                    f"filters: {name!r} is compared with {each!r:.80}, a {type(each).__name__}. "
                    "Write a value, or a list of values."
                )
    return columns


_SQL = (SQLLiteral, SQLQuery, SQLParam)


def _tuple(values: Iterable[object]) -> SQLQuery:
    return SQLQuery.join([_bound(value) for value in values], ", ", "(", ")")


def _bound(value: object) -> SQLQuery:
    """Return a column's value as a parameter; unlike after IN, a list is one value, such as a PostgreSQL array."""
    return sqlquote(value) if isinstance(value, (SQLLiteral, SQLQuery)) else SQLQuery(SQLParam(value))


def _whole(number: object, argument: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ArgumentError(f"{argument}={number!r}: write a whole number from 0.")
    return number
