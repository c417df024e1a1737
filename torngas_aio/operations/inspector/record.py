"""Records of requests, and the observer that writes them: entries on a timeline, masked and bounded.

entry   {"kind": "sql", "at": 3.1, "ms": 0.8, "title": "SELECT ...", ...}    times in milliseconds from the start
"""

import asyncio
import inspect
import re
import sys
import traceback
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from time import perf_counter
from typing import Any

from torngas_aio._project_errors import is_project_file
from torngas_aio.context import error_sink
from torngas_aio.errorpage.masking import Showing, mask_text
from torngas_aio.errorpage.report import items_of_request, masked_url
from torngas_aio.operations.access import is_own_page
from torngas_aio.operations.observing import Observation, Observer, Stage, current_observation
from torngas_aio.utils.narrowing import class_of

__all__ = [
    "INSPECTOR_PATH",
    "MAX_RECORDS",
    "MAX_RECORD_BYTES",
    "Record",
    "Recorder",
    "Records",
    "current_record",
    "place_of_caller",
]

MAX_RECORDS = 100
MAX_ENTRIES = 1000
MAX_RECORD_BYTES = 256 * 1024
MAX_TEXT = 2000
"""Characters of one text."""

_ENTRY_BYTES = 200  # the dict, its keys and numbers
_REPEATED = 3  # equal statements to report; two may be intended

_ASKS = re.compile(r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|REPLACE|MERGE|CALL)\b", re.IGNORECASE)
_LITERAL = re.compile(r"'(?:[^']|'')*'|(?<![\w$:])\d+(?:\.\d+)?\b")
_PLACES = re.compile(r"\((?:\s*(?:\?|%s|\$\d+|:\w+|%\(\w+\)s)\s*,?)+\)")

Entry = dict[str, Any]

INSPECTOR_PATH = "/-/inspector"
_MAX_FRAMES = 30
_SUSPENDS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_MAX_ERRORS = 5


