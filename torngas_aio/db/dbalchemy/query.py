"""`Model.Q` and `session.query(...)`: the chainable queries of torngas 1.8, awaitable.

    User.Q.filter(User.name == 'jack').order_by(User.id).limit(10)      sends nothing yet
        await ...            a list               await ....first()     one object or None
        await ....count()    a number             async for user in ... one by one, streamed from the server

Each call returns a new query; the original is unchanged.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping
from typing import Any, Generic, NoReturn, Self, TypeAlias, TypeVar, cast

from sqlalchemy import Dialect, Select, delete, inspect, select, tuple_, union, union_all, update
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper

from torngas_aio._compat.sqlalchemy import options_of, parts_of
from torngas_aio._unawaited import Operation
from torngas_aio.db.dbalchemy.pagination import KeysetPage, count_of, keyset_page, page_of
from torngas_aio.db.dbalchemy.routing import RoutedSession
from torngas_aio.exception import ArgumentError

__all__ = ["Query"]

T = TypeVar("T")

_Slice: TypeAlias = "slice[Any, Any, Any]"

STREAM_ROWS = 500
"""Rows that `async for` fetches from the driver per batch."""


class Query(Generic[T]):
    """A query for models or columns, executed when awaited.

    Args:
        entities: Models, columns or expressions. A single model returns its objects, anything else rows.
        session: Returns the session; called when the query runs, in the task that runs it.
        statement: A SELECT to use instead of a new one.
    """

    __slots__ = ("_entities", "_session", "statement")

    def __init__(
        self, entities: tuple[Any, ...], session: Callable[[], AsyncSession], statement: Select[Any] | None = None
    ) -> None:
        self._entities = entities
        self._session = session
        chosen: Any = select(*entities) if statement is None else statement
        self.statement: Select[Any] = chosen

    def __repr__(self) -> str:
        return f"<Query {' '.join(str(self.statement).split())}>"

    # -------------------------------------------------------------- chaining

    def filter(self, *criteria: Any) -> Self:
        """Keep the rows that match all *criteria*."""
        return self._with(self.statement.where(*(_criterion(each) for each in criteria)))

    def where(self, *criteria: Any) -> Self:
        """Keep the rows that match all *criteria*; SQLAlchemy's newer name for `filter`."""
        return self.filter(*criteria)

    def filter_by(self, **values: Any) -> Self:
        """Keep the rows whose attributes have these values; after a join, attributes of the last joined model."""
        return self._with(self.statement.filter_by(**values))

    def order_by(self, *clauses: Any) -> Self:
        """Sort by *clauses*, after existing ones; `order_by(None)` removes the existing order."""
        return self._with(self.statement.order_by(*clauses))

    def group_by(self, *clauses: Any) -> Self:
        """Group by *clauses*."""
        return self._with(self.statement.group_by(*clauses))

    def having(self, *criteria: Any) -> Self:
        """Keep the groups that match all *criteria*."""
        return self._with(self.statement.having(*(_criterion(each) for each in criteria)))

    def join(self, target: Any, onclause: Any = None, *, isouter: bool = False, full: bool = False) -> Self:
        """Join a relationship, a model or a table."""
        return self._with(self.statement.join(target, onclause, isouter=isouter, full=full))

    def outerjoin(self, target: Any, onclause: Any = None, *, full: bool = False) -> Self:
        """Join as `join` does, but keep rows without a match."""
        return self._with(self.statement.outerjoin(target, onclause, full=full))

    def options(self, *options: Any) -> Self:
        """Add loader options, such as `selectinload(User.posts)`."""
        return self._with(self.statement.options(*options))

    def distinct(self, *columns: Any) -> Self:
        """Remove duplicate rows."""
        return self._with(self.statement.distinct(*columns))

    def limit(self, count: int | None) -> Self:
        """Return at most *count* rows; None for all."""
        return self._with(self.statement.limit(count))

    def offset(self, count: int | None) -> Self:
        """Skip the first *count* rows."""
        return self._with(self.statement.offset(count))

    def slice(self, start: int, stop: int) -> Self:
        """Return the rows from *start* up to, but not including, *stop*; also written `query[start:stop]`."""
        return self._with(self.statement.slice(start, stop))

    def select_from(self, *froms: Any) -> Self:
        """Set the FROM clause if the columns do not imply it: `query(func.count()).select_from(User)`."""
        return self._with(self.statement.select_from(*froms))

    def with_for_update(self, **options: Any) -> Self:
        """Lock the rows until the transaction ends; this query and later reads go to the master."""
        return self._with(self.statement.with_for_update(**options))

    def execution_options(self, **options: Any) -> Self:
        """Set options such as `role='slave'`, `role='master'` or `populate_existing=True`."""
        return self._with(self.statement.execution_options(**options))

    def using_master(self) -> Self:
        """Run the query on the master, regardless of the session's routing."""
        return self.execution_options(role="master")

    def all(self) -> "AllRows[T]":
        """Return all rows when awaited: `await query.all()` returns a list, as `await query` does."""
        return AllRows(self, self._list)

    def with_entities(self, *entities: Any) -> "Query[Any]":
        """Select these columns or models instead, from the same rows."""
        chosen: Any = self.statement.with_only_columns(*entities, maintain_column_froms=True)
        return Query(entities, self._session, chosen)

    def add_columns(self, *columns: Any) -> "Query[Any]":
        """Select these columns in addition; each row is then a tuple."""
        return Query((*self._entities, *columns), self._session, self.statement.add_columns(*columns))

    def from_statement(self, statement: object) -> Self:
        """Return the rows of another statement, such as `text("SELECT ...")`; it cannot be refined further."""
        return self._with(self.statement.from_statement(statement))  # type: ignore[arg-type]  # it runs like a SELECT

    def params(self, **values: Any) -> Self:
        """Set the values of the query's bound parameters, such as those of `text()`."""
        return self._with(self.statement.params(values))

    def yield_per(self, count: int) -> Self:
        """Let `async for` fetch *count* rows per batch; default, 500."""
        return self.execution_options(stream_rows=count)

    def union(self, *queries: "Query[Any]") -> "Query[Any]":
        """Return the rows of this query and of *queries* without duplicates; the result can be filtered and sorted."""
        return self._unite(union, queries)

    def union_all(self, *queries: "Query[Any]") -> "Query[Any]":
        """Return the rows of this query and of *queries*, with duplicate rows; an object is returned only once."""
        return self._unite(union_all, queries)

    def subquery(self, name: str | None = None) -> Any:
        """Return the query as a subquery to join or select from: `sub.c.id`."""
        return self.statement.subquery(name)

    def __clause_element__(self) -> Any:
        """Return the SELECT for use in an expression: `User.id.in_(Post.Q.with_entities(Post.author_id))`."""
        return self.statement

    # -------------------------------------------------------------- execution

    def __await__(self) -> Generator[object, None, list[T]]:
        return self._list().__await__()

    async def first(self) -> T | None:
        """Return the first row, None if there is none."""
        rows = await self.limit(1)._list()
        return rows[0] if rows else None

    async def one(self) -> T:
        """Return the only row.

        Raises:
            sqlalchemy.exc.NoResultFound: There is none.
            sqlalchemy.exc.MultipleResultsFound: There are several.
        """
        row = await self.one_or_none()
        if row is None:
            raise sa_exc.NoResultFound("No row was found when one was required.")
        return row

    async def one_or_none(self) -> T | None:
        """Return the only row, None if there is none.

        Raises:
            sqlalchemy.exc.MultipleResultsFound: There are several.
        """
        rows = await self._list()
        if len(rows) > 1:
            raise sa_exc.MultipleResultsFound("Multiple rows were found when one or none was required.")
        return rows[0] if rows else None

    async def get(self, ident: object) -> T | None:
        """Return the object with this primary key, or None; a composite key is a tuple or dict.

        An object already loaded in the session is returned without a query.
        """
        self._refuse_parts("get", self.statement.whereclause is not None, "a filter; use `filter(...).first()`")
        found = await self._session().get(
            self._model("get"),
            ident,
            options=options_of(self.statement),
            execution_options=self.statement.get_execution_options(),
        )
        return cast("T | None", found)

    async def scalar(self) -> Any:
        """Return the first column of the first row, None if there is none."""
        return await self._session().scalar(self.statement)

    async def count(self) -> int:
        """Return the number of rows."""
        return await count_of(self._session(), self.statement)

    def exists(self) -> "Existence":
        """Return whether there is any row, if awaited; otherwise SQL's EXISTS for use in a filter."""
        return Existence(self, self._exists)

    async def _exists(self) -> bool:
        statement = select(self.statement.exists())
        return bool(await self._session().scalar(self._copy_options(statement)))

    async def __aiter__(self) -> AsyncIterator[T]:
        count = self.statement.get_execution_options().get("stream_rows", STREAM_ROWS)
        statement = self.statement.execution_options(yield_per=count)
        result = await self._session().stream(statement)
        try:
            rows: Any = result.scalars() if self._is_single_entity else result
            async for row in rows:
                yield row
        finally:
            await result.close()

    async def update(self, values: Mapping[Any, Any], synchronize_session: object = "auto") -> int:
        """Update every row of the query; return the number of rows.

        Args:
            values: By attribute name or attribute; values may be expressions, such as `User.visits + 1`.
            synchronize_session: How loaded objects are updated: 'auto', 'evaluate', 'fetch' or False.
        """
        statement = update(self._model("update")).values({_column_key(key): each for key, each in values.items()})
        return await self._change("update", statement, synchronize_session)

    async def delete(self, synchronize_session: object = "auto") -> int:
        """Delete every row of the query; return the number of rows."""
        return await self._change("delete", delete(self._model("delete")), synchronize_session)

    async def paginate(self, page: object = 1, per_page: int = 20, default: object = None) -> Any:
        """Return one page of the rows, with the total, using two statements.

        Args:
            page: The page number, from 1; a value that is not a number counts as 1.
            per_page: Rows per page, at least 1.
            default: Returned instead of a page beyond the last one; the first page always exists.
        """
        return await page_of(self, page, per_page, default)

    async def paginate_after(self, after: str | None = None, per_page: int = 20) -> KeysetPage[T]:
        """Return the rows after a cursor, equally fast for every page; without a total.

        The query must be ordered by columns of the model; its primary key is added to make the order unique.

        Args:
            after: `next_cursor` of the previous page, None for the first page.

        Raises:
            InvalidCursor: The cursor is not one of this query; if uncaught, the request is answered 400.
        """
        return await keyset_page(self, self._model("paginate_after"), self._dialect, after, per_page)

    # -------------------------------------------------------------- errors for operations that need an await

    def __iter__(self) -> NoReturn:
        raise TypeError("A query must be awaited: `for row in await query`, or `async for row in query`.")

    def __len__(self) -> NoReturn:
        raise TypeError("A query has no length before it runs: `await query.count()`.")

    def __bool__(self) -> NoReturn:
        raise TypeError("A query is neither true nor false before it runs: `await query.exists()`.")

    def __getitem__(self, item: "int | _Slice") -> Self:
        if isinstance(item, slice) and item.step is None and (item.start or 0) >= 0:
            start = item.start or 0
            return self.offset(start) if item.stop is None else self.slice(start, item.stop)
        raise TypeError(
            f"query[{item!r}]: a query takes slices from 0 up, such as `await query[0:10]`, and no index. "
            "One row: `await query.offset(3).first()`; of a list: `(await query.all())[3]`."
        )

    # -------------------------------------------------------------- private

    @property
    def _is_single_entity(self) -> bool:
        return len(self._entities) == 1 and isinstance(inspect(self._entities[0], raiseerr=False), Mapper)

    def _unite(self, unite: Callable[..., Any], queries: "tuple[Query[Any], ...]") -> "Query[Any]":
        parts = (self, *queries)
        if self._is_single_entity and all(part._is_single_entity for part in parts):
            model = self._entities[0]
            keys = inspect(model).primary_key
            chosen = unite(*(_part(part.statement.with_only_columns(*keys)) for part in parts)).subquery()
            key, among = (keys[0], select(chosen)) if len(keys) == 1 else (tuple_(*keys), select(*chosen.c))
            united: Query[Any] = Query((model,), self._session)
            return united.filter(key.in_(among))
        columns = tuple(unite(*(_part(part.statement) for part in parts)).subquery().c)
        return Query(columns, self._session)

    def _with(self, statement: Select[Any]) -> Self:
        return type(self)(self._entities, self._session, statement)

    async def _list(self) -> list[T]:
        result = await self._session().execute(self.statement)
        if self._is_single_entity:
            return list(result.scalars().unique().all())
        return cast("list[T]", list(result.all()))

    async def _change(self, verb: str, statement: Any, synchronize_session: Any) -> int:
        chosen = self.statement
        parts = parts_of(chosen)
        for name in ("limit", "offset", "order_by", "group_by", "join", "distinct"):
            self._refuse_parts(verb, name in parts, f"{name}(); filter by the primary keys of a query that has it")
        if chosen.whereclause is not None:
            statement = statement.where(chosen.whereclause)
        statement = self._copy_options(statement).execution_options(synchronize_session=synchronize_session)
        result = cast("CursorResult[Any]", await self._session().execute(statement))
        return result.rowcount

    def _dialect(self) -> Dialect:
        session = cast(RoutedSession, self._session().sync_session)
        return session.cluster.master.sync_engine.dialect

    def _model(self, verb: str) -> Any:
        if not self._is_single_entity:
            raise ArgumentError(f"{verb}() works on a query of one model, such as `User.Q`; this is {self!r}.")
        return self._entities[0]

    def _refuse_parts(self, verb: str, is_there: bool, what: str) -> None:
        if is_there:
            raise ArgumentError(f"{verb}() cannot honour {what}.")

    def _copy_options(self, statement: Any) -> Any:
        options = self.statement.get_execution_options()
        return statement.execution_options(**options) if options else statement


