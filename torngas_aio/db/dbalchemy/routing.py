"""Routing of statements: an ORM session that reads from a slave and writes to the master.

                    ┌─ role given ──────────────► that server
    statement ──────┼─ reads, nothing written yet ► the request's slave ── lost before the first row ► retried once
                    └─ anything else ───────────► the master; after a write or a lock, reads go there as well

On the master, SQLAlchemy's own transaction is used. Reads from the slave use a separate AUTOCOMMIT connection, so that
losing it does not affect the transaction. This module's code runs in SQLAlchemy's greenlets.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util.concurrency import in_greenlet

from torngas_aio._compat.sqlalchemy import has_connection, is_dirty, is_empty, is_flushing
from torngas_aio.db.dbalchemy.cluster import Cluster, Node
from torngas_aio.db.dbalchemy.connection_guard import Guard, commit_noted
from torngas_aio.db.dbalchemy.engines import begins_with_change
from torngas_aio.db.dbalchemy.pool import WaitingPool
from torngas_aio.db.dbalchemy.positions import Position
from torngas_aio.db.dbalchemy.statements import Effect, effect_of, lookup_of
from torngas_aio.db.dbalchemy.transaction_end import TransactionEnd
from torngas_aio.db.dbalchemy.unloaded import refuse_attribute
from torngas_aio.exception import ConcurrentUse, DatabaseUnavailable, NotLoaded

__all__ = ["RoutedSession"]

_T = TypeVar("_T")


class RoutedSession(Session):
    """The synchronous half of `DbSession`.

    Args:
        cluster: The database's servers.
        is_pinned: Send everything to the master from the start.
        wanted: Read from the chosen slave only if it has reached this position, otherwise from the master.
        notes_commits: Query the master's position after each commit.
        reads_again: Rows read replace the state of loaded objects, as they do after a switch to another server.

    Attributes:
        is_pinned: Reads go to the master as well.
        has_written: A statement that may change data was issued to the master; a rollback does not reset this.
        has_uncommitted: The same, since the last commit or rollback.
        has_begun: A transaction was begun on the master, which therefore was reachable.
        transaction_end: The functions to call after a commit or rollback.
        has_streamed: A server-side cursor was used and may still be open.
        is_finished: The session was closed permanently; further use is refused.
    """

    def __init__(
        self,
        bind: Any = None,
        *,
        cluster: Cluster,
        is_pinned: bool = False,
        wanted: Position | None = None,
        notes_commits: bool = False,
        reads_again: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(bind=bind or cluster.master.sync_engine, **options)
        self.cluster = cluster
        self.is_pinned = is_pinned or not cluster.slaves or isinstance(bind, Connection)
        self.has_written = False
        self.has_uncommitted = False
        self.has_begun = False
        self.transaction_end = TransactionEnd(self)
        self.is_finished = False
        self.has_streamed = False
        self._user: asyncio.Task[object] | None = None
        self._left: asyncio.Event | None = None
        self._node: Node | None = None
        self._reader: Connection | None = None
        self._may_be_stale = reads_again
        self._wanted = wanted
        self._arrived: Node | None = None
        self._notes_commits = notes_commits
        self._committed: Position | None = None

    @property
    def committed(self) -> Position | None:
        """The position after the last commit; None if a change is uncommitted or the server reported no position."""
        return None if self.has_uncommitted else self._committed

    # -------------------------------------------------------------- overrides of SQLAlchemy's methods

    def get_bind(self, mapper: object = None, *, clause: Any = None, bind: object = None, **kw: Any) -> Any:
        """Return the engine for one statement; SQLAlchemy calls this after a flush."""
        if bind is not None:
            return bind
        if is_flushing(self) or clause is None:  # `connection()`: its use is not visible here
            self._note_change()
            return self._master(is_change=True)
        role = kw.get("role") or clause.get_execution_options().get("role")
        if role != "slave":
            effect = effect_of(clause)
            if effect is Effect.CHANGE:
                self._note_change()
            elif effect is Effect.LOCK:
                self.is_pinned = True
            if role == "master" or self.is_pinned or effect is not Effect.READ:
                return self._master(is_change=effect is Effect.CHANGE or effect is Effect.LOCK)
            if self._wanted is not None and not self._has_arrived(self._wanted):
                self.is_pinned = True
                return self._master(is_change=False)
        node = self._slave()
        return self._master(is_change=False) if node is None else node.sync_engine

    def _master(self, *, is_change: bool) -> object:
        if not has_connection(self):
            begins_with_change.set(is_change)
        return self.bind

    def _connection_for_bind(self, engine: Any, execution_options: Any = None, **kw: Any) -> Connection:
        """Return a connection outside the transaction for a slave's statements.

        This is the only private method of SQLAlchemy overridden here: `Session` keeps all connections in one
        transaction, in which the loss of a slave would also fail the master's work.
        """
        if self._node is not None and engine is self._node.sync_engine:
            return self._open_reader()
        return super()._connection_for_bind(engine, execution_options, **kw)

    def execute(self, statement: object, params: object = None, **kw: Any) -> Any:
        if in_greenlet():
            return self._run(super().execute, statement, params, kw)
        # An attribute needs a query outside of any await, possibly in a thread. A listener finds out which attribute;
        # it is installed only for this case.
        event.listen(self, "do_orm_execute", refuse_attribute)
        try:
            return self._run(super().execute, statement, params, kw)
        finally:
            event.remove(self, "do_orm_execute", refuse_attribute)

    def scalar(self, statement: object, params: object = None, **kw: object) -> Any:
        return self._run(super().scalar, statement, params, kw)

    def scalars(self, statement: object, params: object = None, **kw: object) -> Any:
        return self._run(super().scalars, statement, params, kw)

    def get(self, entity: Any, ident: object, **kw: Any) -> Any:
        if self._may_be_stale and self._reads_go_to_the_master() and not kw.get("populate_existing"):
            kw["populate_existing"] = True
        lookup = lookup_of(entity) if _is_plain(kw) else None
        values = None if lookup is None else lookup.values_of(ident)
        if lookup is None or values is None or (len(self.identity_map) and lookup.key_of(values) in self.identity_map):
            return super().get(entity, ident, **kw)
        return self.execute(lookup.statement, values).unique().scalar_one_or_none()

    def flush(self, objects: Any = None) -> None:
        if not in_greenlet() and is_dirty(self):
            raise NotLoaded(
                "Changes of the database session were to be flushed outside of any await, by a relationship with "
                "lazy='dynamic' or by `sync_session`. Await `session.flush()` before."
            )
        is_first = self._enter()
        try:
            super().flush(objects)
        finally:
            self._leave(is_first)

    def commit(self) -> None:
        is_first = self._enter()
        try:
            super().commit()
            self._close_reader()
        except BaseException as exc:
            self.transaction_end.note_failure(exc)
            raise
        finally:
            self._leave(is_first)

    def note_next_commit(self) -> None:
        """Arrange that the position after the next COMMIT is recorded; SQLAlchemy also calls this for savepoints."""
        if self._notes_commits and not self.in_nested_transaction() and (self.has_uncommitted or is_dirty(self)):
            self._committed, before = None, self._committed

            def note(position: Position | None) -> None:
                self._committed = None if position is None else position.merged(before)

            commit_noted.set(note)

    def note_begin(self, transaction: SessionTransaction, connection: Connection) -> None:
        """Record that the master was reachable; SQLAlchemy calls this when a transaction has a connection."""
        self.has_begun = True

    def note_end(self, transaction: SessionTransaction) -> None:
        """Record that there is nothing to commit; SQLAlchemy also calls this after each savepoint."""
        if transaction.parent is None:
            self.has_uncommitted = False
            if self._notes_commits:
                commit_noted.set(None)

    def rollback(self) -> None:
        is_first = self._enter()
        try:
            super().rollback()
            self.has_uncommitted = False
            self._close_reader()
        finally:
            self._leave(is_first)

    def close(self) -> None:
        """Roll back, expunge all objects, and return all connections."""
        try:
            super().close()
        finally:
            self.has_uncommitted = False
            self._close_reader()

    def is_closed_silently(self) -> bool:
        """Return whether `close` needs no round trip: no transaction, and a slave's connection that its pool keeps."""
        if self._transaction is not None or self._user is not None:
            return False
        reader = self._reader
        if reader is None:
            return True
        pool = reader.engine.pool
        return not reader.invalidated and not self.has_streamed and isinstance(pool, WaitingPool) and pool.has_place

    # -------------------------------------------------------------- slaves

    def _slave(self) -> Node | None:
        if self._node is None:
            self._node = self.cluster.choose()
        return self._node

    def _has_arrived(self, wanted: Position) -> bool:
        """Return whether this session's slave has applied all changes up to *wanted*; queried at most once."""
        node = self._slave()
        if node is None or node is self._arrived:
            return True
        if node.position is None or not node.position.has_reached(wanted):
            try:
                connection: object = self._open_reader().connection.dbapi_connection
                position = connection.position()[0] if isinstance(connection, Guard) else None
            except Exception:  # noqa: BLE001  # any driver error: an unknown position counts as not reached
                return False
            if position is None or not position.has_reached(wanted):
                self._close_reader()
                return False
        self._arrived = self._node
        return True

    def _open_reader(self) -> Connection:
        """Return the connection to this session's slave; if unreachable, to another slave, else to the master.

        If a certain position is required, the fallback is the master, since another slave may not have reached it.
        """
        has_wanted = False
        while self._reader is None:
            node = None if has_wanted else self._slave()
            if node is None:
                return super()._connection_for_bind(self.cluster.master.sync_engine)
            try:
                self._reader = node.sync_engine.connect()
            except DatabaseUnavailable:
                node.mark_down()
                self._node, has_wanted = None, node is self._arrived
            else:
                node.mark_up()
        self._may_be_stale = True
        return self._reader

    def _drop_lost_reader(self) -> None:
        """Close a slave's connection that was lost or cancelled midway; its pending data is of an earlier statement."""
        if self._reader is not None and self._reader.invalidated:
            self._close_reader()

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _note_change(self) -> None:
        self.is_pinned = self.has_written = self.has_uncommitted = True

    # -------------------------------------------------------------- each statement

    def _run(self, method: Callable[..., _T], statement: object, params: object, kw: dict[str, Any]) -> _T:
        is_first = self._enter()
        try:
            options = kw.get("execution_options")
            if options and options.get("stream_results"):
                self.has_streamed = True
            if options and "role" in options:
                kw["bind_arguments"] = {**(kw.get("bind_arguments") or {}), "role": options["role"]}
            if self._may_be_stale and self._reads_go_to_the_master():
                kw["execution_options"] = {"populate_existing": True, **(options or {})}
            is_fresh = self._transaction is None and is_empty(self)
            self._drop_lost_reader()
            try:
                return method(statement, params, **kw)
            except DatabaseUnavailable:
                if not self._may_be_tried_again(statement, is_fresh):
                    raise
            self._drop_lost_reader()
            return method(statement, params, **kw)
        finally:
            self._leave(is_first)

    def _reads_go_to_the_master(self) -> bool:
        """Return whether the next read goes to the master and may replace loaded state without losing a change.

        Pending changes are flushed first, unless autoflush is off.
        """
        return self.autoflush if is_dirty(self) else self.is_pinned

    def _may_be_tried_again(self, statement: object, is_fresh: bool) -> bool:
        """Return whether the failed statement was a read that can be repeated: on a slave, or the master's first."""
        if self._reader is not None and self._reader.invalidated:
            return True
        if not is_fresh or effect_of(statement) is Effect.CHANGE:
            return False
        if self._transaction is None:  # the connection could not be opened
            return False
        super().rollback()
        return True

    def _enter(self) -> bool:
        """Mark the session as in use by the current task; return False if it already was (a flush in a query)."""
        task = _current_task()
        if self._user is not None:
            if self._user is task:
                return False
            raise ConcurrentUse(
                f"The database session of {self.cluster.name!r} is in use by another task. One session serves one "
                "task at a time: await one call after the other, or give each task its own "
                "`async with session_scope(...)`."
            )
        if self.is_finished:
            raise RuntimeError(
                f"The database session of {self.cluster.name!r} was used after its request or scope had ended. "
                "Work that outlives it opens its own with `async with session_scope(...)`."
            )
        self._user = task
        return True

    def _leave(self, is_first: bool) -> None:
        if is_first:
            self._user = None
            if self._left is not None:
                self._left.set()

    @property
    def is_in_use(self) -> bool:
        """Whether a task is running a statement."""
        return self._user is not None

    async def wait_until_left(self) -> None:
        """Wait until no task is running a statement."""
        while self._user is not None:
            self._left = asyncio.Event()
            await self._left.wait()


# Listeners, because the end of `async with session.begin()` calls neither `commit` nor `rollback`.
event.listen(RoutedSession, "before_commit", RoutedSession.note_next_commit)
event.listen(RoutedSession, "after_transaction_end", RoutedSession.note_end)
event.listen(RoutedSession, "after_begin", RoutedSession.note_begin)


def _current_task() -> asyncio.Task[object] | None:
    """Return the running task; None in a thread without an event loop, such as one that renders a page."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _is_plain(options: dict[str, object]) -> bool:
    """Return whether *options* of a `get` request nothing special; an empty dict as `with_for_update` does."""
    return all(
        value is None or value is False if name in _EXACT else name in _EMPTY and not value
        for name, value in options.items()
    )


_EXACT = frozenset({"with_for_update", "identity_token", "populate_existing"})
_EMPTY = frozenset({"options", "execution_options", "bind_arguments"})
