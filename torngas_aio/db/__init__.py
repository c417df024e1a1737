"""Databases: `dbalchemy`, the routed SQLAlchemy layer, and `basedb`, a small one without models.

dbalchemy/  basedb/   the two layers
_connections.py       deadlines of statements, idle connections that the server has closed, what errors mean
_outage.py            whether a server answers and takes writes, found out by a probe in the background
_aiomysql.py          aiomysql's connection with its own escape function

`session_with_changes` tells whether the code that runs has changes that are not committed; `Sending` waits for that.
"""

import sys
from collections.abc import Callable, Coroutine
from typing import Any

from torngas_aio._cleanup import await_result

__all__ = ["Sending", "close_sessions", "session_with_changes", "table_makers"]

table_makers: list[Callable[[str], object]] = []
"""What adds tables of our own to the metadata of a connection, by its name: those of jobs, where a project has jobs."""


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


def _registry() -> Any:
    """Return the module of the sessions; None where SQLAlchemy was not imported, so that there is no session."""
    return sys.modules.get("torngas_aio.db.dbalchemy.registry")
