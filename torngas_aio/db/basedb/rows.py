"""What a SELECT gives: rows that are read by attribute, all at once or one after the other.

    rows = await db.select("posts")              a list
    post = await db.where("posts", id=1).first()
    async for post in db.select("posts"): …      some rows at a time, whatever their number

Begin with `Statement`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

from torngas_aio.db.basedb.sql import SQLQuery
from torngas_aio.storage import Storage

__all__ = ["Rows", "Statement"]


class Rows(list[Storage]):
    """The rows of a result, in the order the database gave them."""

    def list(self) -> "Rows":
        """These rows: what web.py's iterator wants to be asked for."""
        return self

    def first(self, default: Any = None) -> Any:
        """Return the first row, *default* when there is none."""
        return self[0] if self else default


class Statement:
    """A statement that runs when it is awaited or iterated over; each time anew.

    Attributes:
        sql: The statement with its values.
    """

    def __init__(
        self,
        sql: SQLQuery,
        run: Callable[[SQLQuery], Awaitable[Any]],
        stream: Callable[[SQLQuery], AsyncGenerator[Storage, None]],
    ) -> None:
        self.sql = sql
        self._run = run
        self._stream = stream

    def __await__(self) -> Generator[Any, Any, Any]:
        """Return the `Rows`; for a statement that returns none, how many rows it changed."""
        return self._run(self.sql).__await__()

    def __aiter__(self) -> AsyncGenerator[Storage, None]:
        """Fetch some rows at a time; the connection is in use until the last one, or until the loop is left.

        In a transaction all rows are fetched first, so that the block may use the connection.
        """
        return self._stream(self.sql)

    async def list(self) -> Rows:
        """Return all rows."""
        rows = await self
        return rows if isinstance(rows, Rows) else Rows()

    async def first(self, default: Any = None) -> Any:
        """Return the first row, *default* when there is none."""
        return (await self.list()).first(default)

    def __repr__(self) -> str:
        return f"<Statement {self.sql!r}; await it>"
