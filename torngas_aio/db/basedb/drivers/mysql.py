"""MySQL and MariaDB through aiomysql."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiomysql
from pymysql import err
from pymysql.constants import CLIENT

from torngas_aio._compat.aiomysql import connect, is_ended, transport_of
from torngas_aio._masking import mask_url
from torngas_aio.db._connections import has_unread
from torngas_aio.db._outage import MYSQL_QUESTION, mysql_takes_writes
from torngas_aio.db.basedb.drivers.base import BATCH_ROWS, Driver, Result, known_options, rows_of
from torngas_aio.db.basedb.statements import MYSQL
from torngas_aio.storage import Storage

__all__ = ["MySQLDriver"]

logger = logging.getLogger("torngas_aio.db.basedb")

_DEADLOCK = 1213
_LOST = frozenset({0, 1040, 1053, 1152, 1927, 2002, 2003, 2006, 2013, 2014, 2027, 2055})


class _Logging:
    """A cursor that logs the server's warnings, such as a truncated value; aiomysql issues Python warnings instead."""

    async def _show_warnings(self, connection: Any) -> None:
        for level, code, message in await connection.show_warnings() or ():
            if level != "Note":
                logger.warning("MySQL %s %s: %s", level, code, message)


class _Cursor(_Logging, aiomysql.Cursor):  # type: ignore[misc]  # aiomysql is untyped
    pass


class _StreamCursor(_Logging, aiomysql.SSCursor):  # type: ignore[misc]  # aiomysql is untyped
    pass


class MySQLDriver(Driver):
    """A MySQL or MariaDB server.

    `update()` counts all matched rows, even unchanged ones, as the other databases do.

    Args:
        db: The database's name.
        connect_timeout: Timeout of connecting and authenticating, in seconds.
        options: Further arguments of `aiomysql.connect`.
    """

    dialect = MYSQL

    def __init__(
        self,
        *,
        db: str,
        user: str | None = None,
        pw: str = "",
        host: str = "127.0.0.1",
        port: int = 3306,
        unix_socket: str | None = None,
        charset: str = "utf8mb4",
        connect_timeout: float = 5.0,
        **options: Any,
    ) -> None:
        self._options: dict[str, object] = {
            **known_options(aiomysql.connect, options),
            "db": db,
            "user": user,
            "password": pw,
            "host": host,
            "port": int(port),
            "unix_socket": unix_socket,
            "charset": charset,
            "connect_timeout": float(connect_timeout),
            "autocommit": True,
            "local_infile": False,  # else a malicious server could request any local file
            "client_flag": CLIENT.FOUND_ROWS | options.get("client_flag", 0),
        }
        self._connect_seconds = float(connect_timeout)
        self._step: int | None = None

    @property
    def address(self) -> str:
        options = self._options
        place = options["unix_socket"] or f"{options['host']}:{options['port']}"
        return mask_url(f"mysql://{options['user']}@{place}/{options['db']}")

    @property
    def integrity_errors(self) -> tuple[type[Exception], ...]:
        return (err.IntegrityError,)

    @property
    def statement_errors(self) -> tuple[type[Exception], ...]:
        return (err.MySQLError, TypeError, UnicodeEncodeError)

    async def connect(self) -> aiomysql.Connection:
        async with asyncio.timeout(self._connect_seconds):  # aiomysql's own timeout covers only the TCP connection
            return await connect(**self._options)

    async def execute(
        self, connection: aiomysql.Connection, sql: str, values: Sequence[object], returns_rows: bool
    ) -> Result:
        cursor = await connection.cursor(_Cursor)
        try:
            await cursor.execute(sql, tuple(values))
            rows = None if cursor.description is None else rows_of(cursor, await cursor.fetchall())
            return Result(rows, cursor.rowcount, cursor.lastrowid or None)
        finally:
            await cursor.close()

    async def stream(
        self, connection: aiomysql.Connection, sql: str, values: Sequence[object]
    ) -> AsyncGenerator[list[Storage], None]:
        cursor = await connection.cursor(_StreamCursor)
        await cursor.execute(sql, tuple(values))
        while rows := await cursor.fetchmany(BATCH_ROWS):
            yield rows_of(cursor, rows)
        await cursor.close()  # only after the last row: close() would read all remaining rows

    async def ping(self, connection: aiomysql.Connection) -> None:
        await connection.ping(reconnect=False)

    async def takes_writes(self, connection: aiomysql.Connection) -> bool:
        result = await self.execute(connection, MYSQL_QUESTION, (), True)
        return mysql_takes_writes((result.rows or [])[0].values())

    def is_doubtful(self, connection: aiomysql.Connection) -> bool:
        return is_ended(connection) or has_unread(transport_of(connection))

    async def close(self, connection: aiomysql.Connection) -> None:
        await connection.ensure_closed()

    async def abandon(self, connection: aiomysql.Connection) -> bool:
        connection.close()
        return False

    def is_lost(self, error: BaseException) -> bool:
        if isinstance(error, (err.OperationalError, err.InternalError, err.InterfaceError)):
            return isinstance(error, err.InterfaceError) or not error.args or error.args[0] in _LOST
        # aiomysql on a closed transport: RuntimeError with uvloop, AttributeError after close()
        return isinstance(error, (OSError, EOFError, RuntimeError, AttributeError))

    def ends_transaction(self, error: BaseException) -> bool:
        return isinstance(error, err.OperationalError) and error.args[:1] == (_DEADLOCK,)

    async def first_ids_step(self, connection: aiomysql.Connection) -> int:
        if self._step is None:
            result = await self.execute(connection, "SELECT @@auto_increment_increment AS step", (), True)
            self._step = int((result.rows or [])[0]["step"])
        return self._step
