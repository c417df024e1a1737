"""aiosqlite's connection, closed if the task that opens it is cancelled.

Both database layers connect through this module.
"""

from functools import partial
from typing import Any

import aiosqlite

from torngas_aio._cleanup import await_to_the_end, close_safely
from torngas_aio._concurrency import run_in_thread

__all__ = ["connect"]


async def connect(database: str, *statements: str, **options: Any) -> aiosqlite.Connection:
    """Open *database* and run *statements* on it; a cancellation leaves neither a connection nor a thread.

    Args:
        options: Passed to `sqlite3.connect`.
    """
    connection: Any = aiosqlite.connect(database, **options)
    connection._thread.daemon = True  # an unclosed connection must not keep the process alive
    try:
        await await_to_the_end(_opened(connection))  # aiosqlite does not close a connection whose opening was cancelled
        for statement in statements:
            await connection.execute(statement)
    except BaseException:
        await close_safely(database, connection.close)
        # The thread of a connection that was never opened ends without `close`; the loop must live until then.
        await close_safely(database, partial(run_in_thread, connection._thread.join))
        raise
    return connection  # type: ignore[no-any-return]


async def _opened(connection: aiosqlite.Connection) -> None:
    await connection
