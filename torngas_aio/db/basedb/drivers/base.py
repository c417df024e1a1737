"""The contract of a driver: the operations that the pool and transactions need."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torngas_aio._names import nearest
from torngas_aio.db._connections import said_by
from torngas_aio.db.basedb.statements import Dialect
from torngas_aio.exception import DatabaseUnavailable
from torngas_aio.storage import Storage

__all__ = ["BATCH_ROWS", "Driver", "Result", "known_options", "rows_of"]

BATCH_ROWS = 100
"""Rows per batch of a stream."""


def known_options(connect: Callable[..., object], options: Mapping[str, object]) -> Mapping[str, object]:
    """Return *options* after checking that they are parameters of the library's *connect*.

    Raises:
        TypeError: *connect* has no such parameter; raised before the first connection is opened.
    """
    known = inspect.signature(connect).parameters
    for name in options:
        if name not in known:
            near = nearest(name, known)
            hint = "" if near is None else f"; did you mean {near!r}?"
            raise TypeError(f"connect() got an unexpected keyword argument {name!r}{hint}")
    return options


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one statement.

    Attributes:
        rows: The rows, None for a statement that returns none.
        count: The number of changed rows, -1 if the database does not report it.
        last_id: The id generated for the (last) inserted row, None if there is none.
    """

    rows: list[Storage] | None
    count: int
    last_id: Any = None


def rows_of(cursor: Any, rows: Iterable[Any]) -> list[Storage]:
    """Return *rows* of a DB-API *cursor* with its column names as attributes."""
    names = [column[0] for column in cursor.description]
    return [Storage(zip(names, row, strict=True)) for row in rows]


class Driver(ABC):
    """The operations on a database library's connections; a driver owns no connections itself.

    Errors of the database, such as a violated constraint, are passed on as the library raises them.
    """

    dialect: ClassVar[Dialect]
    begin: ClassVar[str] = "BEGIN"
    is_remote: ClassVar[bool] = True
    """Whether connections use a network, so that the server may become silent."""
    max_size: int | None = None
    """The maximum number of connections, None for no limit."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The database's address for messages; without the password."""

    @property
    @abstractmethod
    def integrity_errors(self) -> tuple[type[Exception], ...]:
        """The library's exceptions for a violated constraint."""

    @property
    @abstractmethod
    def statement_errors(self) -> tuple[type[Exception], ...]:
        """The library's exceptions for failed statements that leave the connection usable."""

    @abstractmethod
    async def connect(self) -> Any:
        """Open a connection in autocommit mode; a cancellation leaves no connection open."""

    @abstractmethod
    async def execute(self, connection: Any, sql: str, values: Sequence[object], returns_rows: bool) -> Result:
        """Run one statement; *returns_rows* is the result of the function `returns_rows` for it."""

    @abstractmethod
    def stream(self, connection: Any, sql: str, values: Sequence[object]) -> AsyncGenerator[list[Storage], None]:
        """Run one statement and fetch its rows in batches."""

    @abstractmethod
    async def ping(self, connection: Any) -> None:
        """Raise any exception if *connection* is dead."""

    async def takes_writes(self, connection: Any) -> bool:
        """Return whether the server of *connection* accepts writes: False for a replica or a read-only server."""
        return True

    def is_doubtful(self, connection: Any) -> bool:
        """Return whether an idle *connection* must be pinged before use: it has ended, or has unread bytes."""
        return False

    @abstractmethod
    async def close(self, connection: Any) -> None:
        """Close *connection* in an orderly way."""

    @abstractmethod
    async def abandon(self, connection: Any) -> bool:
        """Stop any activity on *connection*, whose state is unknown; return whether it is usable again.

        Its open transaction is rolled back, here or by the database once it notices the closed connection.
        """

    @abstractmethod
    def is_lost(self, error: BaseException) -> bool:
        """Return whether *error* means that the connection broke or could not be opened."""

    def unavailable(self, what: str, error: BaseException) -> DatabaseUnavailable:
        """Return the `DatabaseUnavailable` to raise from *error*."""
        return DatabaseUnavailable(f"{self.address}: {what} ({said_by(error)}).")

    def ends_transaction(self, error: BaseException) -> bool:
        """Return whether the database rolled back the whole transaction because of *error*."""
        return False

    async def first_ids_step(self, connection: Any) -> int:
        """Return the increment between the ids generated by one INSERT of several rows."""
        return 1
