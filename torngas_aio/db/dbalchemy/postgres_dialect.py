"""SQLAlchemy's dialect for PostgreSQL, through asyncpg, with deadlines and clear disconnects."""

from typing import Any

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
    """Statements of one connection, each within the deadline."""

    __slots__ = ()

    _adapt_connection: Any

    async def _prepare_and_execute(self, operation: Any, parameters: Any) -> Any:
        return await self._adapt_connection.bounded(super()._prepare_and_execute(operation, parameters), operation)  # type: ignore[misc]  # a mixin: SQLAlchemy's cursor stands behind it

    async def _executemany(self, operation: Any, seq_of_parameters: Any) -> Any:
        return await self._adapt_connection.bounded(super()._executemany(operation, seq_of_parameters), operation)  # type: ignore[misc]  # as above


class _AsyncpgCursor(_AsyncpgGuarded, AsyncAdapt_asyncpg_cursor):
    __slots__ = ()


class _AsyncpgStream(_AsyncpgGuarded, AsyncAdapt_asyncpg_ss_cursor):
    """A server-side cursor: each fetch crosses the wire."""

    __slots__ = ()

    async def _prepare_and_execute(self, operation: Any, parameters: Any) -> Any:
        await super()._prepare_and_execute(operation, parameters)
        cursor: Any = _BoundedFetches(self._adapt_connection, self._cursor)
        self._cursor = cursor


class _BoundedFetches:
    """asyncpg's cursor, whose fetches have the connection's deadline."""

    def __init__(self, connection: Any, cursor: Any) -> None:
        self._connection = connection
        self._cursor = cursor

    async def fetch(self, count: int) -> Any:
        """Return the next rows, *count* at most."""
        return await self._connection.bounded(self._cursor.fetch(count))


class _AsyncpgConnection(Guard, AsyncAdapt_asyncpg_connection):
    __slots__ = ()

    _cursor_cls = _AsyncpgCursor
    _ss_cursor_cls = _AsyncpgStream

    def commit(self) -> None:
        if self._transaction is not None:
            with committing():
                self._settle(self._transaction.commit)
            self.note_commit()

    def rollback(self) -> None:
        if self._transaction is not None:
            self._settle(self._transaction.rollback)

    def _settle(self, end: Any) -> None:
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
        """Ask the server whether it is there; it has `PING_SECONDS` to answer."""
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
    def connect(self, *args: Any, **kwargs: Any) -> _AsyncpgConnection:
        creator = kwargs.pop("async_creator_fn", self.asyncpg.connect)
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
