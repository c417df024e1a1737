"""SQLAlchemy's aiosqlite dialect for SQLite; a task cancelled while connecting leaves no connection open."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.util.concurrency import await_

from torngas_aio._cleanup import close_safely

__all__ = ["AiosqliteDialect", "closed_on_error"]


@contextmanager
def closed_on_error(connection: Any) -> Generator[None]:
    """Close *connection*, which is not in a pool yet, if the block is cancelled or raises."""
    try:
        yield
    except BaseException:
        await_(close_safely("a connection to SQLite", connection.driver_connection.close))
        raise


class AiosqliteDialect(SQLiteDialect_aiosqlite):
    """aiosqlite's dialect, which initializes a new connection before it is returned."""

    supports_statement_cache = True

    def on_connect(self) -> None:  # type: ignore[override]  # `connect` does it
        """Return no listener for the pool, because an error in a listener leaves the connection open."""

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        from torngas_aio._compat.aiosqlite import connect  # imported here because aiosqlite is optional

        connection = super().connect(*args, **{"async_creator_fn": connect, **kwargs})
        with closed_on_error(connection):
            super().on_connect()(connection)
        return connection
