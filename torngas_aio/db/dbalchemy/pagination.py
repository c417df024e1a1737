"""Pages of a query: by number, with the total, or by cursor (the last row of the page before).

Pagination    page 3 of 17: items, total, prev/next, the numbers to show   two statements, slow for high page numbers
KeysetPage    the rows after a cursor                                      one statement, equally fast for every page
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeGuard, TypeVar

from sqlalchemy import Dialect, Select, and_, func, inspect, or_, select
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import ColumnElement, UnaryExpression

from torngas_aio._compat.sqlalchemy import order_by_of, parts_of
from torngas_aio.db.dbalchemy.cursors import is_checked, read_cursor, write_cursor
from torngas_aio.exception import ArgumentError, InvalidCursor
from torngas_aio.utils.numbers import parse_whole

__all__ = ["KeysetPage", "Pagination", "count_of", "keyset_page", "page_of"]

T = TypeVar("T")

EMPTY_PAGE: Any = object()
"""The default of *error_out*: return the page itself, which has no items."""


class PagedQuery(Protocol[T]):
    """The query methods that a page uses; see `Query`."""

    statement: Select[Any]

    def __await__(self) -> Generator[object, None, list[T]]: ...
    def filter(self, *criteria: object) -> Self: ...
    def order_by(self, *clauses: object) -> Self: ...
    def limit(self, count: int | None) -> Self: ...
    def offset(self, count: int | None) -> Self: ...
    async def count(self) -> int: ...


class Pagination(Generic[T]):
    """One page of a query.

    Attributes:
        items: The rows of this page.
        total: The number of rows of the whole query.
        page: This page's number, from 1.
        per_page: Rows per page.
    """

    __slots__ = ("_query", "items", "page", "per_page", "total")

    def __init__(self, query: PagedQuery[T], page: int, per_page: int, total: int, items: Sequence[T]) -> None:
        self._query = query
        self.page = page
        self.per_page = per_page
        self.total = total
        self.items = items

    def __repr__(self) -> str:
        return f"<Pagination page {self.page} of {self.pages}, {self.total} rows>"

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    @property
    def pages(self) -> int:
        """The number of pages."""
        return -(-self.total // self.per_page)

    @property
    def has_prev(self) -> bool:
        """Whether there is a page before this one."""
        return self.page > 1

    @property
    def has_next(self) -> bool:
        """Whether there is a page after this one."""
        return self.page < self.pages

    @property
    def prev_num(self) -> int | None:
        """The number of the previous page, None on the first."""
        return self.page - 1 if self.has_prev else None

    @property
    def next_num(self) -> int | None:
        """The number of the next page, None on the last."""
        return self.page + 1 if self.has_next else None

    async def prev(self, error_out: object = EMPTY_PAGE) -> Any:
        """Return the previous page; on the first page return *error_out*, or by default the first page again."""
        if self.page == 1 and error_out is not EMPTY_PAGE:
            return error_out
        return await page_of(self._query, max(1, self.page - 1), self.per_page, EMPTY_PAGE)

    async def next(self, error_out: object = EMPTY_PAGE) -> Any:
        """Return the next page; on the last page return *error_out*, or by default an empty page."""
        return await page_of(self._query, self.page + 1, self.per_page, error_out)

    def iter_pages(
        self, left_edge: int = 2, left_current: int = 2, right_current: int = 5, right_edge: int = 2
    ) -> Iterator[int | None]:
        """Yield the page numbers to show, and None for each gap.

        Args:
            left_edge: Count of numbers at the beginning.
            left_current: Count of numbers before this page.
            right_current: Count of numbers from this page on.
            right_edge: Count of numbers at the end.
        """
        last = 0
        for number in range(1, self.pages + 1):
            is_shown = (
                number <= left_edge
                or self.page - left_current - 1 < number < self.page + right_current
                or number > self.pages - right_edge
            )
            if is_shown:
                if last + 1 != number:
                    yield None
                yield number
                last = number


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[T]):
    """A page of rows after a cursor.

    Attributes:
        next_cursor: The cursor of the next page, None on the last one; URL-safe. It is not signed; it is only parsed
            as values of the query's columns.
    """

    items: Sequence[T]
    next_cursor: str | None

    @property
    def has_next(self) -> bool:
        """Whether there are more rows."""
        return self.next_cursor is not None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)


async def count_of(session: AsyncSession, statement: Select[Any]) -> int:
    """Return the number of rows of *statement*."""
    inner = statement.order_by(None)
    if parts_of(inner) <= {"join"}:  # PERF: without a derived table MySQL counts on an index instead of copying rows
        counting = inner.with_only_columns(func.count(), maintain_column_froms=True)
    else:
        counting = select(func.count()).select_from(inner.subquery())
    options = statement.get_execution_options()
    return int(await session.scalar(counting.execution_options(**options)) or 0)


async def page_of(query: PagedQuery[T], page: object, per_page: int, default: object = None) -> object:
    """Return page number *page*; see `Query.paginate`."""
    number, size = _number(page), _size(per_page)
    total = await query.count()
    start = (number - 1) * size
    if start >= total and number > 1 and default is not EMPTY_PAGE:
        return default
    items = await query.limit(size).offset(start) if start < total else []
    return Pagination(query, number, size, total, items)


def _number(page: Any) -> int:
    if isinstance(page, str | bytes):
        return max(1, parse_whole(page) or 1)
    try:
        return max(1, int(page))
    except (TypeError, ValueError, OverflowError):
        return 1


def _size(per_page: object) -> int:
    if isinstance(per_page, bool) or not isinstance(per_page, int) or per_page < 1:
        raise ArgumentError(f"per_page = {per_page!r}: write a whole number of at least 1.")
    return per_page


# ------------------------------------------------------------------ by the last row seen


@dataclass(frozen=True, slots=True)
class _Key:
    attribute: Any
    name: str
    is_descending: bool


async def keyset_page(
    query: PagedQuery[T], model: object, dialect_of: Callable[[], Dialect], after: str | None, per_page: int
) -> KeysetPage[T]:
    """Return the rows of *model* after the cursor *after*; see `Query.paginate_after`.

    Raises:
        ArgumentError: The order does not support cursors, or *per_page* is not a whole number from 1.
        InvalidCursor: *after* is not a cursor of this query.
    """
    size = _size(per_page)
    keys = _keys(model, query.statement)
    wanted = query.order_by(None).order_by(*(k.attribute.desc() if k.is_descending else k.attribute for k in keys))
    types = [key.attribute.type for key in keys]
    is_trusted = True
    if after is not None:
        dialect = dialect_of()
        values = read_cursor(after, types, dialect)
        is_trusted = all(is_checked(each, dialect) for each in types)
        wanted = wanted.filter(_follows(keys, values))
    try:
        rows = await wanted.limit(size + 1)
    except StatementError as exc:
        if is_trusted or getattr(exc, "connection_invalidated", False):
            raise
        raise InvalidCursor("paginate_after(): the database takes no such value for these columns.") from exc
    items = rows[:size]
    cursor = write_cursor([getattr(items[-1], key.name) for key in keys]) if len(rows) > size else None
    return KeysetPage(items, cursor)


def _keys(model: object, statement: Select[Any]) -> list[_Key]:
    mapper = inspect(model)
    keys = [_key(mapper, clause) for clause in order_by_of(statement)]
    known = {key.name for key in keys}
    last = keys[-1].is_descending if keys else False
    for column in mapper.primary_key:
        name = mapper.get_property_by_column(column).key
        if name not in known:
            keys.append(_Key(getattr(model, name), name, last))
    return keys


def _key(mapper: Any, clause: Any) -> _Key:
    is_descending = False
    while _is_unary(clause) and clause.modifier in (operators.desc_op, operators.asc_op):
        is_descending = clause.modifier is operators.desc_op
        clause = clause.element
    table_column = mapper.local_table.c.get(getattr(clause, "key", None) or "")
    if table_column is None or not clause.shares_lineage(table_column):
        raise ArgumentError(
            f"paginate_after() needs an order by columns of {mapper.class_.__name__}; {clause} is none of them."
        )
    if table_column.nullable:
        raise ArgumentError(
            f"paginate_after() cannot order by {clause}: it may be NULL, and NULL comes neither before nor after."
        )
    name = mapper.get_property_by_column(table_column).key
    return _Key(getattr(mapper.class_, name), name, is_descending)


def _is_unary(clause: object) -> TypeGuard[UnaryExpression[Any]]:
    return isinstance(clause, UnaryExpression)


def _follows(keys: Sequence[_Key], values: Sequence[Any]) -> object:
    """Return `(a, b) > (x, y)` in expanded form, since directions may differ: `a > x OR (a = x AND b > y)`."""
    cases: list[ColumnElement[bool]] = []
    for index, key in enumerate(keys):
        same = [earlier.attribute == value for earlier, value in zip(keys[:index], values, strict=False)]
        value = values[index]
        further = key.attribute < value if key.is_descending else key.attribute > value
        cases.append(and_(*same, further))
    return or_(*cases)
