"""What is kept of one request: entries on a time line, as masked text, within bounds.

    entry   {"kind": "sql", "at": 3.1, "ms": 0.8, "title": "SELECT ...", ...}    times in milliseconds from the start

Begin with `Record.add`.
"""

import asyncio
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from time import perf_counter
from typing import Any

from torngas_aio.errorpage.masking import mask_text

__all__ = ["MAX_RECORDS", "MAX_RECORD_BYTES", "Record", "Records"]

MAX_RECORDS = 100
MAX_ENTRIES = 1000
MAX_RECORD_BYTES = 256 * 1024
MAX_TEXT = 2000
"""Characters of one text."""

_ENTRY_BYTES = 200  # the dict, its keys and numbers
_REPEATED = 3  # so many like statements are pointed out, two may well be meant

_ASKS = re.compile(r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|REPLACE|MERGE|CALL)\b", re.IGNORECASE)
_LITERAL = re.compile(r"'(?:[^']|'')*'|(?<![\w$:])\d+(?:\.\d+)?\b")
_PLACES = re.compile(r"\((?:\s*(?:\?|%s|\$\d+|:\w+|%\(\w+\)s)\s*,?)+\)")

Entry = dict[str, Any]


class Record:
    """One request.

    Attributes:
        number: Counts the requests of this process.
        summary: What the list of requests shows beside times and counts.
        details: What only the request's own page shows.
        seconds: None while it is going on.
        version: Grows with each change of any record.
        omitted: How many entries were left out, by kind.
    """

    def __init__(self, number: int, started: float, started_at: float, method: str, url: str) -> None:
        self.number = number
        self.version = 0
        self.seconds: float | None = None
        self.summary: dict[str, Any] = {"method": _text(method), "url": _text(url), "started_at": started_at}
        self.details: dict[str, Any] = {}
        self.omitted: Counter[str] = Counter()
        self._started = started
        self._entries: list[Entry] = []
        self._left_bytes = MAX_RECORD_BYTES

    def add(self, kind: str, started: float | None = None, seconds: float | None = None, **fields: Any) -> None:
        """Append an entry; what is too much is only counted.

        Args:
            started: As `time.perf_counter()`; None: now.
            seconds: How long it took; None for what takes no time.
            fields: Texts are masked and cut here; other values are numbers, booleans, None, or lists of masked texts.
        """
        entry: Entry = {name: _text(value) if isinstance(value, str) else value for name, value in fields.items()}
        size = _ENTRY_BYTES + sum(len(str(value)) for value in entry.values())
        if len(self._entries) >= MAX_ENTRIES or size > self._left_bytes:
            self.omitted[kind] += 1
            return
        self._left_bytes -= size
        at = (perf_counter() if started is None else started) - self._started
        self._entries.append({"kind": kind, "at": _ms(at), "ms": None if seconds is None else _ms(seconds), **entry})

    def as_summary(self) -> dict[str, Any]:
        """Return one line of the list."""
        counts = Counter(entry["kind"] for entry in self._entries)
        sql_ms = sum(entry["ms"] or 0.0 for entry in self._entries if entry["kind"] == "sql")
        ms = None if self.seconds is None else _ms(self.seconds)
        return {
            "id": self.number,
            **self.summary,
            "ms": ms,
            "sql_ms": round(sql_ms, 2),
            "counts": counts,
            "repeated": sum(group["count"] for group in self.repeated()),
            "warnings": sum(entry.get("is_bad", False) for entry in self._entries if entry["kind"] == "log"),
        }

    def as_details(self) -> dict[str, Any]:
        """Return everything, entries in the order in which they began."""
        entries = sorted(self._entries, key=lambda entry: float(entry["at"]))
        return {
            **self.as_summary(),
            **self.details,
            "entries": entries,
            "repeats": list(self.repeated()),
            "omitted": dict(self.omitted),
        }

    def repeated(self) -> Iterator[dict[str, Any]]:
        """Yield each statement that ran three times or more, but for its values: the query behind a loop."""
        groups: dict[str, list[Entry]] = {}
        for entry in self._entries:
            if entry["kind"] == "sql" and _ASKS.match(entry["title"]):
                groups.setdefault(_shape_of(entry["title"]), []).append(entry)
        for shape, entries in groups.items():
            if len(entries) >= _REPEATED:
                yield {
                    "title": shape,
                    "count": len(entries),
                    "ms": round(sum(entry["ms"] for entry in entries), 2),
                    "is_same": len({str(entry.get("parameters")) + entry["title"] for entry in entries}) == 1,
                    "places": list(Counter(entry.get("place", "") for entry in entries)),
                }


class Records:
    """The last requests, the oldest dropped first."""

    def __init__(self) -> None:
        self._kept: deque[Record] = deque(maxlen=MAX_RECORDS)
        self._count = 0
        self._version = 0
        self._waiting: set[asyncio.Event] = set()

    def begin(self, started: float, started_at: float, method: str, url: str) -> Record:
        """Return the record of a new request."""
        self._count += 1
        record = Record(self._count, started, started_at, method, url)
        self._kept.append(record)
        self.note_change(record)
        return record

    def note_change(self, record: Record) -> None:
        """Have *record* sent to those who watch."""
        self._version += 1
        record.version = self._version
        for event in self._waiting:
            event.set()

    def find(self, number: int) -> Record | None:
        """Return the record of that number, None when it has gone; from any thread."""
        return next((record for record in list(self._kept) if record.number == number), None)

    async def changed(self) -> AsyncIterator[list[Record]]:
        """Yield all records, oldest first, then those that have changed, as often as there are some.

        A reader that is slow gets the newest state of each, and keeps nothing waiting.
        """
        seen = 0
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            while True:
                event.clear()
                found = [record for record in self._kept if record.version > seen]
                seen = self._version
                yield found
                await event.wait()
        finally:
            self._waiting.discard(event)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _text(text: str) -> str:
    masked = _masked(text[:MAX_TEXT])
    return masked if len(text) <= MAX_TEXT else f"{masked}… (cut)"


_masked = lru_cache(1024)(mask_text)


@lru_cache(1024)
def _shape_of(statement: str) -> str:
    """*statement* without its literals, lists of places as one: alike for each turn of a loop."""
    return _PLACES.sub("(…)", _LITERAL.sub("?", " ".join(statement.split())))
