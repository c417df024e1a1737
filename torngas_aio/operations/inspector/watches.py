"""Instrumentation of other parts, installed while an inspector is open and removed when the last one closes.

    logging      a log record factory
    sessions     wrapped methods: reads, changes, saves
    signals      wrapped `send` methods: each call that reaches a receiver
    caches, SQL  listeners of `operations.calls`
    jobs         listeners of `_job_events`: jobs enqueued by a request, and the last runs in this process

Sessions and signals are wrapped at the first request after their module is loaded; nothing is imported for this.
"""

import functools
import logging
import sys
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from time import perf_counter, time
from typing import Any
from weakref import WeakKeyDictionary

from torngas_aio._job_events import JobEvent, job_listeners
from torngas_aio._masking import MASK, is_secret
from torngas_aio.errorpage.masking import Showing
from torngas_aio.operations.calls import Call, watched_calls
from torngas_aio.operations.inspector.record import current_record, place_of_caller

__all__ = ["job_runs", "watches"]

_Make = Callable[[Any], Any]

_RECORDS = {"%s:": "a session", "%u:": "the sessions of a user"}  # key prefix: shown text, without the id

_KEYED = ("get", "pop", "incr", "set")
_GIVEN = ("set", "set_expire", "bind_user")
_SESSION = {name: name for name in (*_KEYED[:3], *_GIVEN[1:], "clear", "expired", "cycle_id")} | {"__setitem__": "set"}


class _Watches:
    """The instrumentation of this process; opened once for each inspected application."""

    def __init__(self) -> None:
        self._count = 0
        self._undo = ExitStack()
        self._pending: dict[str, Callable[[ExitStack, Any], None]] = {}

    def open(self) -> None:
        """Install the instrumentation, on the first call."""
        self._count += 1
        if self._count == 1:
            _watch_log(self._undo)
            self._undo.enter_context(watched_calls(_add_call))
            job_listeners.append(_note_job)
            self._undo.callback(job_listeners.remove, _note_job)
            self._pending = dict(_SERVICES)
            self.look()

    def close(self) -> None:
        """Remove the instrumentation, on the last call."""
        self._count -= 1
        if self._count == 0:
            self._pending = {}
            self._undo.close()

    def look(self) -> None:
        """Instrument services whose modules have been loaded since the last call."""
        for name in [name for name in self._pending if name in sys.modules]:
            self._pending.pop(name)(self._undo, sys.modules[name])


watches = _Watches()


def _replace(undo: ExitStack, owner: Any, name: str, make: _Make) -> None:
    """Replace the attribute *name* by *make* of it, until *undo* is closed."""
    is_own, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, functools.wraps(before)(make(before)))
    undo.callback(setattr, owner, name, before) if is_own else undo.callback(delattr, owner, name)


# ------------------------------------------------------------------ logging


def _watch_log(undo: ExitStack) -> None:
    make = logging.getLogRecordFactory()

    def make_and_note(*args: Any, **kwargs: Any) -> logging.LogRecord:
        line = make(*args, **kwargs)
        record = current_record() if line.name else None  # `makeLogRecord`, such as of a pickled record: no name
        if record is not None:
            record.add(
                "log", title=_message_of(line), level=line.levelname, logger=line.name,
                is_bad=line.levelno >= logging.WARNING, place=f"{line.pathname}:{line.lineno}",
            )  # fmt: skip
        return line

    logging.setLogRecordFactory(make_and_note)
    undo.callback(logging.setLogRecordFactory, make)


def _message_of(line: logging.LogRecord) -> str:
    try:
        return line.getMessage()
    except Exception:  # noqa: BLE001  a boundary: `logging` itself reports arguments that do not fit the message
        return str(line.msg)


# --------------------------------------------------------------- caches, SQL


