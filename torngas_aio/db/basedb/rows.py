"""The rows of a SELECT, with columns as attributes; fetched all at once or in batches.

rows = await db.select("posts")              a list
post = await db.where("posts", id=1).first()
async for post in db.select("posts"): …      in batches, for results of any size
"""

from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from typing import Any

from torngas_aio._unawaited import Operation
from torngas_aio.db.basedb.sql import SQLQuery
from torngas_aio.storage import Storage

__all__ = ["Rows", "Statement"]


class Rows(list[Storage]):
    """The rows of a result, in the order the database gave them."""

    def list(self) -> "Rows":
        """Return these rows; for compatibility with web.py's iterator."""
        return self

    def first(self, default: object = None) -> Any:
        """Return the first row, *default* when there is none."""
        return self[0] if self else default


class Statement(Operation[Any]):
    """A statement that runs each time it is awaited or iterated over.

    Awaiting it returns the `Rows`, or the number of changed rows for a statement that returns none.

    Attributes:
        sql: The statement with its values.
    """

    def __init__(
        self,
        sql: SQLQuery,
        run: Callable[[SQLQuery], Coroutine[object, None, Any]],
        stream: Callable[[SQLQuery], AsyncGenerator[Storage, None]],
        name: str = "Database.query",
    ) -> None:
        super().__init__(partial(run, sql), name)
        self.sql = sql
        self._stream = stream

    def __aiter__(self) -> AsyncGenerator[Storage, None]:
        """Fetch the rows in batches; the connection is in use until the last row or until the loop is left.

        In a transaction all rows are fetched first, so that the loop's body may use the connection.
        """
        self._leave()
        return self._stream(self.sql)

    async def list(self) -> Rows:
        """Return all rows."""
        rows = await self
        return rows if isinstance(rows, Rows) else Rows()

    async def first(self, default: object = None) -> Any:
        """Return the first row, *default* when there is none."""
        return (await self.list()).first(default)

    _mend = "Write `await db.select(...)`, or `async for row in db.select(...)`."

    def __repr__(self) -> str:
        return f"<Statement {self.sql!r}; await it>"
