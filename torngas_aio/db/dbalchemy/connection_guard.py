"""Deadlines for SQLAlchemy's asyncio connections, and clear errors for lost ones.

    aiomysql on uvloop raises RuntimeError for a closed transport ─┐
    a stopped or unreachable server never answers                 ─┼─► the driver's OperationalError 2013,
    aiomysql waits for the handshake without a timeout            ─┘   which SQLAlchemy recognizes as a disconnect

Only connections of our own dialects, which build on this module, are affected.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from torngas_aio._compat.drivers import transport_of
from torngas_aio.db._connections import deadline_of
from torngas_aio.db._outage import Outage
from torngas_aio.db.dbalchemy.positions import Position

__all__ = ["PING_SECONDS", "Guard", "GuardedModule", "commit_noted", "committing"]

commit_noted: ContextVar[Callable[[Position | None], None] | None] = ContextVar("torngas_aio_db_commit_noted")
"""Callback for the position after the next commit in this context; set by a session that needs the position."""

PING_SECONDS = 2.0
"""Timeout of a ping of a pooled connection, in seconds; after it the connection counts as lost."""

_LOST = 2013  # MySQL's CR_SERVER_LOST, which both drivers and SQLAlchemy treat as a disconnect

_T = TypeVar("_T")


class Guard:
    """A mixin for SQLAlchemy's adapted connections: deadlines, and translation of a dead transport's errors.

    `dbapi.read_seconds` is the deadline; None for no limit.
    """

    __slots__ = ()

    dbapi: Any
    _connection: Any

    def is_lost(self) -> bool:
        """Return whether the connection is known to be dead, without a round trip."""
        raise NotImplementedError

    def takes_writes(self) -> bool:
        """Ask the server whether it accepts writes; False for a replica or a read-only server."""
        raise NotImplementedError

    def position(self) -> tuple[Position | None, bool]:
        """Query the server's replication position, and whether it is a replica.

        The position is None if the server does not report one, for example because GTIDs are off.
        """
        raise NotImplementedError

    def committed_position(self) -> Position | None:
        """Query the position of this connection's last commit, or a later one; None if the server reports none."""
        raise NotImplementedError

    def note_commit(self) -> None:
        """Report the position of the commit to the session; if the query fails, the commit is still valid."""
        note = commit_noted.get(None)
        if note is not None:
            with suppress(Exception):
                note(self.committed_position())

    @property
    def transport(self) -> Any:
        """The asyncio transport, None after the connection was closed locally."""
        return transport_of(self._connection)

    def _terminate_force_close(self) -> None:
        raise NotImplementedError

    def cut(self) -> None:
        """Close the transport at once, without notifying the server, because a pending reply must not be read."""
        self._terminate_force_close()

    async def bounded(self, awaitable: Awaitable[_T], statement: str = "", seconds: float | None = None) -> _T:
        """Return the result of *awaitable*, within the deadline.

        Args:
            statement: The SQL that is executed; DDL has no deadline.
            seconds: A deadline that replaces the block's or the engine's.

        Raises:
            OperationalError: The driver's: the connection is lost, or there was no reply within the deadline.
        """
        module = self.dbapi
        deadline = seconds or deadline_of(statement, module.read_seconds)
        outage: Outage | None = module.outage
        number = -1 if outage is None else outage.begin()
        try:
            if deadline is None:
                return await awaitable
            async with asyncio.timeout(deadline):
                return await awaitable
        except TimeoutError as exc:
            self.cut()
            raise self._lost("no answer within the deadline") from exc
        except (RuntimeError, AttributeError) as exc:
            if not self.is_lost():
                raise
            raise self._lost(f"the connection is closed ({exc})") from exc
        finally:
            if outage is not None:
                outage.end(number)

    def _lost(self, why: str) -> Exception:
        error: Exception = self.dbapi.OperationalError(_LOST, f"Lost connection to MySQL server: {why}")
        return error


class GuardedModule:
    """A driver module with one engine's limits and its server's state, for the engine's connections."""

    outage: Outage | None = None
    read_seconds: float | None = None
    connect_seconds: float = 10.0
    OperationalError: Any

    async def watched(self, connecting: Awaitable[_T]) -> _T:
        if self.outage is None:
            return await connecting
        return cast("_T", await self.outage.watched(connecting))

    async def greeted(self, connecting: Awaitable[_T]) -> _T:
        """Return the connection that *connecting* opens.

        Raises:
            OperationalError: The driver's: no greeting within `connect_seconds`, or the server has closed it.
        """
        try:
            async with asyncio.timeout(self.connect_seconds):
                return await self.watched(connecting)
        except TimeoutError as exc:
            raise self.OperationalError(
                2003, f"Can't connect: no greeting within {self.connect_seconds:g} seconds"
            ) from exc
        except (RuntimeError, AttributeError) as exc:  # from uvloop, if the server closes a connection it just accepted
            raise self.OperationalError(2003, f"Can't connect: the server closed the connection ({exc})") from exc


@contextmanager
def committing() -> Generator[None]:
    """Mark an exception of the block as an error of a COMMIT, whose outcome is unknown."""
    try:
        yield
    except Exception as error:
        error.is_of_commit = True  # type: ignore[attr-defined]  # read where errors are translated
        raise
