"""Deadlines of SQLAlchemy's asyncio connections, and lost connections that look like bugs.

    aiomysql on uvloop raises RuntimeError for a closed transport ─┐
    a server that is stopped or cut off never answers             ─┼─► the driver's OperationalError 2013,
    a handshake that never comes has no limit in aiomysql         ─┘   which SQLAlchemy takes for a disconnect

Only what passes through an engine of ours is changed: the dialects build on this. Begin
with `Guard`.
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
"""Gets the position after a commit of this context, while a session that wants it commits."""

PING_SECONDS = 2.0
"""How long a ping of a pooled connection may take before the connection counts as lost."""

_LOST = 2013  # MySQL's CR_SERVER_LOST, which both drivers and SQLAlchemy know as a disconnect

_T = TypeVar("_T")


class Guard:
    """One connection's deadline, and its translation of what a dead transport raises.

    A mixin of SQLAlchemy's adapted connections. `dbapi.read_seconds` is the deadline, None for none.
    """

    __slots__ = ()

    dbapi: Any
    _connection: Any

    def is_lost(self) -> bool:
        """Whether the connection is known to be dead without asking the server."""
        raise NotImplementedError

    def takes_writes(self) -> bool:
        """Ask the server whether it takes writes: False of a replica, and of one that was set read-only."""
        raise NotImplementedError

    def position(self) -> tuple[Position | None, bool]:
        """Ask the server how far it is in its master's changes, or its own, and whether it is a replica.

        None for a position that it does not tell: GTIDs are off.
        """
        raise NotImplementedError

    def committed_position(self) -> Position | None:
        """Ask the server where what this connection has committed last ends, or a later place; None: not told."""
        raise NotImplementedError

    def note_commit(self) -> None:
        """Tell the session that has committed where that ended; without an answer the commit stands all the same."""
        note = commit_noted.get(None)
        if note is not None:
            with suppress(Exception):
                note(self.committed_position())

    @property
    def transport(self) -> Any:
        """The asyncio transport, None after the connection was closed here."""
        return transport_of(self._connection)

    def _terminate_force_close(self) -> None:
        raise NotImplementedError

    def cut(self) -> None:
        """Close at once, without a word to the server: an answer that may still come must not be read."""
        self._terminate_force_close()

    async def bounded(self, awaitable: Awaitable[_T], statement: str = "", seconds: float | None = None) -> _T:
        """Return what *awaitable* gives.

        Args:
            statement: What is executed: DDL has no deadline.
            seconds: Instead of the block's or the engine's deadline.

        Raises:
            OperationalError: The driver's: the connection is lost, or there was no answer within the deadline.
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
    """The limits of one engine, and its server's state, kept where its connections find them."""

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
        except (RuntimeError, AttributeError) as exc:  # uvloop, when the server closes what it has just accepted
            raise self.OperationalError(2003, f"Can't connect: the server closed the connection ({exc})") from exc


@contextmanager
def committing() -> Generator[None]:
    """Mark what is raised as an error of a COMMIT: whether it was kept is not known."""
    try:
        yield
    except Exception as error:
        error.is_of_commit = True  # type: ignore[attr-defined]  # read where errors are translated
        raise
