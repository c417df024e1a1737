"""Reads that follow a visitor's own writes: to a slave that has them already, else to the master.

    request ── signed cookie: connection, position, until when ─► a slave that has reached the position may answer
    answer ◄── a connection was written to ──────── the cookie has the position after the commit

Where a server tells no position, or a change was not committed when the answer began, the cookie says until when reads
go to the master. `torngas_aio.middleware.dbalchemy` reads and writes the cookie. Begin with `Stickiness`.
"""

import json
from typing import Protocol

from torngas_aio.db.dbalchemy.positions import MAX_TEXT, Position, parse_position

__all__ = ["POSITION_SECONDS", "STICKINESS", "Stickiness"]

STICKINESS = "db_stickiness"
"""The key under which a request's scope holds its `Stickiness`."""

POSITION_SECONDS = 600.0
"""How long a position counts: a slave that lags for longer was left out long before (`MAX_LAG`)."""


class _Writes(Protocol):
    @property
    def has_written(self) -> bool: ...

    @property
    def committed(self) -> Position | None: ...


class Stickiness:
    """One request's memory of what its visitor has written.

    Args:
        text: What `remember` has returned for an earlier answer; other text counts as none.
        now: The time, in seconds since 1970.
    """

    __slots__ = ("_positions", "_sessions", "_until")

    def __init__(self, text: str = "", now: float = 0.0) -> None:
        self._positions: dict[str, Position] = {}
        self._until: dict[str, float] = {}
        self._sessions: list[tuple[str, _Writes]] = []
        for name, (place, until) in _read(text).items():
            if (position := parse_position(place)) is not None:
                self._positions[name] = position
            if until > now:
                self._until[name] = until

    def is_pinned(self, name: str) -> bool:
        """Whether reads of the connection *name* go to the master."""
        return name in self._until

    def wanted(self, name: str) -> Position | None:
        """Return what a slave must have reached for reads of the connection *name*; None: nothing."""
        found = self._positions.get(name)
        for each, session in self._sessions:
            if each == name and session.committed is not None:
                found = session.committed.merged(found)
        return found

    def watch(self, name: str, session: _Writes) -> None:
        """Remember a session that the request has opened for the connection *name*."""
        self._sessions.append((name, session))

    def remember(self, until: float) -> str | None:
        """Return the cookie's new text; None where nothing was written.

        Args:
            until: When reads go to slaves again that need not have a position, in seconds since 1970.
        """
        written = [(name, session) for name, session in self._sessions if session.has_written]
        if not written:
            return None
        kept = {**self._until, **{name: until for name, session in written if not _is_placed(session)}}
        names = sorted({*self._positions, *kept, *(name for name, _ in written)})
        return json.dumps({name: [str(self.wanted(name) or ""), kept.get(name, 0)] for name in names})


def _is_placed(session: _Writes) -> bool:
    return session.committed is not None and len(str(session.committed)) <= MAX_TEXT


def _read(text: str) -> dict[str, tuple[str, float]]:
    try:
        found = json.loads(text) if text else {}
        return {str(name): (str(place), float(until)) for name, (place, until) in found.items()}
    except (ValueError, TypeError, AttributeError):  # of another version
        return {}
