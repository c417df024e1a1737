"""What is to be awaited once a transaction has been committed, and not at all when it is not.

SQLAlchemy tells of commits and rollbacks below its greenlets, savepoints included. Begin with `AfterCommit.add`.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

__all__ = ["AfterCommit"]

logger = logging.getLogger("torngas_aio.db")

Function = Callable[[], Awaitable[None]]


class AfterCommit:
    """The functions that wait for the commit of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[Function] = []
        self._marks: dict[Any, int] = {}  # by savepoint: how many waited when it began

    def add(self, function: Function) -> None:
        """Have *function* awaited after the commit."""
        if not self._waiting and not self._marks:
            self._listen()
        self._waiting.append(function)

    def _listen(self) -> None:
        for name in ("after_commit", "after_soft_rollback", "after_transaction_create"):
            if not event.contains(self._session, name, getattr(self, f"_{name}")):
                event.listen(self._session, name, getattr(self, f"_{name}"))

    def _after_transaction_create(self, session: Session, transaction: Any) -> None:
        if transaction.nested:
            self._marks[transaction] = len(self._waiting)

    def _after_soft_rollback(self, session: Session, transaction: Any) -> None:
        if transaction.nested:
            del self._waiting[self._marks.pop(transaction, 0) :]
        elif transaction.parent is None:
            self._waiting.clear()
            self._marks.clear()

    def _after_commit(self, session: Session) -> None:
        if session.in_nested_transaction():
            return
        waiting, self._waiting = self._waiting, []
        self._marks.clear()
        for function in waiting:
            try:
                await_only(function())
            except Exception:  # a boundary: the commit stands, and the others still run
                logger.exception("A function that waited for a commit failed.")