def _add_call(call: Call) -> None:
    record = current_record()
    if record is None:
        return
    error = _text_of(call.error)
    if call.kind == "cache":
        outcome = _outcome(call.hits, call.misses)
        record.add(
            "cache", call.started, call.seconds, title=_shown_key(call.text), operation=call.operation,
            alias=call.target, outcome=outcome, error=error, place=place_of_caller(),
        )  # fmt: skip
    else:
        values: Any = MASK if any(map(is_secret, call.names)) else call.parameters or ""
        if values and values is not MASK:
            values = dict(Showing(max_chars=300).items({"sql": call.text, "parameters": values}))["parameters"]
        server = call.server.rpartition(f"{call.role} ")[2] if call.role else call.server
        record.add(
            "sql", call.started, call.seconds, title=call.text, parameters=values, place=place_of_caller(),
            database=call.target, role=call.role, server=server, error=error,
        )  # fmt: skip


def _text_of(error: BaseException | None) -> str:
    return "" if error is None else Showing().message(error) or type(error).__name__


def _outcome(hits: int, misses: int) -> str:
    if hits + misses < 2:
        return "hit" if hits else "miss" if misses else ""
    return f"{hits} of {hits + misses} hit"


def _shown_key(key: str) -> str:
    return next((shown for head, shown in _RECORDS.items() if key.startswith(head)), key[:250])


# --------------------------------------------------------------------- jobs

job_runs: deque[dict[str, Any]] = deque(maxlen=50)
"""The last job attempts in this process, newest last: masked values for JSON."""

_RUNS = frozenset({"succeeded", "failed", "given back"})
_AFTER = {"retried": "failed, tried again", "dead": "failed for good"}


def _note_job(event: JobEvent) -> None:
    if event.kind == "enqueued" and (record := current_record()) is not None:
        shown = [f"{name} = {value}" for name, value in Showing(max_chars=300).items(dict(event.arguments or {}))]
        record.add("job", title=event.name, queue=event.queue, key=event.key, arguments=shown, place=place_of_caller())
    elif event.kind in _RUNS:
        job_runs.append({
            "name": event.name, "id": event.id, "queue": event.queue, "attempt": event.attempt + 1,
            "ended_at": time(), "ms": round(event.seconds * 1000, 2), "outcome": event.kind,
            "error": _text_of(event.error),
        })  # fmt: skip
    elif event.kind in _AFTER:
        run = next((run for run in reversed(job_runs) if run["id"] == event.id), None)
        if run is not None:
            run["outcome"] = _AFTER[event.kind]


# ----------------------------------------------------------------- sessions


def _watch_sessions(undo: ExitStack, module: Any) -> None:
    for name, shown in _SESSION.items():
        _replace(undo, module.Session, name, functools.partial(_watched_session, shown))


def _watched_session(name: str, before: Any) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = before(self, *args, **kwargs)
        if (record := current_record()) is not None:
            key = str(args[0]) if args and name in _KEYED else ""
            shown = args[-1] if name in _GIVEN and args else result
            value = Showing(max_chars=300).text(shown, key) if name in _KEYED or name in _GIVEN else ""
            place = place_of_caller()
            record.add("session", title=key, operation=name, value=value, is_change=name != "get", place=place)
        return result

    return call


# ------------------------------------------------------------------ signals

_signal_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _watch_signals(undo: ExitStack, module: Any) -> None:
    for name in ("send", "send_robust"):
        _replace(undo, module.Signal, name, _watched_signal)


def _watched_signal(before: Any) -> Any:
    async def call(self: Any, sender: Any, **named: Any) -> Any:
        started, answers = perf_counter(), None
        try:
            answers = await before(self, sender, **named)
            return answers
        finally:
            record = current_record()
            if record is not None and answers != []:
                receivers = [getattr(receiver, "__qualname__", repr(receiver)) for receiver, _ in answers or ()]
                text = ", ".join(receivers) if answers else "failed"
                record.add("signal", started, perf_counter() - started, title=_name_of_signal(self), receivers=text)

    return call


def _name_of_signal(signal: Any) -> str:
    """Return the shortest dotted name of *signal* among all loaded modules."""
    if signal not in _signal_names:
        held = ((name, getattr(module, "__dict__", {})) for name, module in list(sys.modules.items()))
        found = (f"{name}.{key}" for name, names in held for key, value in list(names.items()) if value is signal)
        _signal_names[signal] = min(found, key=len, default="a signal")
    return _signal_names[signal]


_SERVICES: dict[str, Callable[[ExitStack, Any], None]] = {
    "torngas_aio.session.session": _watch_sessions,
    "torngas_aio.dispatch": _watch_signals,
}
