"""Replication positions: GTIDs of MariaDB and MySQL, PostgreSQL's LSN.

    the master's position, or that of a commit ─► Position ◄─ the replica's position
                                          replica.has_reached(master)

    request  ── signed cookie: connection, position, expiry ─► only a slave that has reached the position may answer
    response ◄── the connection was written to ────── the cookie holds the position after the commit

Positions of different kinds, or of servers that do not replicate each other, cannot be compared and count as not
reached. If the server reports no position, or a change was not committed when the response began, the cookie holds the
time until which reads go to the master. `torngas_aio.middleware.dbalchemy` reads and writes the cookie.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

__all__ = ["POSITION_SECONDS", "STICKINESS", "GtidSet", "Gtids", "Lsn", "Position", "Stickiness", "parse_position"]

MAX_TEXT = 1000
"""Maximum length of a position in a cookie, in characters."""

STICKINESS = "db_stickiness"
"""The key of the `Stickiness` in a request's scope."""

POSITION_SECONDS = 600.0
"""Seconds for which a position is kept; a slave that lags longer is no longer used anyway (`MAX_LAG`)."""


@dataclass(frozen=True, slots=True)
class Position:
    """A replication position; subclasses exist for each kind of server.

    Attributes:
        text: The position in the server's notation.
    """

    text: str
    kind = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.text}"

    def has_reached(self, other: "Position") -> bool:
        """Return whether a server at this position has applied all changes up to *other*."""
        return isinstance(other, type(self)) and self._includes(other)

    def merged(self, other: "Position | None") -> "Position":
        """Return the position that covers both; this one if they cannot be compared."""
        return self._union(other) if isinstance(other, type(self)) else self

    def _includes(self, other: Any) -> bool:
        raise NotImplementedError

    def _union(self, other: Any) -> Self:
        raise NotImplementedError


class Gtids(Position):
    """MariaDB's GTIDs: the last change of each domain, as in '0-1-100,1-1-7'."""

    __slots__ = ()
    kind = "mariadb"

    def _numbers(self) -> dict[str, tuple[int, str]]:
        parts = (part.strip().split("-") for part in self.text.split(",") if part.strip())
        return {domain: (int(number), f"{domain}-{server}-{number}") for domain, server, number in parts}

    def _includes(self, other: "Gtids") -> bool:
        mine = self._numbers()
        return all(domain in mine and mine[domain][0] >= number for domain, (number, _) in other._numbers().items())

    def _union(self, other: "Gtids") -> "Gtids":
        found = self._numbers()
        for domain, each in other._numbers().items():
            found[domain] = max(each, found.get(domain, each))
        return Gtids(",".join(text for _, text in found.values()))


class GtidSet(Position):
    """MySQL's GTID set: all applied changes, as in '3e11fa47-...:1-5:8,...'."""

    __slots__ = ()
    kind = "mysql"

    def _intervals(self) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        for part in filter(None, re.sub(r"\s", "", self.text).split(",")):
            source, *ranges = part.lower().split(":")
            for each in ranges:
                if each[0].isalpha() or each[0] == "_":  # MySQL 8.3: a tag for the ranges after it
                    source = f"{source.partition(':')[0]}:{each}"
                    continue
                first, _, last = each.partition("-")
                found.setdefault(source, []).append((int(first), int(last or first)))
        return {source: list(_join_ranges(ranges)) for source, ranges in found.items()}

    def _includes(self, other: "GtidSet") -> bool:
        mine = self._intervals()
        return all(
            any(first <= low and high <= last for first, last in mine.get(source, ()))
            for source, ranges in other._intervals().items()
            for low, high in ranges
        )

    def _union(self, other: "GtidSet") -> "GtidSet":
        return GtidSet(f"{self.text},{other.text}")._shorten()

    def _shorten(self) -> "GtidSet":
        parts = (
            f"{source}:" + ":".join(f"{first}-{last}" for first, last in ranges)
            for source, ranges in self._intervals().items()
        )
        return GtidSet(",".join(parts))


class Lsn(Position):
    """PostgreSQL's LSN: a position in the write-ahead log, as in '16/B374D848'."""

    __slots__ = ()
    kind = "postgresql"

    def _number(self) -> int:
        high, _, low = self.text.partition("/")
        return (int(high, 16) << 32) | int(low, 16)

    def _includes(self, other: "Lsn") -> bool:
        return self._number() >= other._number()

    def _union(self, other: "Lsn") -> "Lsn":
        return self if self._includes(other) else other


_SHAPES: dict[str, tuple[type[Position], re.Pattern[str]]] = {
    "mariadb": (Gtids, re.compile(r"\d{1,10}-\d{1,10}-\d{1,20}(?:,\d{1,10}-\d{1,10}-\d{1,20})*", re.ASCII)),
    "mysql": (GtidSet, re.compile(r"[0-9a-f][0-9a-zA-Z_:,\-]{36,}", re.ASCII)),
    "postgresql": (Lsn, re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}", re.ASCII)),
}


def parse_position(text: str) -> Position | None:
    """Parse the text that `str` of a position returns; return None for any other text."""
    kind, _, place = text.partition(" ")
    shape = _SHAPES.get(kind)
    if shape is None or len(text) > MAX_TEXT or not shape[1].fullmatch(place):
        return None
    return shape[0](place)


def _join_ranges(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the same numbers in as few ranges as possible, in order."""
    first, last = 1, 0
    for low, high in sorted(ranges):
        if low > last + 1:
            if last >= first:
                yield first, last
            first = low
        last = max(last, high)
    if last >= first:
        yield first, last


class _Writes(Protocol):
    @property
    def has_written(self) -> bool: ...

    @property
    def committed(self) -> Position | None: ...


class Stickiness:
    """The positions of the visitor's recent writes, for one request.

    Args:
        text: The result of `remember` for an earlier response; other text is ignored.
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
        """Return whether reads of the connection *name* go to the master."""
        return name in self._until

    def wanted(self, name: str) -> Position | None:
        """Return the position that a slave must have reached for reads of the connection *name*; None: any."""
        found = self._positions.get(name)
        for each, session in self._sessions:
            if each == name and session.committed is not None:
                found = session.committed.merged(found)
        return found

    def watch(self, name: str, session: _Writes) -> None:
        """Register a session that the request has opened for the connection *name*."""
        self._sessions.append((name, session))

    def remember(self, until: float) -> str | None:
        """Return the cookie's new text; None if nothing was written.

        Args:
            until: When reads may use any slave again if no position is known, in seconds since 1970.
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
        found: dict[str, tuple[str, float]] = json.loads(text) if text else {}
        return {str(name): (str(place), float(until)) for name, (place, until) in found.items()}
    except (ValueError, TypeError, AttributeError):  # the format of another version
        return {}
