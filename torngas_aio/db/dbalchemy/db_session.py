"""The routed database session: an `AsyncSession` that reads from a slave and writes to the master.

session_scope('default')  ─┐
Model.session, in a request ┼─► DbSession ── execute, get, add, flush, commit, query, using_master, ...
Connector.get_session()    ─┘
"""

from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult, AsyncSession, AsyncSessionTransaction

from torngas_aio._unawaited import AsyncWithOnly, expect_opening
from torngas_aio.context import Outcome
from torngas_aio.db.dbalchemy.cluster import Cluster
from torngas_aio.db.dbalchemy.positions import Position
from torngas_aio.db.dbalchemy.query import Query
from torngas_aio.db.dbalchemy.routing import RoutedSession
from torngas_aio.db.dbalchemy.transaction_end import Function

__all__ = ["DbSession"]


class DbSession(AsyncSession):
    """A session of one database, for use by one task at a time.

    Objects stay loaded after a commit (`expire_on_commit=False`), because attributes cannot await a reload.

    Args:
        cluster: The database's servers.
        is_pinned: Send everything to the master from the start.
        connection: Use this open connection and its transaction; a commit only ends a savepoint. For tests.
    """

    sync_session_class = RoutedSession
    sync_session: RoutedSession  # pyright: ignore[reportIncompatibleVariableOverride]  # of `sync_session_class`

    def __init__(
        self, cluster: Cluster, *, is_pinned: bool = False, connection: AsyncConnection | None = None, **options: Any
    ) -> None:
        if connection is not None:
            options |= {"bind": connection, "join_transaction_mode": "create_savepoint"}
        options.setdefault("expire_on_commit", False)
        super().__init__(cluster=cluster, is_pinned=is_pinned, **options)
        self._streams: list[AsyncResult[Any]] = []

    @property
    def has_written(self) -> bool:
        """Whether any statement that may change data was sent to the master."""
        return self.sync_session.has_written and self.sync_session.has_begun

    @property
    def committed(self) -> Position | None:
        """The position after the last commit, in a request with STICK_TO_MASTER; None if unknown."""
        return self.sync_session.committed

    @property
    def is_on_master(self) -> bool:
        """Whether reads also go to the master: after a write, a lock, or a call of `using_master`."""
        return self.sync_session.is_pinned

    @property
    def has_changes(self) -> bool:
        """Whether the open transaction has changes, including unflushed ones."""
        has_unflushed = bool(self.new or self.dirty or self.deleted)
        return self.in_transaction() and (has_unflushed or self.sync_session.has_uncommitted)

    def begin(self) -> AsyncSessionTransaction:
        """Return a transaction for `async with`, as SQLAlchemy does; one never entered is an error of the request."""
        return SessionTransaction(self, "begin")

    def begin_nested(self) -> AsyncSessionTransaction:
        """Return a savepoint for `async with`; one never entered is an error of the request."""
        return SessionTransaction(self, "begin_nested", nested=True)

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Execute a statement and stream its rows, as SQLAlchemy's `stream` does."""
        result = await super().stream(*args, **kwargs)
        self._streams = [each for each in self._streams if not each.closed] + [result]
        return result

    def on_commit(self, function: Function) -> None:
        """Call *function*, plain or `async def`, after the transaction's commit.

        A rollback, also of a savepoint, discards it. It runs after the transaction has ended and its connection was
        returned, so it may use the session, enqueue and publish; its own changes need a separate commit. Its errors
        are logged: the commit is already done, and the other functions still run.

        Raises:
            NotCallableError: It cannot be called without arguments.
        """
        self.sync_session.transaction_end.add(function, is_for_commit=True)

    def on_rollback(self, function: Function) -> None:
        """Call *function* if the transaction or savepoint is rolled back, or its commit fails.

        Use it to undo effects outside the database, such as a stored file. It has five seconds, also while the task
        is being cancelled; its errors are logged. It is not called if the commit may have happened
        (`OutcomeUnknown`, or a cancelled commit), nor if the process is killed.

        Raises:
            NotCallableError: It cannot be called without arguments.
        """
        self.sync_session.transaction_end.add(function, is_for_commit=False)

    def using_master(self) -> Self:
        """Send everything to the master from now on; return the session itself."""
        self.sync_session.is_pinned = True
        return self

    def __getitem__(self, role: str) -> Self:
        """Return the session itself, pinned to the master if *role* is "master"; for scripts of torngas 1.8.

        Raises:
            KeyError: Another role.
        """
        if role not in ("master", "slave"):
            raise KeyError(role)
        return self.using_master() if role == "master" else self

    def __call__(self) -> Self:
        """Return the session itself, as the scoped session of torngas 1.8 does."""
        return self

    async def remove(self) -> None:
        """Roll back and expunge all objects, as in torngas 1.8's scoped session; the session stays usable."""
        await self.close()

    def query(self, *entities: object) -> "Query[Any]":
        """Return a query for models or columns, in this session; see `Query`."""
        return Query(entities, lambda: self)

    async def settle(self, outcome: Outcome) -> None:
        """Commit a request's changes, or roll back if the request has failed.

        If rows are still streamed while the response is sent, a transaction without changes and without functions
        that wait for its end stays open.
        """
        if outcome.is_failure:
            await self.rollback()
        elif self.has_changes or self.sync_session.transaction_end.has_functions or not self._is_streaming:
            await self.commit()

    @property
    def _is_streaming(self) -> bool:
        return any(not each.closed for each in self._streams)

    def close_now(self) -> bool:
        """Close permanently if that needs no round trip, as after reads from a slave; else return False."""
        sync = self.sync_session
        if sync.is_finished or not sync.is_closed_silently():
            return sync.is_finished
        sync.is_finished = True
        sync.close()
        return True

    async def aclose(self) -> None:
        """Roll back, return all connections, and close permanently. Calling it twice is harmless.

        If another task is running a statement, this waits for it; the caller sets a timeout.
        """
        sync = self.sync_session
        if sync.is_finished:
            return
        sync.is_finished = True
        if sync.is_in_use:
            await sync.wait_until_left()
        await self.close()


class SessionTransaction(AsyncWithOnly, AsyncSessionTransaction):
    """SQLAlchemy's transaction, which reports an error if it is never entered."""

    def __init__(self, session: AsyncSession, name: str, nested: bool = False) -> None:
        super().__init__(session, nested)
        self._waiting = expect_opening(f"{type(session).__name__}.{name}")

    async def start(self, is_ctxmanager: bool = False) -> AsyncSessionTransaction:
        self._waiting.close()
        return await super().start(is_ctxmanager)
