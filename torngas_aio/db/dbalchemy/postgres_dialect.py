"""SQLAlchemy's asyncpg dialect for PostgreSQL, with deadlines and clear disconnect errors."""

# pyright: reportMissingTypeStubs=false

from collections.abc import Awaitable, Callable
from typing import Any, cast

from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_cursor,
    AsyncAdapt_asyncpg_dbapi,
    AsyncAdapt_asyncpg_ss_cursor,
    PGDialect_asyncpg,
)
from sqlalchemy.util.concurrency import await_

from torngas_aio._compat.sqlalchemy import call_and_discard, ping_asyncpg, raise_adapted
from torngas_aio.db._outage import postgres_takes_writes
from torngas_aio.db.dbalchemy.connection_guard import PING_SECONDS, Guard, GuardedModule, committing
from torngas_aio.db.dbalchemy.positions import Lsn, Position

__all__ = ["AsyncpgDialect"]

_ADAPTED = ("prepared_statement_cache_size", "prepared_statement_name_func")
_POSTGRES_POSITION = (
    "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text,"
    " pg_is_in_recovery()"
)


class _AsyncpgGuarded:
    """A cursor mixin that applies the deadline to each statement."""

    __slots__ = ()

    _adapt_connection: Any

    async def _prepare_and_execute(self, operation: object, parameters: object) -> Any:
        return await self._adapt_connection.bounded(super()._prepare_and_execute(operation, parameters), operation)  # type: ignore[misc]  # a mixin: SQLAlchemy's cursor stands behind it

    async def _executemany(self, operation: object, seq_of_parameters: object) -> object:
        return await self._adapt_connection.bounded(super()._executemany(operation, seq_of_parameters), operation)  # type: ignore[misc]  # as above


class _AsyncpgCursor(_AsyncpgGuarded, AsyncAdapt_asyncpg_cursor):
    __slots__ = ()


class _AsyncpgStream(_AsyncpgGuarded, AsyncAdapt_asyncpg_ss_cursor):
    """A server-side cursor: each fetch is a network operation."""

    __slots__ = ()

    async def _prepare_and_execute(self, operation: object, parameters: object) -> Any:
        if self._adapt_connection.autocommit and self._adapt_connection._transaction is None:  # as a slave's
            await self._adapt_connection.begin_reading()  # a cursor needs a transaction
        await super()._prepare_and_execute(operation, parameters)
        cursor: Any = _BoundedFetches(self._adapt_connection, self._cursor)
        self._cursor = cursor


class _BoundedFetches:
    """asyncpg's cursor with the connection's deadline per fetch, and with errors of SQLAlchemy's driver."""

    def __init__(self, connection: Guard, cursor: Any) -> None:
        self._connection = connection
        self._cursor = cursor

    async def fetch(self, count: int) -> Any:
        """Return the next rows, at most *count*."""
        try:
            return await self._connection.bounded(self._cursor.fetch(count))
        except Exception as error:  # noqa: BLE001  # raised again, as an error of SQLAlchemy's driver
            raise_adapted(self._connection, error)


class _AsyncpgConnection(Guard, AsyncAdapt_asyncpg_connection):
    __slots__ = ()

    _cursor_cls = _AsyncpgCursor
    _ss_cursor_cls = _AsyncpgStream

    async def begin_reading(self) -> None:
        """Begin a transaction, which ends when the connection returns to its pool.

        See `AsyncpgDialect.detect_autocommit_setting`.
        """
        transaction = self._connection.transaction(readonly=True)
        try:
            await self.bounded(transaction.start())
        except Exception as error:  # noqa: BLE001  # raised again, as an error of SQLAlchemy's driver
            raise_adapted(self, error)
        self._transaction = transaction

    def commit(self) -> None:
        if self._transaction is not None:
            with committing():
                self._settle(self._transaction.commit)
            self.note_commit()

    def rollback(self) -> None:
        if self._transaction is not None:
            self._settle(self._transaction.rollback)

    def _settle(self, end: Callable[[], Awaitable[object]]) -> None:
        try:
            await_(self.bounded(call_and_discard(self, end)))
        except Exception as error:  # noqa: BLE001  # raised again, as an error of SQLAlchemy's driver
            raise_adapted(self, error)

    def is_lost(self) -> bool:
        return bool(self._connection.is_closed())

    def takes_writes(self) -> bool:
        return await_(self.bounded(postgres_takes_writes(self._connection)))

    def position(self) -> tuple[Position | None, bool]:
        place, is_replica = await_(self.bounded(self._connection.fetchrow(_POSTGRES_POSITION)))
        return Lsn(place), is_replica

    def committed_position(self) -> Position | None:
        return Lsn(await_(self.bounded(self._connection.fetchval("SELECT pg_current_wal_insert_lsn()::text"))))

    def ping(self) -> None:
        """Ping the server; it has `PING_SECONDS` to answer."""
        try:
            await_(self.bounded(ping_asyncpg(self), seconds=PING_SECONDS))
        except Exception as error:  # noqa: BLE001  # raised again, as an error of SQLAlchemy's driver
            raise_adapted(self, error)

    def _terminate_force_close(self) -> None:
        self._connection.terminate()
        self._transaction = None

    def _lost(self, why: str) -> Exception:
        error: Exception = self.dbapi.InterfaceError(f"connection is closed: {why}")
        return error


class _AsyncpgModule(GuardedModule, AsyncAdapt_asyncpg_dbapi):
    def connect(self, *args: object, **kwargs: Any) -> _AsyncpgConnection:
        creator = kwargs.pop("async_creator_fn", cast(Any, self).asyncpg.connect)
        adapted = {name: kwargs.pop(name) for name in _ADAPTED if name in kwargs}
        return await_(_AsyncpgConnection.create(self, self.watched(creator(*args, **kwargs)), **adapted))


class AsyncpgDialect(PGDialect_asyncpg):
    """PostgreSQL through asyncpg."""

    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the adapted driver; one for each engine."""
        import asyncpg

        return _AsyncpgModule(asyncpg)  # type: ignore[no-untyped-call]  # SQLAlchemy's is untyped

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Return whether the pool may skip the rollback; a stream in AUTOCOMMIT has begun a transaction."""
        return dbapi_conn._transaction is None and bool(super().detect_autocommit_setting(dbapi_conn))
