"""A transaction: one connection from BEGIN to COMMIT, found by every statement of the task that began it.

async with db.transaction():              commit at the end, roll back after an error or a cancellation
    async with db.transaction():          inside: a savepoint, rolled back by itself
t = await db.transaction()                as web.py wrote it: then `await t.commit()` or `await t.rollback()`
"""

import asyncio
from collections.abc import Generator
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Self

from torngas_aio._cleanup import CLOSE_SECONDS, await_to_the_end
from torngas_aio._unawaited import AsyncWithOnly, expect_opening
from torngas_aio.context import current_scope
from torngas_aio.db import told_statement
from torngas_aio.db._connections import deadline_of, is_given_up
from torngas_aio.db._outage import is_refusal
from torngas_aio.db.basedb.drivers import Result
from torngas_aio.db.basedb.pool import Pool
from torngas_aio.exception import ArgumentError, DatabaseUnavailable, OutcomeUnknown

__all__ = ["Current", "Transaction", "is_broken", "run_within"]

Current = ContextVar["Transaction | None"]


class _Session:
    """The connection that a transaction and the savepoints in it share; one statement at a time."""

    def __init__(self, pool: Pool, seconds: float) -> None:
        self.pool = pool
        self.driver = pool.driver
        self.seconds = seconds
        self.lease = pool.lease()
        self.connection: Any = None
        self.lock = asyncio.Lock()
        self.savepoints = 0
        self.fault: BaseException | None = None

    async def run(self, sql: str, values: list[object] | tuple[object, ...] = (), returns_rows: bool = False) -> Result:
        if self.fault is not None:
            raise DatabaseUnavailable(
                f"{self.driver.address}: this transaction was lost by an earlier error ({self.fault!r}). "
                "Nothing of it was kept; leave it and begin another."
            )
        async with self.lock:
            try:
                return await run_within(self.pool, self.seconds, self.connection, sql, values, returns_rows)
            except BaseException as exc:
                is_statements = isinstance(exc, self.driver.statement_errors) and not self.driver.is_lost(exc)
                if not is_statements or self.driver.ends_transaction(exc):
                    self.fault = exc
                raise


