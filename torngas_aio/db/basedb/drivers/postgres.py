"""PostgreSQL through asyncpg."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from torngas_aio._compat.drivers import transport_of
from torngas_aio._masking import mask_url
from torngas_aio.db._connections import has_unread
from torngas_aio.db._outage import postgres_takes_writes
from torngas_aio.db.basedb.drivers.base import BATCH_ROWS, Driver, Result, known_options
from torngas_aio.db.basedb.statements import POSTGRES
from torngas_aio.storage import Storage

__all__ = ["PostgresDriver"]

ABANDON_SECONDS = 1.0
"""Seconds that a server may take to cancel a statement before its connection is terminated."""


class PostgresDriver(Driver):
    """A PostgreSQL server. Values must have the Python type of the column: 1 for an integer, not "1".

    Args:
        db: The database's name.
        connect_timeout: Timeout of connecting and authenticating, in seconds.
        options: Further arguments of `asyncpg.connect`.
    """

    dialect = POSTGRES

    def __init__(
        self,
        *,
        db: str,
        user: str | None = None,
        pw: str | None = None,
        host: str = "127.0.0.1",
        port: int = 5432,
        connect_timeout: float = 5.0,
        **options: object,
    ) -> None:
        self._options: dict[str, Any] = {
            **known_options(asyncpg.connect, options),
            "database": db,
            "user": user,
            "password": pw,
            "host": host,
            "port": int(port),
            "timeout": float(connect_timeout),
        }

    @property
    def address(self) -> str:
        options = self._options
        return mask_url(f"postgres://{options['user']}@{options['host']}:{options['port']}/{options['database']}")

    @property
    def integrity_errors(self) -> tuple[type[Exception], ...]:
        return (asyncpg.IntegrityConstraintViolationError,)

    @property
    def statement_errors(self) -> tuple[type[Exception], ...]:
        return (asyncpg.PostgresError, asyncpg.InterfaceError)

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(**self._options)

    async def execute(
        self, connection: asyncpg.Connection, sql: str, values: Sequence[object], returns_rows: bool
    ) -> Result:
        if returns_rows:
            rows = [Storage(row) for row in await connection.fetch(sql, *values)]
            return Result(rows, len(rows))
        status = await connection.execute(sql, *values)
        count = status.rpartition(" ")[2]  # such as "UPDATE 3"
        return Result(None, int(count) if count.isdigit() else -1)

    async def stream(
        self, connection: asyncpg.Connection, sql: str, values: Sequence[object]
    ) -> AsyncGenerator[list[Storage], None]:
        transaction = connection.transaction(readonly=True)  # a cursor needs a transaction
        await transaction.start()
        try:
            cursor = await connection.cursor(sql, *values)
            while rows := await cursor.fetch(BATCH_ROWS):
                yield [Storage(row) for row in rows]
        except asyncpg.PostgresError:
            await transaction.rollback()
            raise
        # Not `async with`: closing or cancelling the stream must not wait for an unresponsive server.
        await transaction.commit()

    async def ping(self, connection: asyncpg.Connection) -> None:
        await connection.execute("")

    async def takes_writes(self, connection: asyncpg.Connection) -> bool:
        return await postgres_takes_writes(connection)

    def is_doubtful(self, connection: asyncpg.Connection) -> bool:
        return connection.is_closed() or has_unread(transport_of(connection))

    async def close(self, connection: asyncpg.Connection) -> None:
        await connection.close()

    async def abandon(self, connection: asyncpg.Connection) -> bool:
        # asyncpg has sent a cancel request. Without waiting for it, the server might keep running and holding the
        # transaction's locks, since it notices a lost client only when it sends data.
        with suppress(Exception):
            await connection.close(timeout=ABANDON_SECONDS)  # terminates the connection on timeout
        return False

    def is_lost(self, error: BaseException) -> bool:
        lost = (
            asyncpg.PostgresConnectionError,
            asyncpg.ConnectionDoesNotExistError,
            asyncpg.CannotConnectNowError,
            asyncpg.TooManyConnectionsError,
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
            asyncpg.InternalClientError,  # "another operation …": the server's termination message is not read yet
            OSError,
        )
        if isinstance(error, asyncpg.InterfaceError):
            return "closed" in str(error)
        return isinstance(error, lost)