class Record:
    """One request.

    Attributes:
        number: Sequence number within this process.
        summary: Fields of the request list, besides times and counts.
        details: Fields shown only on the request's own page.
        seconds: Duration; None while the request is in progress.
        version: Number of the last change, counted over all records.
        omitted: Number of entries dropped for lack of space, by kind.
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
        """Append an entry; beyond the limits it is only counted, in `omitted`.

        Args:
            started: Start, as `time.perf_counter()`; None: now.
            seconds: Duration; None for an event without duration.
            fields: Strings are masked and cut here; other values are numbers, booleans, None, or lists of masked
                strings.
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
        """Return all fields, with entries in order of their start."""
        entries = sorted(self._entries, key=lambda entry: float(entry["at"]))
        return {
            **self.as_summary(),
            **self.details,
            "entries": entries,
            "repeats": list(self.repeated()),
            "omitted": dict(self.omitted),
        }

    def repeated(self) -> Iterator[dict[str, Any]]:
        """Yield each statement that ran three times or more, regardless of values: typically a query in a loop."""
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
    """The records of the last requests; the oldest is dropped first."""

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
        """Wake the readers of `changed`, which then receive *record*."""
        self._version += 1
        record.version = self._version
        for event in self._waiting:
            event.set()

    def find(self, number: int) -> Record | None:
        """Return the record of that number, None if it was dropped; may be called from any thread."""
        return next((record for record in list(self._kept) if record.number == number), None)

    async def changed(self) -> AsyncIterator[list[Record]]:
        """Yield all records, oldest first, then the changed ones each time there are some.

        A slow reader gets the latest state of each record, and delays no request.
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
    """Return *statement* without literals and with lists of placeholders collapsed: equal for each pass of a loop."""
    return _PLACES.sub("(…)", _LITERAL.sub("?", " ".join(statement.split())))


class Recorder(Observer):
    """The observer that writes a record of each request."""

    wants_hooks = True

    def __init__(self, records: Records) -> None:
        self._records = records

    def request_started(self, observation: Observation) -> bool:
        request: Any = observation.request
        if request.path.startswith("/-/"):  # an operations endpoint, such as the health checks of an orchestrator
            return False
        record = self._records.begin(
            observation.started, observation.started_at, str(request.method), masked_url(request)
        )
        observation.notes[Recorder] = record
        if is_own_page(request):
            request.inspected_at = f"{INSPECTOR_PATH}#/requests/{record.number}"  # the debug page's link
        error_sink.set(_Errors(record, error_sink.get()))
        return True

    def stage_ended(self, observation: Observation, stage: Stage) -> None:
        if stage.name != "hooks":  # the total of a stage's hooks; each hook has its own entry
            record: Record = observation.notes[Recorder]
            record.add("stage", stage.started, stage.seconds, title=_title(observation, stage), stage=stage.name)

    def request_ended(self, observation: Observation) -> None:
        record: Record = observation.notes[Recorder]
        request: Any = observation.request
        handler, route = observation.handler, observation.route
        record.seconds = observation.seconds
        kind = class_of(handler) if handler is not None else None if route is None else route.handler_class
        record.summary |= {"status": observation.status, "route": observation.route_name}
        record.details |= {
            "handler": "" if kind is None else _name_of(kind),
            "pattern": "" if route is None else route.pattern,
            "path": str(request.path)[:2000],
            "request": items_of_request(request, Showing(), with_body="body_arguments" in vars(request)),
        }
        self._records.note_change(record)


class _Errors(list[BaseException]):
    """An error sink that adds errors to the record and forwards them to the sink that was set before."""

    def __init__(self, record: Record, outer: list[BaseException] | None) -> None:
        super().__init__()
        self._record = record
        self._outer = outer

    def append(self, error: BaseException) -> None:
        if self._outer is not None:
            self._outer.append(error)
        self._record.add("error", title=_name_of(type(error)), message=Showing().message(error))
        errors = self._record.details.setdefault("errors", [])
        if len(errors) < _MAX_ERRORS:
            errors.append(_shown_error(error))


def current_record() -> Record | None:
    """Return the record of the current request; None outside an inspected request."""
    observation = current_observation()
    return None if observation is None else observation.notes.get(Recorder)


def place_of_caller() -> str:
    """Return file and line of the innermost project code on the call stack; "" if there is none.

    Follows SQLAlchemy's greenlets, and stops at the outermost coroutine of the task, since its caller is the loop.
    """
    frame: Any = inspect.currentframe()
    switch = sys.modules.get("greenlet")
    current = None if switch is None else switch.getcurrent()
    is_awaited = False
    while frame is not None:
        code = frame.f_code
        if is_awaited and not code.co_flags & _SUSPENDS:
            return ""
        if is_project_file(code.co_filename):
            return f"{code.co_filename}:{frame.f_lineno}"
        is_awaited = is_awaited or bool(code.co_flags & inspect.CO_COROUTINE)
        frame = frame.f_back
        if frame is None and current is not None and (current := current.parent) is not None:
            frame = current.gr_frame
    return ""


def _title(observation: Observation, stage: Stage) -> str:
    if stage.name == "method":
        return f"{_name_of(class_of(observation.handler))}.{str(observation.request.method).lower()}"
    return stage.label or _TITLES.get(stage.name, stage.name)


_TITLES = {"commit": "commit", "save": "save the session", "send": "send the answer"}


def _name_of(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shown_error(error: BaseException) -> dict[str, Any]:
    """Return *error* as values for JSON, its frames innermost first; source lines are read when the page is viewed."""
    frames = [
        {"file": frame.f_code.co_filename, "line": line, "function": frame.f_code.co_name}
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    kept = [{**frame, "is_own": is_project_file(str(frame["file"]))} for frame in frames[-_MAX_FRAMES:]]
    return {"type": _name_of(type(error)), "message": Showing().message(error)[:2000], "frames": kept[::-1]}
