"""What makes records of requests. Begin with `Recorder`; `current_record` is for those that add to them."""

import inspect
import sys
import traceback
from typing import Any

from torngas_aio._project_errors import is_project_file
from torngas_aio.context import error_sink
from torngas_aio.errorpage.masking import Showing
from torngas_aio.errorpage.report import items_of_request, masked_url
from torngas_aio.operations.access import is_own_page
from torngas_aio.operations.inspector.record import Record, Records
from torngas_aio.operations.observing import Observation, Observer, Stage, current_observation

__all__ = ["INSPECTOR_PATH", "Recorder", "current_record", "place_of_caller"]

INSPECTOR_PATH = "/-/inspector"

_MAX_FRAMES = 30
_SUSPENDS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_MAX_ERRORS = 5


class Recorder(Observer):
    """Writes a record of each request, as the stages of the pipeline tell it."""

    wants_hooks = True

    def __init__(self, records: Records) -> None:
        self._records = records

    def request_started(self, observation: Observation) -> bool:
        request: Any = observation.request
        if request.path.startswith("/-/"):  # an operator's, such as the health checks of what runs containers
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
        if stage.name != "hooks":  # all of a stage together; each of them is told by itself
            record: Record = observation.notes[Recorder]
            record.add("stage", stage.started, stage.seconds, title=_title(observation, stage), stage=stage.name)

    def request_ended(self, observation: Observation) -> None:
        record: Record = observation.notes[Recorder]
        request: Any = observation.request
        handler, route = observation.handler, observation.route
        record.seconds = observation.seconds
        kind = type(handler) if handler is not None else None if route is None else route.handler_class
        record.summary |= {"status": observation.status, "route": observation.route_name}
        record.details |= {
            "handler": "" if kind is None else _name_of(kind),
            "pattern": "" if route is None else route.pattern,
            "path": str(request.path)[:2000],
            "request": items_of_request(request, Showing(), with_body="body_arguments" in vars(request)),
        }
        self._records.note_change(record)


class _Errors(list[BaseException]):
    """Takes the errors that the request answered, for its record and for who asked before."""

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
    """Return the record of the request that this code runs for; None outside any that is inspected."""
    observation = current_observation()
    return None if observation is None else observation.notes.get(Recorder)


def place_of_caller() -> str:
    """Return file and line of the project's code that this was called for; "" where there is none.

    Looks through greenlets of SQLAlchemy, and no further than the coroutines of the task: their caller runs the loop.
    """
    frame: Any = sys._getframe(1)
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
        return f"{_name_of(type(observation.handler))}.{str(observation.request.method).lower()}"
    return stage.label or _TITLES.get(stage.name, stage.name)


_TITLES = {"commit": "commit", "save": "save the session", "send": "send the answer"}


def _name_of(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shown_error(error: BaseException) -> dict[str, Any]:
    """*error* as values for JSON, its frames innermost first; the lines of source are read when it is looked at."""
    frames = [
        {"file": frame.f_code.co_filename, "line": line, "function": frame.f_code.co_name}
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    kept = [{**frame, "is_own": is_project_file(str(frame["file"]))} for frame in frames[-_MAX_FRAMES:]]
    return {"type": _name_of(type(error)), "message": Showing().message(error)[:2000], "frames": kept[::-1]}
