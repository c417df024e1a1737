"""Functions to call after a transaction's commit, or after its rollback.

SQLAlchemy reports both, also for savepoints, by events in its greenlets.
"""

import asyncio
import inspect
import logging
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from torngas_aio._cleanup import close_each, is_imposed
from torngas_aio._compat.sqlalchemy import leave_block
from torngas_aio.context import current_request, error_sink
from torngas_aio.exception import NotCallableError, OutcomeUnknown, Unavailable
from torngas_aio.logger.loggers import request_summary

__all__ = ["Function", "TransactionEnd"]

logger = logging.getLogger("torngas_aio.db")

Function = Callable[[], object]
"""A function without arguments; its result is awaited if it is awaitable."""

_EVENTS = ("after_commit", "after_soft_rollback", "after_transaction_create", "after_transaction_end")


class TransactionEnd:
    """The functions to call at the end of one session's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[tuple[bool, Function]] = []  # whether it waits for the commit
        self._marks: dict[object, int] = {}  # by savepoint: number of waiting functions when it began
        self._has_committed = False
        self._following: list[Function] | None = None  # the remaining functions while those after a commit run

    @property
    def waiting_for_commit(self) -> list[Function]:
        """The functions that a commit would call."""
        return [function for is_for_commit, function in self._waiting if is_for_commit]

    @property
    def has_functions(self) -> bool:
        """Whether a function waits for the commit or the rollback."""
        return bool(self._waiting)

    def add(self, function: Function, *, is_for_commit: bool) -> None:
        """Call *function* after the commit (else after a rollback), and await its result if it is awaitable.

        If it is added by a function that runs after a commit, it runs after that one, unless a transaction has begun.

        Raises:
            NotCallableError: It cannot be called without arguments.
        """
        _check(function)
        if is_for_commit and self._following is not None and not self._session.in_transaction():
            self._following.append(function)
            return
        if not self._waiting and not self._marks:
            self._listen()
        if not is_for_commit and not self._session.in_transaction():
            self._session.begin()  # so that a failure before the first statement is undone as well
        self._waiting.append((is_for_commit, function))

    def note_failure(self, error: BaseException | None) -> None:
        """Discard all functions if *error* ended a COMMIT without a reply: a possible commit must not be undone."""
        if self._has_committed:  # only the return of the connection failed
            self._end()
        elif isinstance(error, OutcomeUnknown) or not isinstance(error, Exception | None):
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
        if not session.in_nested_transaction():
            self._has_committed = True

    def _after_transaction_end(self, session: Session, transaction: Any) -> None:
        if transaction.parent is None:
            if not self._has_committed:
                self.note_failure(sys.exception())  # the error of the commit at the end of `async with session.begin()`
            self._end()

    def _end(self) -> None:
        """Call the functions; the transaction has ended, its connection is returned, and the session is usable."""
        waiting, self._waiting = self._waiting, []
        self._marks.clear()
        has_committed, self._has_committed = self._has_committed, False
        if has_committed:
            self._follow([function for is_for_commit, function in waiting if is_for_commit])
        else:
            self._undo(waiting)

    def _follow(self, functions: list[Function]) -> None:
        """Call all *functions* after a commit: errors are logged, and a cancellation is raised after the last."""
        outer, self._following = self._following, functions
        leave_block(self._session)
        interrupt: BaseException | None = None
        try:
            while functions and (interrupt := interrupt or _put_off_cancellation()) is None:
                function = functions.pop(0)
                try:
                    await_only(_call(function))
                except GeneratorExit:
                    raise
                except BaseException as exc:  # noqa: BLE001  a boundary: the commit is done, the others still run
                    if is_imposed(exc) or isinstance(exc, KeyboardInterrupt):
                        interrupt = exc
                    _report(function, exc)
            if functions:
                await_only(
                    close_each((f"what followed a commit, by {each!r}", partial(_call, each)) for each in functions)
                )
        finally:
            self._following = outer
        if interrupt is not None:
            raise interrupt

    def _undo(self, waiting: Iterable[tuple[bool, Function]]) -> None:
        functions = [function for is_for_commit, function in waiting if not is_for_commit]
        if functions:  # also while the task is cancelled, so that its effects are undone
            await_only(close_each((f"what was rolled back, by {each!r}", partial(_call, each)) for each in functions))


def _put_off_cancellation() -> BaseException | None:
    """Return the cancellation that arrived during or after the COMMIT and must still be raised."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        try:
            await_only(asyncio.sleep(0))
        except asyncio.CancelledError as exc:
            return exc
    return None


async def _call(function: Function) -> None:
    value = function()
    if inspect.isawaitable(value):
        await value


def _report(function: Function, exc: BaseException) -> None:
    request = current_request()
    where = "" if request is None else f", of {request_summary(request)}"
    logger.error(
        "A function that waited for a commit failed. The commit stands; this was not done: %r%s: %s",
        function, where, exc, exc_info=None if isinstance(exc, Unavailable) else exc,
    )  # fmt: skip
    if (sink := error_sink.get()) is not None:
        sink.append(exc)


def _check(function: object) -> None:
    """Raise `NotCallableError` unless *function* can be called without arguments."""
    if not callable(function):
        if inspect.iscoroutine(function):
            function.close()
        raise NotCallableError(
            f"on_commit() and on_rollback() take a function, not {function!r:.200}. Give it without calling it."
        )
    try:
        inspect.signature(function).bind()
    except ValueError:  # C code without a signature
        return
    except TypeError as exc:
        raise NotCallableError(
            f"on_commit() and on_rollback() call a function without arguments; {function!r:.200} is {exc}. "
            "Write `functools.partial(function, ...)`."
        ) from None