class Existence(Operation[bool]):
    """The result of `Query.exists()`: awaited, whether there is a row; otherwise an expression for a filter."""

    _mend = "Write `await query.exists()`."

    def __init__(self, query: Query[Any], ask: Callable[[], Coroutine[object, None, bool]]) -> None:
        super().__init__(ask, "Query.exists")
        self._query = query

    def __clause_element__(self) -> Any:
        self._leave()
        return self._query.statement.exists()

    def __invert__(self) -> Any:
        return ~self.__clause_element__()

    def __and__(self, other: object) -> Any:
        return self.__clause_element__() & other

    def __or__(self, other: object) -> Any:
        return self.__clause_element__() | other


class AllRows(Operation[list[T]]):
    """The result of `Query.all()`: awaited, all rows; `async for` streams them.

    Other methods are delegated to the query, so that `query.all().paginate(...)` is `query.paginate(...)`.
    """

    _mend = "Write `for row in await query.all()`, or `async for row in query`."

    def __init__(self, query: Query[T], ask: Callable[[], Coroutine[object, None, list[T]]]) -> None:
        super().__init__(ask, "Query.all")
        self._query = query

    def __aiter__(self) -> AsyncIterator[T]:
        self._leave()
        return self._query.__aiter__()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._query, name)
        self._leave()
        return found

    def __repr__(self) -> str:
        return f"{self._query!r}; await it"


def _part(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return *statement* as a part of a union; LIMIT and ORDER BY go into a subquery, as SQLite requires."""
    is_bare = parts_of(statement).isdisjoint({"limit", "offset", "order_by"})
    return statement if is_bare else select(statement.subquery())


def _criterion(given: object) -> Any:
    if isinstance(given, str):
        raise ArgumentError(
            f"filter({given!r}): raw text is not taken for SQL. Write an expression, such as `User.name == 'jack'`, "
            "or say that it is meant: `filter(text('name = :name').bindparams(name='jack'))`."
        )
    if isinstance(given, bool):
        raise ArgumentError(f"filter({given!r}): the comparison was made in Python; compare with a model's column.")
    return given


def _column_key(key: object) -> Any:
    return key if isinstance(key, str) else getattr(key, "key", key)
