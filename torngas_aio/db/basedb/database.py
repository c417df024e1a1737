"""The database interface for handlers: awaitable statements on pooled connections.

db = database("postgres://user:pw@host/shop")         or database(dbn="sqlite", db="shop.db")
posts = await db.select("posts", where="author = $name", vars={"name": name}, order="id DESC", limit=10)

statement ─┬─ in a transaction of this task: on its connection
           └─ else: on a connection of this loop's pool, committed automatically
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, overload
from weakref import WeakKeyDictionary

from torngas_aio._cleanup import close_safely, close_with_loop
from torngas_aio._node import share_of
from torngas_aio.db import told_statement
from torngas_aio.db._connections import only_reads
from torngas_aio.db.basedb.drivers import Driver, Result
from torngas_aio.db.basedb.pool import Pool
from torngas_aio.db.basedb.rows import Rows, Statement
from torngas_aio.db.basedb.sql import SQLParam, SQLQuery, reparam
from torngas_aio.db.basedb.statements import Tables, columns_of, merged
from torngas_aio.db.basedb.transaction import Transaction, is_broken, run_within
from torngas_aio.exception import ConfigError, DatabaseUnavailable
from torngas_aio.storage import Storage

__all__ = ["Database"]

logger = logging.getLogger("torngas_aio.db")

POOL_SIZE = 10
STATEMENT_SECONDS = 30.0
WAIT_SECONDS = 5.0

_RETURNS_ROWS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(SELECT|WITH|VALUES|SHOW|EXPLAIN|TABLE|PRAGMA|DESC|DESCRIBE|CALL|FETCH)\b",
    re.IGNORECASE | re.DOTALL,
)
_RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)

_Variables = Mapping[str, Any] | None
_Columns = Mapping[str, Any] | None


class Database:
    """One database. Each event loop that uses it has its own pool, closed when the loop's application shuts down.

    Statements raise the errors of the driver's library; `IntegrityError` is its error for violated constraints.

    Attributes:
        printing: Whether every statement is logged at level INFO.

    Raises:
        PoolExhausted: From any statement: no connection became free within `pool_timeout`.
        DatabaseUnavailable: From any statement: the server is unreachable, or did not answer within `timeout`.
    """

    def __init__(  # noqa: PLR0917  # the pool's settings, given by name
        self,
        driver: Driver,
        pool_size: int = POOL_SIZE,
        pool_timeout: float = WAIT_SECONDS,
        pool_recycle: float = 0,
        timeout: float = STATEMENT_SECONDS,
        pooling: bool = True,
        node_connections: int | None = None,
    ) -> None:
        self._is_per_node = node_connections is not None
        name, wanted = ("node_connections", node_connections) if self._is_per_node else ("pool_size", pool_size)
        size = int(_number(name, wanted))
        if size < 1:
            raise ConfigError(f"{name}={wanted!r}: at least one connection is needed.", code="TGA503")
        self._driver = driver
        self._dialect = driver.dialect
        self._pool_size = min(size, driver.max_size or size)
        self._pool_timeout = _number("pool_timeout", pool_timeout)
        self._pool_recycle = _number("pool_recycle", pool_recycle)
        self._timeout = _number("timeout", timeout)
        # Without a pool each statement opens a connection; an in-memory database lives in its one connection.
        self._keeps_idle = str(pooling).lower() not in {"false", "0", "off", "no"} or driver.max_size is not None
        self.printing = False
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()
        self._current: ContextVar[Transaction | None] = ContextVar("torngas_aio_transaction", default=None)

    def __repr__(self) -> str:
        return f"<Database {self._driver.address}>"

    @property
    def IntegrityError(self) -> tuple[type[Exception], ...]:  # noqa: N802  # used after `except`, as a class is
        """The exceptions for a violated constraint: `except db.IntegrityError`."""
        return self._driver.integrity_errors

    @property
    def pool(self) -> Pool:
        """The running loop's pool, created on first use."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            size = share_of(self._pool_size) if self._is_per_node else self._pool_size
            pool = Pool(self._driver, size, self._pool_timeout, self._pool_recycle, self._keeps_idle)
            self._pools[loop] = pool
            close_with_loop(self, self.aclose)
        return pool

    async def aclose(self) -> None:
        """Close the running loop's pool; harmless if there is none. The next statement opens a new one."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    def transaction(self) -> Transaction:
        """Return a transaction for `async with`; inside another transaction of this task, a savepoint."""
        return Transaction(self.pool, self._timeout, self._current)

    @overload
    def query(
        self, sql_query: object, vars: _Variables = ..., processed: bool = ..., *, _test: Literal[True]
    ) -> SQLQuery: ...
    @overload
    def query(
        self, sql_query: object, vars: _Variables = ..., processed: bool = ..., _test: Literal[False] = ...
    ) -> Statement: ...
    def query(
        self,
        sql_query: object,
        vars: _Variables = None,  # noqa: A002  # web.py's name
        processed: bool = False,
        _test: bool = False,
    ) -> Statement | SQLQuery:
        """Run SQL text with each `$name` bound to its value in *vars*; awaiting it returns `Rows` or a row count.

        Args:
            processed: The text contains no `$name`; every `$` is literal.
            _test: Return the statement instead of running it.
        """
        return self._statement(SQLQuery(sql_query) if processed else reparam(sql_query, vars), _test)

    @overload
    def select(
        self,
        tables: Tables,
        vars: _Variables = ...,
        what: object = ...,
        where: object = ...,
        order: object = ...,
        group: object = ...,
        limit: int | None = ...,
        offset: int | None = ...,
        *,
        filters: _Columns = ...,
        _test: Literal[True],
    ) -> SQLQuery: ...
    @overload
    def select(
        self,
        tables: Tables,
        vars: _Variables = ...,
        what: object = ...,
        where: object = ...,
        order: object = ...,
        group: object = ...,
        limit: int | None = ...,
        offset: int | None = ...,
        _test: Literal[False] = ...,
        *,
        filters: _Columns = ...,
    ) -> Statement: ...
    def select(  # noqa: PLR0917  # web.py's signature
        self,
        tables: Tables,
        vars: _Variables = None,  # noqa: A002  # web.py's name
        what: object = "*",
        where: object = None,
        order: object = None,
        group: object = None,
        limit: int | None = None,
        offset: int | None = None,
        _test: bool = False,
        *,
        filters: _Columns = None,
    ) -> Statement | SQLQuery:
        """Select rows; awaiting it returns `Rows`, `async for` fetches them in batches.

        Args:
            tables: Names, with an optional alias; write a join as `SQLLiteral`.
            vars: Values of each `$name` in *what* and *where*.
            what: SQL text, or a list of columns.
            where: SQL text, a dict of columns and values, or an id.
            order: Columns, with ASC or DESC; write an expression as `SQLLiteral`.
            group: Columns; write an expression as `SQLLiteral`.
            filters: Columns and their required values, in addition to *where*; may come from a client.
        """
        where = self._dialect.condition(where, filters, vars)
        statement = self._dialect.select(
            tables, vars, what=what, where=where, order=order, group=group, limit=limit, offset=offset
        )
        return self._statement(statement, _test)

    def where(  # noqa: PLR0917  # web.py's signature
        self,
        table: Tables,
        what: object = "*",
        order: object = None,
        group: object = None,
        limit: int | None = None,
        offset: int | None = None,
        _test: bool = False,
        *,
        filters: _Columns = None,
        **kwargs: Any,
    ) -> Any:
        """Select the rows of *table* whose columns have the given values; without any values, all rows.

        Args:
            filters: Columns and their values; may come from a client: names are never options, values never SQL.
            kwargs: Further columns; unsafe with `**` and a client's data, which could name *what* or *order*.
        """
        select: Any = self.select  # its overloads go by a literal `_test`
        return select(table, None, what, kwargs or None, order, group, limit, offset, _test, filters=filters)

    def insert(
        self,
        tablename: object,
        seqname: str | Literal[False] | None = None,
        _test: bool = False,
        *,
        values: _Columns = None,
        **kwargs: object,
    ) -> Any:
        """Insert one row; awaiting it returns the generated id, or None if there is none.

        Args:
            seqname: PostgreSQL only: the sequence of the id; None: the column `id`; False: do not return an id.
            values: Columns and their values; may come from a client: names are never options, values never SQL.
            kwargs: Further columns, whose values may be `SQLLiteral`; unsafe with `**` and a client's data. Without
                any columns, the row gets all defaults.
        """
        statement = self._dialect.insert(tablename, [merged(values, kwargs)])
        return statement if _test else self._insert(statement, seqname)

    def multiple_insert(
        self,
        tablename: object,
        values: Sequence[Mapping[str, object]],
        seqname: str | Literal[False] | None = None,
        _test: bool = False,
    ) -> Any:
        """Insert rows with the same columns, all or none, in as few statements as the database allows.

        Awaiting it returns the generated ids in order; an empty list if there are none.
        """
        rows = [columns_of(row, "values", is_client=False) for row in values]
        if not rows:
            return SQLQuery() if _test else _nothing()
        if _test:
            return self._dialect.insert(tablename, rows)
        size = max(1, self._dialect.max_params // max(1, len(rows[0])))
        parts = [self._dialect.insert(tablename, rows[start : start + size]) for start in range(0, len(rows), size)]
        return self._insert_many(parts, rows, size, seqname)

    def update(
        self,
        tables: Tables,
        where: object = None,
        vars: _Variables = None,  # noqa: A002  # web.py's name
        _test: bool = False,
        *,
        values: _Columns = None,
        filters: _Columns = None,
        **kwargs: object,
    ) -> Any:
        """Update the rows that match *where* and *filters*; awaiting it returns the number of rows.

        Args:
            values: Columns and their new values; may come from a client: names are never options, values never SQL.
            filters: Columns and their required values; may come from a client likewise.
            kwargs: Further columns to set, whose values may be `SQLLiteral`; unsafe with `**` and a client's data.
        """
        where = self._dialect.condition(where, filters, vars)
        statement = self._dialect.update(tables, where, vars, merged(values, kwargs))
        return statement if _test else self._count(statement)

    def delete(
        self,
        table: object,
        where: object = None,
        using: object | None = None,
        vars: _Variables = None,  # noqa: A002  # web.py's name
        _test: bool = False,
        *,
        filters: _Columns = None,
    ) -> Any:
        """Delete the rows that match *where* and *filters*; awaiting it returns the number of rows.

        Args:
            filters: Columns and their required values; may come from a client.
        """
        statement = self._dialect.delete(table, self._dialect.condition(where, filters, vars), using, vars)
        return statement if _test else self._count(statement)

    def _statement(self, sql: SQLQuery, is_test: bool) -> Statement | SQLQuery:
        return sql if is_test else Statement(sql, self._fetch, self._stream)

    async def _fetch(self, sql: SQLQuery) -> Any:
        result = await self._run(sql)
        return result.count if result.rows is None else Rows(result.rows)

    async def _count(self, sql: SQLQuery) -> int:
        return (await self._run(sql)).count

    async def _stream(self, sql: SQLQuery) -> AsyncGenerator[Storage, None]:
        if self._current.get() is not None:
            for row in await self._fetch(sql):
                yield row
            return
        async with self.pool.lease() as connection:
            text, values = sql.query(self._dialect.paramstyle), sql.values()
            batches = self._driver.stream(connection, text, values)
            try:
                with told_statement(self._driver, text, values):
                    while (rows := await self._next_batch(batches)) is not None:
                        for row in rows:
                            yield row
            finally:
                await close_safely(self, batches.aclose)

    async def _next_batch(self, batches: AsyncGenerator[list[Storage], None]) -> list[Storage] | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await anext(batches, None)
        except TimeoutError as exc:
            raise DatabaseUnavailable(f"{self._driver.address}: no rows within {self._timeout:g} s.") from exc
        except Exception as exc:
            if self._driver.is_lost(exc):
                raise DatabaseUnavailable(
                    f"{self._driver.address}: the connection broke: {str(exc) or repr(exc)}"
                ) from exc
            raise

    async def _insert(self, sql: SQLQuery, seqname: str | Literal[False] | None) -> object:
        if self._dialect.name != "postgres" or seqname is False:
            last_id = (await self._run(sql)).last_id
            return None if seqname is False else last_id
        if seqname is None:
            rows = (await self._run(sql + " RETURNING *")).rows or []
            return rows[0].get("id") if rows else None
        async with self.transaction():  # currval is specific to the connection
            await self._run(sql)
            rows = (await self._run("SELECT currval(" + SQLParam(seqname) + "::regclass) AS id")).rows or []
        return rows[0]["id"]

    async def _insert_many(
        self, parts: list[SQLQuery], rows: list[dict[str, object]], size: int, seqname: str | Literal[False] | None
    ) -> list[object]:
        ids: list[object] = []
        async with self.transaction():
            for place, part in enumerate(parts):
                count = len(rows[place * size : (place + 1) * size])
                ids += await self._insert_part(part, count, seqname)
        return [row["id"] for row in rows] if "id" in rows[0] and seqname is not False else ids

    async def _insert_part(self, part: SQLQuery, count: int, seqname: str | Literal[False] | None) -> list[object]:
        if seqname is False:
            await self._run(part)
            return []
        if self._dialect.name == "postgres":
            found = (await self._run(part + " RETURNING *")).rows or []
            return [row["id"] for row in found if "id" in row]
        last = (await self._run(part)).last_id
        if last is None:
            return []
        if self._dialect.name == "mysql":  # its last_id is that of the first row
            transaction = self._current.get()
            assert transaction is not None
            step = await transaction.ids_step()
            return [last + number * step for number in range(count)]
        return list(range(last - count + 1, last + 1))

    async def _run(self, sql: SQLQuery) -> Result:
        text, values = sql.query(self._dialect.paramstyle), sql.values()
        if self.printing:
            logger.info("%s", sql)
        returns_rows = bool(_RETURNS_ROWS.match(text) or _RETURNING.search(text))
        transaction = self._current.get()
        if transaction is not None:
            return await transaction.run(text, values, returns_rows)
        try:
            return await self._run_once(text, values, returns_rows)
        except DatabaseUnavailable as exc:
            if not is_broken(exc) or not only_reads(text):  # only a SELECT without side effects is repeated
                raise
        await self.pool.drop_idle()
        return await self._run_once(text, values, returns_rows)

    async def _run_once(self, text: str, values: list[object], returns_rows: bool) -> Result:
        async with self.pool.lease() as connection:
            return await run_within(self.pool, self._timeout, connection, text, values, returns_rows)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"database({name}={value!r}): write a number.", code="TGA503") from None


async def _nothing() -> list[object]:
    return []
