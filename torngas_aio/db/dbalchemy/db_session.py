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
    """One database, as one task sees it.

    Objects stay loaded after a commit (`expire_on_commit=False`): with asyncio, an attribute cannot fetch itself.

    Args:
        cluster: Where the servers are.
        is_pinned: Send everything to the master from the start.
        connection: Work within this open connection and its transaction; a commit only ends a savepoint. For tests.
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
        """Whether anything was sent to the master that may have changed it."""
        return self.sync_session.has_written and self.sync_session.has_begun

    @property
    def committed(self) -> Position | None:
        """The position after the last commit, in a request with STICK_TO_MASTER; None: not known."""
        return self.sync_session.committed

    @property
    def is_on_master(self) -> bool:
        """Whether reads go to the master too: after a write or a lock, or because `using_master` was called."""
        return self.sync_session.is_pinned

    @property
    def has_changes(self) -> bool:
        """Whether the transaction that is open has changes, those that are not yet flushed included."""
        has_unflushed = bool(self.new or self.dirty or self.deleted)
        return self.in_transaction() and (has_unflushed or self.sync_session.has_uncommitted)

    def begin(self) -> AsyncSessionTransaction:
        """Return what `async with` opens, as SQLAlchemy's; never opened, it is an error of the request."""
        return SessionTransaction(self, "begin")

    def begin_nested(self) -> AsyncSessionTransaction:
        """Return the savepoint that `async with` opens; never opened, it is an error of the request."""
        return SessionTransaction(self, "begin_nested", nested=True)

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Execute a statement and return its rows as they are read, as SQLAlchemy's `stream`."""
        result = await super().stream(*args, **kwargs)
        self._streams = [each for each in self._streams if not each.closed] + [result]
        return result

    def on_commit(self, function: Function) -> None:
        """Have *function*, plain or `async def`, called after the transaction's commit.

        A rollback, of a savepoint too, drops it. When it runs the transaction is over and its connection given back: it
        may use the session, enqueue and publish, and what it changes wants a commit of its own. An error of it is
        logged: the commit stands, and the other functions run.

        Raises:
            NotCallableError: It cannot be called without arguments.
        """
        self.sync_session.transaction_end.add(function, is_for_commit=True)

    def on_rollback(self, function: Function) -> None:
        """Have *function* called if the transaction, or the savepoint, is rolled back or its commit fails.

        It undoes what no database takes back, such as a file that was stored. It has five seconds, also while the
        task is cancelled; an error of it is logged. It is not called where the commit may have happened
        (`OutcomeUnknown`, or a commit that was cancelled), nor when the process is killed.

        Raises:
            NotCallableError: It cannot be called without arguments.
        """
        self.sync_session.transaction_end.add(function, is_for_commit=False)

    def using_master(self) -> Self:
        """Send everything to the master from now on; returns the session itself."""
        self.sync_session.is_pinned = True
        return self

    def __getitem__(self, role: str) -> Self:
        """Return the session itself for "slave", and pinned to the master for "master", as torngas 1.8's scripts ask.

        Raises:
            KeyError: Another role.
        """
        if role not in ("master", "slave"):
            raise KeyError(role)
        return self.using_master() if role == "master" else self

    def __call__(self) -> Self:
        """Return the session itself, as the scoped session of torngas 1.8 did."""
        return self

    async def remove(self) -> None:
        """Roll back and forget every object, as the scoped session of torngas 1.8; the session can be used again."""
        await self.close()

    def query(self, *entities: object) -> "Query[Any]":
        """Return a query for models or columns, in this session; see `Query`."""
        return Query(entities, lambda: self)

    async def settle(self, outcome: Outcome) -> None:
        """Commit what a request did; roll it back when the request has failed.

        Rows that are read while the answer is sent need their transaction: one that nothing waits for, without
        changes, goes on.
        """
        if outcome.is_failure:
            await self.rollback()
        elif self.has_changes or self.sync_session.transaction_end.has_functions or not self._is_streaming:
            await self.commit()

    @property
    def _is_streaming(self) -> bool:
        return any(not each.closed for each in self._streams)

    def close_now(self) -> bool:
        """Close for good if that takes no word with a server, as after reads from a slave; else return False."""
        sync = self.sync_session
        if sync.is_finished or not sync.is_closed_silently():
            return sync.is_finished
        sync.is_finished = True
        sync.close()
        return True

    async def aclose(self) -> None:
        """Roll back and give every connection back, for good; twice is harmless.

        A statement that another task is in the middle of is waited for: the caller bounds the time.
        """
        sync = self.sync_session
        if sync.is_finished:
            return
        sync.is_finished = True
        if sync.is_in_use:
            await sync.wait_until_left()
        await self.close()


class SessionTransaction(AsyncWithOnly, AsyncSessionTransaction):
    """SQLAlchemy's, which tells when it is never opened."""

    def __init__(self, session: AsyncSession, name: str, nested: bool = False) -> None:
        super().__init__(session, nested)
        self._waiting = expect_opening(f"{type(session).__name__}.{name}")

    async def start(self, is_ctxmanager: bool = False) -> AsyncSessionTransaction:
        self._waiting.close()
        return await super().start(is_ctxmanager)
