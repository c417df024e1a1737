"""Reads that follow a visitor's own writes to the master for a while, so that nobody misses their own change.

    request ── signed cookie names connections ─► their sessions start on the master
    answer ◄── a connection was written to ────── the cookie names it for STICK_TO_MASTER seconds

`torngas_aio.middleware.dbalchemy` reads and writes the cookie. Begin with `Stickiness`.
"""

from typing import Protocol

__all__ = ["STICKINESS", "Stickiness"]

STICKINESS = "db_stickiness"
"""The key under which a request's scope holds its `Stickiness`."""


class _Writes(Protocol):
    @property
    def has_written(self) -> bool: ...


class Stickiness:
    """One request's memory of which connections its visitor has written to.

    Args:
        names: Connection names whose reads go to the master from the start.
    """

    __slots__ = ("_sessions", "names")

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self.names = names
        self._sessions: list[tuple[str, _Writes]] = []

    def watch(self, name: str, session: _Writes) -> None:
        """Remember a session that the request has opened for the connection *name*."""
        self._sessions.append((name, session))

    @property
    def written(self) -> tuple[str, ...]:
        """Names of the connections that this request has written to, sorted."""
        return tuple(sorted({name for name, session in self._sessions if session.has_written}))
