"""Databases: `dbalchemy`, the routed SQLAlchemy layer, and `basedb`, a small one without models.

dbalchemy/  basedb/   the two layers
_connections.py       deadlines of statements, detection of closed idle connections, classification of errors
_outage.py            background probes that find out whether a server answers and accepts writes

`session_with_changes` finds uncommitted changes of the current context; `Sending` runs after their commit.
"""

import sys
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Protocol

from torngas_aio._cleanup import await_result

__all__ = [
    "Sending",
    "StatementListener",
    "close_sessions",
    "session_with_changes",
    "statement_listeners",
    "table_makers",
    "told_statement",
]

table_makers: list[Callable[[str], object]] = []
"""Functions by name that add the package's own tables to a connection's metadata, such as the outbox of jobs."""

StatementListener = Callable[[str, str, Sequence[object], float, BaseException | None], None]
"""Receives the database's address, the statement, its values, its start by `time.perf_counter()`, and its error."""

statement_listeners: list[StatementListener] = []
"""Called after each statement of `basedb`, in its task; for SQLAlchemy's statements, use SQLAlchemy's events."""


class _Driver(Protocol):
    @property
    def address(self) -> str: ...


@contextmanager
def told_statement(driver: _Driver, sql: str, values: Sequence[object]) -> Generator[None]:
    """Notify `statement_listeners` of the statement that the block runs; closing a stream early is not an error."""
    started, error = perf_counter(), None
    try:
        yield
    except BaseException as exc:
        error = None if isinstance(exc, GeneratorExit) else exc
        raise
    finally:
        for listener in statement_listeners:
            listener(driver.address, sql, values, started, error)


class Sending:
    """The sending of a job or message after a commit; cancelling the request does not interrupt it.

    Args:
        what: Its name in logs, such as "sending a message".
        send: Sends the job or message, within its own timeout.
    """

    def __init__(self, what: str, send: Callable[[], Coroutine[object, None, None]]) -> None:
        self._what = what
        self._send = send

    def __repr__(self) -> str:
        return self._what

    async def __call__(self) -> None:
        await await_result(self._send())


async def close_sessions() -> None:
    """Roll back the current request's open transactions and return its connections; its sessions stay usable."""
    registry = _registry()
    if registry is not None:
        await registry.close_sessions()


def session_with_changes() -> Any:
    """Return the database session of this context that has uncommitted changes; None without one."""
    registry = _registry()
    sessions = () if registry is None else registry.open_sessions()
    return next((each for each in sessions if each.has_changes), None)


def turn_to_master() -> bool:
    """Send what this context's open sessions read to the master from now on.

    Returns:
        Whether a slave may have answered before.
    """
    registry = _registry()
    sessions = [] if registry is None else [each for each in registry.open_sessions() if not each.is_on_master]
    for session in sessions:
        session.using_master()
    return bool(sessions)


def _registry() -> Any:
    """Return the module of the sessions; None if it was not imported, because then there is no session."""
    return sys.modules.get("torngas_aio.db.dbalchemy.registry")
