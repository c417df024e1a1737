"""The contract of a driver: what a pool and a transaction need to know of a database."""

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
"""How many rows of a stream are fetched at a time."""


def known_options(connect: Callable[..., object], options: Mapping[str, object]) -> Mapping[str, object]:
    """Return *options* of the library's own *connect*.

    Raises:
        TypeError: It has no such parameter; found before the first connection is opened.
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
    """What one statement gave.

    Attributes:
        rows: None for a statement that returns none.
        count: How many rows it changed, -1 where the database does not say.
        last_id: The id that the database made for the (last) inserted row, None when it made none.
    """

    rows: list[Storage] | None
    count: int
    last_id: Any = None


def rows_of(cursor: Any, rows: Iterable[Any]) -> list[Storage]:
    """Return *rows* of a DB-API *cursor*, with the names that it has for their columns."""
    names = [column[0] for column in cursor.description]
    return [Storage(zip(names, row, strict=True)) for row in rows]


class Driver(ABC):
    """Opens connections and speaks to them; holds none of its own.

    Errors of the database itself, such as a broken constraint, pass as the library raises them.
    """

    dialect: ClassVar[Dialect]
    begin: ClassVar[str] = "BEGIN"
    is_remote: ClassVar[bool] = True
    """Whether connections cross a network, whose other end may fall silent."""
    max_size: int | None = None
    """The most connections that make sense, None for any number."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the database is, for messages; without the password."""

    @property
    @abstractmethod
    def integrity_errors(self) -> tuple[type[Exception], ...]:
        """What the library raises for a broken constraint."""

    @property
    @abstractmethod
    def statement_errors(self) -> tuple[type[Exception], ...]:
        """What the library raises for statements, after which the connection is as good as before."""

    @abstractmethod
    async def connect(self) -> Any:
        """Open a connection, each of whose statements is committed by itself; cancelled, it leaves none open."""

    @abstractmethod
    async def execute(self, connection: Any, sql: str, values: Sequence[object], returns_rows: bool) -> Result:
        """Run one statement to its end; *returns_rows* says what `returns_rows` thinks of it."""

    @abstractmethod
    def stream(self, connection: Any, sql: str, values: Sequence[object]) -> AsyncGenerator[list[Storage], None]:
        """Run one statement and fetch its rows some at a time."""

    @abstractmethod
    async def ping(self, connection: Any) -> None:
        """Raise anything when *connection* is dead."""

    async def takes_writes(self, connection: Any) -> bool:
        """Whether the server of *connection* takes writes: False of a replica, and of one that was set read-only."""
        return True

    def is_doubtful(self, connection: Any) -> bool:
        """Whether an idle *connection* must be pinged before it is used: it has ended, or has unread bytes."""
        return False

    @abstractmethod
    async def close(self, connection: Any) -> None:
        """Say goodbye and close."""

    @abstractmethod
    async def abandon(self, connection: Any) -> bool:
        """Stop whatever goes on in *connection*, in no state to be used; return whether it is whole again.

        Its open transaction is rolled back, here or by the database once it notices.
        """

    @abstractmethod
    def is_lost(self, error: BaseException) -> bool:
        """Whether *error* means that the connection broke or could not be made."""

    def unavailable(self, what: str, error: BaseException) -> DatabaseUnavailable:
        """Return what to raise from *error*."""
        return DatabaseUnavailable(f"{self.address}: {what} ({said_by(error)}).")

    def ends_transaction(self, error: BaseException) -> bool:
        """Whether the database rolled the whole transaction back because of *error*."""
        return False

    async def first_ids_step(self, connection: Any) -> int:
        """The distance between the ids that one INSERT of several rows makes."""
        return 1
