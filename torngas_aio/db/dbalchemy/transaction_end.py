"""What is to be awaited once a transaction has been committed, or once it has been rolled back.

SQLAlchemy tells of both below its greenlets, savepoints included. Begin with `TransactionEnd.add`.
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from torngas_aio._cleanup import close_each
from torngas_aio.exception import OutcomeUnknown

__all__ = ["TransactionEnd"]

logger = logging.getLogger("torngas_aio.db")

Function = Callable[[], Awaitable[None]]

_EVENTS = ("after_commit", "after_soft_rollback", "after_transaction_create", "after_transaction_end")


class TransactionEnd:
    """The functions that wait for the end of one session's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[tuple[bool, Function]] = []  # whether it waits for the commit
        self._marks: dict[Any, int] = {}  # by savepoint: how many waited when it began

    def add(self, function: Function, *, is_for_commit: bool) -> None:
        """Have *function* awaited after the commit, else after a rollback."""
        if not self._waiting and not self._marks:
            self._listen()
        if not is_for_commit and not self._session.in_transaction():
            self._session.begin()  # what fails before the first statement is undone as well
        self._waiting.append((is_for_commit, function))

    def note_failure(self, error: BaseException | None) -> None:
        """Forget all where *error* ended a COMMIT without an answer: what it may have kept is not to be undone."""
        if isinstance(error, OutcomeUnknown) or not isinstance(error, Exception | None):
            self._waiting.clear()

    def _listen(self) -> None:
        for name in _EVENTS:
            if not event.contains(self._session, name, getattr(self, f"_{name}")):
                event.listen(self._session, name, getattr(self, f"_{name}"))

    def _after_transaction_create(self, session: Session, transaction: Any) -> None:
        if transaction.nested:
            self._marks[transaction] = len(self._waiting)

    def _after_soft_rollback(self, session: Session, transaction: Any) -> None:
        if transaction.nested:
            mark = self._marks.pop(transaction, 0)
            dropped = self._waiting[mark:]
            del self._waiting[mark:]
            self._undo(dropped)

    def _after_commit(self, session: Session) -> None:
        if session.in_nested_transaction():
            return
        waiting, self._waiting = self._waiting, []
        for is_for_commit, function in waiting:
            if is_for_commit:
                try:
                    await_only(function())
                except Exception:  # a boundary: the commit stands, and the others still run
                    logger.exception("A function that waited for a commit failed.")

    def _after_transaction_end(self, session: Session, transaction: Any) -> None:
        if transaction.parent is None:
            self.note_failure(sys.exception())  # of a commit at the end of `async with session.begin()`
            waiting, self._waiting = self._waiting, []
            self._marks.clear()
            self._undo(waiting)

    def _undo(self, waiting: Iterable[tuple[bool, Function]]) -> None:
        functions = [function for is_for_commit, function in waiting if not is_for_commit]
        if functions:  # also while the task is cancelled: what it had made must go
            await_only(close_each((f"what was rolled back, by {function!r}", function) for function in functions))
