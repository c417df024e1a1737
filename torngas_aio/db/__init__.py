"""Databases: `dbalchemy`, the routed SQLAlchemy layer, and `basedb`, a small one without models.

dbalchemy/  basedb/   the two layers
_connections.py       deadlines of statements, idle connections that the server has closed, what errors mean
_outage.py            whether a server answers and takes writes, found out by a probe in the background

`session_with_changes` tells whether the code that runs has changes that are not committed; `Sending` waits for that.
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
"""What adds tables of our own to the metadata of a connection, by its name: those of jobs, where a project has jobs."""

StatementListener = Callable[[str, str, Sequence[object], float, BaseException | None], None]
"""Gets the address of the database, a statement, its values, its start by `time.perf_counter()`, and what it raised."""

statement_listeners: list[StatementListener] = []
"""Called after each statement of `basedb`, within its task; what SQLAlchemy runs, it tells by events of its own."""


class _Driver(Protocol):
    @property
    def address(self) -> str: ...


@contextmanager
def told_statement(driver: _Driver, sql: str, values: Sequence[object]) -> Generator[None]:
    """Tell `statement_listeners` of the statement that the block runs; a reader that has had enough is no error."""
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
    """The sending of a job or a message after a commit, which no cancellation of the request cuts off.

    Args:
        what: What logs call it, such as "sending a message".
        send: Sends it, and bounds its own time.
    """

    def __init__(self, what: str, send: Callable[[], Coroutine[object, None, None]]) -> None:
        self._what = what
        self._send = send

    def __repr__(self) -> str:
        return self._what

    async def __call__(self) -> None:
        await await_result(self._send())


async def close_sessions() -> None:
    """Roll back what the current request has open, and give its connections back; its sessions can be used again."""
    registry = _registry()
    if registry is not None:
        await registry.close_sessions()


def session_with_changes() -> Any:
    """Return the database session of this context whose transaction has changes; None where there is none."""
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
    """Return the module of the sessions; None where SQLAlchemy was not imported, so that there is no session."""
    return sys.modules.get("torngas_aio.db.dbalchemy.registry")
