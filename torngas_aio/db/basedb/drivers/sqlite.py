"""SQLite through aiosqlite: one thread per connection."""

import datetime as dt
import decimal
import sqlite3
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import aiosqlite

from torngas_aio._compat.aiosqlite import connect
from torngas_aio.db.basedb.drivers.base import BATCH_ROWS, Driver, Result, rows_of
from torngas_aio.db.basedb.statements import SQLITE
from torngas_aio.storage import Storage

__all__ = ["SQLiteDriver"]


class SQLiteDriver(Driver):
    """A database file, or an in-memory database, which has one connection and exists as long as it.

    Foreign keys are enforced. A transaction takes the write lock when it begins; otherwise two transactions that read
    first and write later would make each other fail. Dates and times are stored as ISO text. `Decimal` and `UUID` are
    sent as text, which a NUMERIC column converts to a float.

    Args:
        db: The file's path; `:memory:` for an in-memory database.
        busy_timeout: Seconds to wait for another connection's write lock.
        uri: Whether `db` is an SQLite URI (`file:…?mode=ro`).
    """

    dialect = SQLITE
    is_remote = False
    begin = "BEGIN IMMEDIATE"

    def __init__(self, db: str = ":memory:", busy_timeout: float = 5.0, uri: bool = False) -> None:
        self._path = db or ":memory:"
        self._uri = uri
        self._busy_timeout = busy_timeout
        self._is_memory = ":memory:" in self._path or "mode=memory" in self._path
        self.max_size = 1 if self._is_memory else None

    @property
    def address(self) -> str:
        return f"sqlite:///{self._path}"

    @property
    def integrity_errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.IntegrityError,)

    @property
    def statement_errors(self) -> tuple[type[Exception], ...]:
        return (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError)

    async def connect(self) -> Any:
        return await connect(
            self._path,
            "PRAGMA foreign_keys = ON",
            timeout=self._busy_timeout,
            isolation_level=None,
            uri=self._uri,
            check_same_thread=False,
        )

    async def execute(
        self, connection: aiosqlite.Connection, sql: str, values: Sequence[object], returns_rows: bool
    ) -> Result:
        cursor: Any = await connection.execute(sql, [_adapt(value) for value in values])
        try:
            rows = None if cursor.description is None else rows_of(cursor, await cursor.fetchall())
            return Result(rows, cursor.rowcount, cursor.lastrowid)
        finally:
            await cursor.close()

    async def stream(
        self, connection: aiosqlite.Connection, sql: str, values: Sequence[object]
    ) -> AsyncGenerator[list[Storage], None]:
        cursor = await connection.execute(sql, [_adapt(value) for value in values])
        try:
            while rows := await cursor.fetchmany(BATCH_ROWS):
                yield rows_of(cursor, rows)
        finally:
            await cursor.close()

    async def ping(self, connection: aiosqlite.Connection) -> None:
        """Do nothing: an open file stays available."""

    async def close(self, connection: aiosqlite.Connection) -> None:
        await connection.close()

    async def abandon(self, connection: aiosqlite.Connection) -> bool:
        # An interrupt stops only the running statement; calls queued in the thread finish before the rollback begins.
        # While a statement is open, the interrupt stays set and stops the rollback as well, so it is repeated.
        for _ in range(2):
            with suppress(ValueError, sqlite3.Error):
                await connection.interrupt()
                await connection.rollback()
                break
        if self._is_memory:  # closing it would lose everything
            return True
        await connection.close()
        return False

    def is_lost(self, error: BaseException) -> bool:
        return isinstance(error, ValueError) and "onnection" in str(error)


def _adapt(value: object) -> object:
    # sqlite3's own adapters for these are deprecated since Python 3.12
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, (decimal.Decimal, uuid.UUID)) else value
