"""SQLAlchemy's dialect for SQLite, which leaves nothing open when a task is cancelled while it connects: aiosqlite."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.util.concurrency import await_

from torngas_aio._cleanup import close_safely

__all__ = ["AiosqliteDialect", "closed_on_error"]


@contextmanager
def closed_on_error(connection: Any) -> Generator[None]:
    """Close *connection*, which no pool knows yet, where the block is cancelled or raises."""
    try:
        yield
    except BaseException:
        await_(close_safely("a connection to SQLite", connection.driver_connection.close))
        raise


class AiosqliteDialect(SQLiteDialect_aiosqlite):
    """aiosqlite's dialect; what is to be done with a new connection is done before anybody has it."""

    supports_statement_cache = True

    def on_connect(self) -> None:  # type: ignore[override]  # it is done by `connect`
        """Leave nothing to the pool's listeners: what they raise leaves the connection open."""

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        from torngas_aio._compat.aiosqlite import connect  # here: only where aiosqlite is installed

        connection = super().connect(*args, **{"async_creator_fn": connect, **kwargs})
        with closed_on_error(connection):
            super().on_connect()(connection)
        return connection
