"""SQLAlchemy's aiomysql and asyncmy dialects for MySQL and MariaDB, with deadlines and clear disconnect errors."""

# pyright: reportMissingTypeStubs=false

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, cast

from sqlalchemy.dialects.mysql.aiomysql import (
    AsyncAdapt_aiomysql_connection,
    AsyncAdapt_aiomysql_cursor,
    AsyncAdapt_aiomysql_dbapi,
    AsyncAdapt_aiomysql_ss_cursor,
    MySQLDialect_aiomysql,
)
from sqlalchemy.dialects.mysql.asyncmy import (
    AsyncAdapt_asyncmy_connection,
    AsyncAdapt_asyncmy_cursor,
    AsyncAdapt_asyncmy_dbapi,
    AsyncAdapt_asyncmy_ss_cursor,
    MySQLDialect_asyncmy,
)
from sqlalchemy.util.concurrency import await_

from torngas_aio._compat.drivers import is_broken
from torngas_aio.db._outage import MYSQL_QUESTION, mysql_takes_writes
from torngas_aio.db.dbalchemy.connection_guard import PING_SECONDS, Guard, GuardedModule, committing
from torngas_aio.db.dbalchemy.positions import Gtids, GtidSet, Position

__all__ = ["AiomysqlDialect", "AsyncmyDialect"]

_SHUTTING_DOWN = 1053  # MySQL's ER_SERVER_SHUTDOWN


class _MySQLGuard(Guard):
    """A guarded connection that skips rollbacks if there is nothing to roll back.

    Attributes:
        is_clean: No statement was sent since the last commit or rollback. SQLAlchemy rolls back each connection that
            returns to its pool, which after a commit is a wasted round trip (benchmarks/db.py, insert).
        is_shared: The driver's own connection was given to the application, whose use of it is not visible here.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.is_clean = False
        self.is_shared = False
        self._is_mariadb: bool | None = None

    def ping(self, reconnect: bool = False) -> None:
        """Ping the server; it has `PING_SECONDS` to answer."""
        await_(self.bounded(self._connection.ping(reconnect=False), seconds=PING_SECONDS))

    def takes_writes(self) -> bool:
        return mysql_takes_writes(self._row_of(MYSQL_QUESTION))

    def position(self) -> tuple[Position | None, bool]:
        if self.is_mariadb:
            place, applied = self._row_of("SELECT @@global.gtid_current_pos, @@global.gtid_slave_pos")
            return (Gtids(place) if place else None), bool(applied)
        place = self._row_of("SELECT @@global.gtid_executed")[0]
        return (GtidSet(place) if place else None), True

    def committed_position(self) -> Position | None:
        place = self._row_of("SELECT @@last_gtid" if self.is_mariadb else "SELECT @@global.gtid_executed")[0]
        return (Gtids if self.is_mariadb else GtidSet)(place) if place else None

    @property
    def is_mariadb(self) -> bool:
        """Whether the server is MariaDB rather than MySQL; queried once."""
        if self._is_mariadb is None:
            self._is_mariadb = "mariadb" in str(self._row_of("SELECT VERSION()")[0]).lower()
        return self._is_mariadb

    def _row_of(self, question: str) -> Any:
        cursor = cast(Any, self).cursor()  # a mixin of SQLAlchemy's connection
        cursor.execute(question)
        return cursor.fetchone()

    def autocommit(self, value: object) -> None:
        await_(self.bounded(self._connection.autocommit(value)))

    def commit(self) -> None:
        with committing():
            await_(self.bounded(self._connection.commit()))
        self.note_commit()
        self.is_clean = not self.is_shared

    def rollback(self) -> None:
        if not self.is_clean:
            await_(self.bounded(self._connection.rollback()))
            self.is_clean = not self.is_shared

    def _terminate_handled_exceptions(self) -> tuple[type[BaseException], ...]:
        return (TimeoutError, asyncio.CancelledError, OSError, RuntimeError, AttributeError, self.dbapi.Error)

    def _terminate_force_close(self) -> None:
        self._connection.close()


class _MySQLDialect:
    """A mixin with the additions of both MySQL dialects to SQLAlchemy's."""

    def get_driver_connection(self, connection: Any) -> Any:
        """Return the driver's own connection, and record that the application has it."""
        connection.is_clean, connection.is_shared = False, True
        return connection._connection

    def is_disconnect(self, e: Any, connection: object, cursor: object) -> bool:
        """Return whether *e* means that the connection is lost."""
        is_gone = bool(cast(Any, super()).is_disconnect(e, connection, cursor))  # a mixin: the dialect's
        return is_gone or e.args[:1] == (_SHUTTING_DOWN,)