class Transaction(AsyncWithOnly):
    """One transaction, or a savepoint in the transaction that is open where it begins.

    Tasks that the block starts use the same connection, one statement after the other; they open no savepoints of
    their own, whose order would be anybody's guess.
    """

    def __init__(self, pool: Pool, seconds: float, current: Current) -> None:
        self._driver = pool.driver
        self._current = current
        self._outer: Transaction | None = None
        self._seconds = seconds
        self._pool = pool
        self._session: _Session | None = None
        self._savepoint = ""
        self._owner: asyncio.Task[object] | None = None
        self.is_open = False
        self._waiting = expect_opening("Database.transaction")

    def __await__(self) -> Generator[object, None, Self]:
        return self._begin_by_hand().__await__()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if not self.is_open:  # committed or rolled back by hand inside
            return
        if error is None:
            await self.commit()
        else:
            await self._undo()

    async def run(self, sql: str, values: list[object], returns_rows: bool) -> Result:
        """Run one statement in this transaction.

        Raises:
            ArgumentError: The transaction has ended.
            DatabaseUnavailable: The server does not answer in time, or the connection broke.
        """
        if not self.is_open or self._session is None:
            raise ArgumentError(
                "This transaction has ended, and the task still belongs to it. "
                "A task that outlives a transaction is started outside of it."
            )
        return await self._session.run(sql, values, returns_rows)

    async def ids_step(self) -> int:
        """The distance between the ids that one INSERT of several rows makes here."""
        assert self._session is not None
        return await self._driver.first_ids_step(self._session.connection)

    async def commit(self) -> None:
        """Keep what was done; for a savepoint, as part of the transaction around it.

        When it fails, nothing is kept; when it is cancelled, that is not known, as with any commit.

        Raises:
            ArgumentError: The transaction has ended already.
            OutcomeUnknown: The COMMIT had no answer.
        """
        if not self.is_open or self._session is None:
            raise ArgumentError("This transaction has ended already: commit() once, or leave it to `async with`.")
        try:
            await self._session.run(f"RELEASE SAVEPOINT {self._savepoint}" if self._savepoint else "COMMIT")
        except BaseException as exc:
            await self._undo()
            is_unknown = isinstance(exc, DatabaseUnavailable) and exc.__cause__ and not is_refusal(exc.__cause__)
            if self._savepoint or not is_unknown:
                raise
            raise OutcomeUnknown(
                f"The outcome of a COMMIT is unknown: {exc} Read what was written before doing it again."
            ) from exc
        await self._end()

    async def rollback(self) -> None:
        """Undo what was done since it began; harmless when it has ended."""
        if self.is_open:
            await self._undo()

    async def _begin_by_hand(self) -> Self:
        await self._begin()
        scope = current_scope()
        if scope is not None and self._outer is None:
            scope.add(self, self, close=self.rollback)  # forgotten by the handler: undone at the request's end
        return self

    async def _begin(self) -> None:
        if self._owner is not None:
            raise ArgumentError("A Transaction object is used once: call db.transaction() for each.")
        self._waiting.close()
        self._owner = asyncio.current_task()
        outer = self._outer = self._open_outer()
        if outer is None:
            await self._begin_outermost()
        else:
            session = self._session = outer._session
            assert session is not None
            session.savepoints += 1
            self._savepoint = f"torngas_{session.savepoints}"
            await session.run(f"SAVEPOINT {self._savepoint}")
        self.is_open = True
        self._current.set(self)

    def _open_outer(self) -> "Transaction | None":
        outer = self._current.get()
        if outer is None or not outer.is_open:
            return None
        if outer._owner is not asyncio.current_task():
            raise ArgumentError(
                "A transaction of another task is open here: that task started this one. "
                "Begin the inner transaction there, or start this task outside of the outer one."
            )
        return outer

    async def _begin_outermost(self) -> None:
        for is_last in (False, True):
            session = self._session = _Session(self._pool, self._seconds)
            session.connection = await session.lease.__aenter__()
            try:
                await session.run(self._driver.begin)
            except BaseException as exc:
                await self._give_back()
                if is_last or not is_broken(exc):
                    raise
            else:
                return
            await self._pool.drop_idle()  # BEGIN changes nothing: it is sent again on a new connection

    async def _undo(self) -> None:
        """Roll back, to the end even when the task is being cancelled; a connection that cannot is abandoned."""
        session = self._session
        assert session is not None
        try:
            if session.fault is None:
                await await_to_the_end(self._roll_back(session))
        finally:
            await self._end()

    async def _roll_back(self, session: _Session) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._savepoint:
                    await session.run(f"ROLLBACK TO SAVEPOINT {self._savepoint}")
                    await session.run(f"RELEASE SAVEPOINT {self._savepoint}")
                else:
                    await session.run("ROLLBACK")
        except Exception as exc:  # noqa: BLE001  # a boundary: what cannot be rolled back is abandoned with its connection
            session.fault = exc

    async def _end(self) -> None:
        self.is_open = False
        self._current.set(self._outer)
        if self._outer is None:
            await self._give_back()

    async def _give_back(self) -> None:
        """End the lease: with the fault of the connection, if it has one, so that it is not used again."""
        session = self._session
        assert session is not None
        fault = session.fault
        if fault is None:
            await session.lease.__aexit__(None, None, None)
            return
        broken = DatabaseUnavailable(str(fault))
        await session.lease.__aexit__(DatabaseUnavailable, broken, None)  # returns; the caller hears of the cause


def is_broken(error: BaseException) -> bool:
    """Whether *error* tells of a connection that broke, rather than of a statement that took too long."""
    cause = error.__cause__
    is_of_connection = cause is not None and not isinstance(cause, TimeoutError) and not is_given_up(cause)
    return isinstance(error, DatabaseUnavailable) and is_of_connection


async def run_within(  # noqa: PLR0917  # one call site's worth of context
    pool: Pool, seconds: float, connection: object, sql: str, values: Any, returns_rows: bool
) -> Result:
    """Run one statement within *seconds*; DDL has no deadline.

    Raises:
        DatabaseUnavailable: It took longer, the connection broke, or the server takes no writes any more.
    """
    driver, outage = pool.driver, pool.outage
    number = -1 if outage is None else outage.begin()
    try:
        with told_statement(driver, sql, values):
            async with asyncio.timeout(deadline_of(sql, seconds)):
                return await driver.execute(connection, sql, values, returns_rows)
    except TimeoutError as exc:
        raise DatabaseUnavailable(f"{driver.address}: no answer within {seconds:g} s to {sql[:200]!r}.") from exc
    except Exception as exc:
        if driver.is_lost(exc):
            raise driver.unavailable("the connection broke", exc) from exc
        if is_given_up(exc):
            raise driver.unavailable("the server has ended the statement", exc) from exc
        if outage is None or not is_refusal(exc):
            raise
        if not await outage.refuses_writes(partial(driver.takes_writes, connection)):
            raise
        raise outage.unavailable() from exc
    finally:
        if outage is not None:
            outage.end(number)
