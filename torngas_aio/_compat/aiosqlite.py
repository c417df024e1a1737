"""aiosqlite's connection, which is not left open when the task that opens it is cancelled.

Both database layers connect here.
"""

from functools import partial
from typing import Any

import aiosqlite

from torngas_aio._cleanup import await_to_the_end, close_safely
from torngas_aio._concurrency import run_in_thread

__all__ = ["connect"]


async def connect(database: str, *statements: str, **options: Any) -> aiosqlite.Connection:
    """Open *database* and run *statements* on it; cancelled, it leaves neither a connection nor a thread.

    Args:
        options: Of `sqlite3.connect`.
    """
    connection: Any = aiosqlite.connect(database, **options)
    connection._thread.daemon = True  # one that is never closed must not keep the process
    try:
        await await_to_the_end(_opened(connection))  # aiosqlite does not close what it opens after a cancellation
        for statement in statements:
            await connection.execute(statement)
    except BaseException:
        await close_safely(database, connection.close)
        # A connection that never opened ends its thread by itself; the loop must not be gone before it has.
        await close_safely(database, partial(run_in_thread, connection._thread.join))
        raise
    return connection  # type: ignore[no-any-return]


async def _opened(connection: aiosqlite.Connection) -> None:
    await connection