class _GuardedCursor:
    """A cursor mixin that applies the deadline to each statement and fetch."""

    __slots__ = ()

    _adapt_connection: Any
    _cursor: Any

    async def _execute_async(self, operation: object, parameters: object) -> object:
        self._adapt_connection.is_clean = False
        return await self._adapt_connection.bounded(super()._execute_async(operation, parameters), operation)  # type: ignore[misc]  # a mixin: SQLAlchemy's cursor stands behind it

    async def _executemany_async(self, operation: object, seq_of_parameters: object) -> object:
        self._adapt_connection.is_clean = False
        return await self._adapt_connection.bounded(super()._executemany_async(operation, seq_of_parameters), operation)  # type: ignore[misc]  # as above


class _GuardedStream(_GuardedCursor):
    """A server-side cursor: each fetch is a network operation."""

    __slots__ = ()

    def fetchone(self) -> Any:
        return await_(self._adapt_connection.bounded(self._cursor.fetchone()))

    def fetchmany(self, size: int | None = None) -> Any:
        return await_(self._adapt_connection.bounded(self._cursor.fetchmany(size=size)))

    def fetchall(self) -> Sequence[Any]:
        rows: Sequence[Any] = await_(self._adapt_connection.bounded(self._cursor.fetchall()))
        return rows

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row


class _AiomysqlCursor(_GuardedCursor, AsyncAdapt_aiomysql_cursor):
    __slots__ = ()


class _AiomysqlStream(_GuardedStream, AsyncAdapt_aiomysql_ss_cursor):
    __slots__ = ()


class _AiomysqlConnection(_MySQLGuard, AsyncAdapt_aiomysql_connection):
    _cursor_cls = _AiomysqlCursor
    _ss_cursor_cls = _AiomysqlStream

    def is_lost(self) -> bool:
        from torngas_aio._compat.aiomysql import is_ended

        return is_ended(self._connection)

    @property
    def transport(self) -> object:
        from torngas_aio._compat.aiomysql import transport_of

        return transport_of(self._connection)


class _AiomysqlModule(GuardedModule, AsyncAdapt_aiomysql_dbapi):
    def connect(self, *args: object, **kwargs: Any) -> _AiomysqlConnection:
        from torngas_aio._compat.aiomysql import connect  # imported here because aiomysql is optional

        creator = kwargs.pop("async_creator_fn", connect)
        return await_(_AiomysqlConnection.create(self, self.greeted(creator(*args, **kwargs))))


class AiomysqlDialect(_MySQLDialect, MySQLDialect_aiomysql):
    """MySQL and MariaDB through aiomysql."""

    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the adapted driver; one for each engine."""
        import aiomysql
        import pymysql

        return _AiomysqlModule(aiomysql, pymysql)


class _AsyncmyCursor(_GuardedCursor, AsyncAdapt_asyncmy_cursor):
    __slots__ = ()


class _AsyncmyStream(_GuardedStream, AsyncAdapt_asyncmy_ss_cursor):
    __slots__ = ()


class _AsyncmyConnection(_MySQLGuard, AsyncAdapt_asyncmy_connection):
    _cursor_cls = _AsyncmyCursor
    _ss_cursor_cls = _AsyncmyStream

    def is_lost(self) -> bool:
        return not self._connection.connected or is_broken(self._connection)


class _AsyncmyModule(GuardedModule, AsyncAdapt_asyncmy_dbapi):
    def connect(self, *args: object, **kwargs: Any) -> _AsyncmyConnection:
        creator = kwargs.pop("async_creator_fn", self.asyncmy.connect)
        return await_(_AsyncmyConnection.create(self, self.greeted(creator(*args, **kwargs))))


class AsyncmyDialect(_MySQLDialect, MySQLDialect_asyncmy):
    """MySQL and MariaDB through asyncmy."""

    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the adapted driver; one for each engine."""
        import asyncmy

        return _AsyncmyModule(asyncmy)
