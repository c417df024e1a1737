"""Observers of requests, the base of metrics, traces and the inspector, and the observations that they receive.

    request ──► request_started ──► stage_ended, for each stage ──► request_ended

    hooks     all request, render, response, endcall or exception hooks together; the label names the kind
    hook      one hook, nested in `hooks`; the label is its dotted name; only if an observer sets `wants_hooks`
    method    get, post, ... of the handler
    render    a template; the label is its name
    commit    the transaction of ATOMIC_REQUESTS; the label is empty, as in the next two
    save      saving the session, and cookies that depend on its result
    send      passing the response to the transport

Stages nest: a method that awaits `self.finish()` contains the response hooks, commit, save and send. `seconds` is the
full duration of a stage, `own_seconds` excludes nested stages.

`ServerTiming` is the observer for the browser's network view while DEBUG is on.
"""

# pyright: reportPrivateUsage=false

import logging
import sys
from collections.abc import Awaitable, Iterable
from contextvars import ContextVar
from time import perf_counter, time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from torngas_aio.http.body import NO_BODY
from torngas_aio.http.response import allows_body
from torngas_aio.utils.numbers import parse_whole

if TYPE_CHECKING:
    from torngas_aio.http.request import Request
    from torngas_aio.routing import Route

__all__ = [
    "ENDED",
    "KNOWN_METHODS",
    "STAGES",
    "Observation",
    "Observer",
    "ServerTiming",
    "Stage",
    "current_observation",
    "enter_observation",
    "log_failure",
    "notify",
    "received_bytes",
]

logger = logging.getLogger("torngas_aio.operations")

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that metrics and spans show by name; any other, which a client chooses, is grouped."""

STAGES = ("hooks", "hook", "method", "render", "commit", "save", "send")

_current: ContextVar["Observation | None"] = ContextVar("torngas_aio_observation", default=None)

current_observation = _current.get
"""Return the observation of the current request, also in tasks that it started; None outside an observed request."""

enter_observation = _current.set
"""Set the current observation in this context."""


class Observer:
    """A base class of observers. Its methods are called in the request's task and context; they must be fast.

    State for one request is kept in `observation.notes[self]`. An exception in a method is logged once for each class
    of error, and the request continues.

    Attributes:
        wants_hooks: Whether each hook is timed individually, in addition to all hooks of a stage together.
    """

    wants_hooks = False

    def request_started(self, observation: "Observation") -> bool:
        """Handle the start of a request, whose head has arrived; return whether to call the other methods for it."""
        return True

    def stage_ended(self, observation: "Observation", stage: "Stage") -> None:
        """Handle the end of a stage, by return, error or cancellation."""

    def head_fields(self, observation: "Observation") -> dict[str, str]:
        """Return header fields to add to the response; called once, right before its head is sent."""
        return {}

    def request_ended(self, observation: "Observation") -> None:
        """Handle the end of a request, answered or aborted; for a WebSocket, its close."""


class Observation:
    """One request as its observers see it.

    Attributes:
        request: The request.
        handler: Its handler; None before it is routed, and for handlers of plain Tornado.
        started: Start, as `time.perf_counter()`.
        seconds: Duration; 0.0 until it has ended.
        is_ended: Whether the request has ended; tasks that it started may still run.
        stage: The innermost stage in progress.
        own_seconds: Total time by stage name so far, without nested stages; the time of a single hook counts as
            `hooks`.
        notes: State of observers, keyed by observer.
    """

    handler: Any = None
    seconds = 0.0
    is_ended = False
    stage: "Stage | None" = None
    _sent_bytes = 0

    def __init__(self, request: "Request", observers: Iterable[Observer]) -> None:
        self.request = request
        self.started = perf_counter()
        self.own_seconds: dict[str, float] = {}
        self.notes: dict[Any, Any] = {}
        self.observers = [observer for observer in observers if notify(observer.request_started, self)]

    @property
    def route(self) -> "Route | None":
        """The matched route; None before routing, and if no route matched."""
        route: Route | None = self.request.route
        return route

    @property
    def started_at(self) -> float:
        """Start of the request, as `time.time()`."""
        return time() - perf_counter() + self.started

    @property
    def route_name(self) -> str:
        """The route's name, else its pattern; "" if no route matched. Never contains data from the client."""
        return "" if self.route is None else self.route.name or self.route.pattern

    @property
    def status(self) -> int:
        """The response status; 0 if none was sent."""
        return int(self.request.connection.status)

    @property
    def received_bytes(self) -> int:
        """Bytes of the request body that have arrived; if that is unknown, its Content-Length."""
        return received_bytes(self.request)

    @property
    def sent_bytes(self) -> int:
        """Bytes of the response body before compression; for a file its full size, even if the transfer was aborted."""
        if self.handler is None or self.request.method == "HEAD" or not allows_body(self.handler.get_status()):
            return 0
        if self._sent_bytes:
            return self._sent_bytes
        promised = str(self.handler.header_fields().get("Content-Length", ""))  # a file, sent by sendfile
        return int(promised) if promised.isdecimal() else 0

    def note_sent(self, parts: Iterable[bytes]) -> None:
        """Count *parts* of the response body."""
        self._sent_bytes += sum(map(len, parts))

    def head_fields(self) -> dict[str, str]:
        """Return the header fields that observers add to the response."""
        fields: dict[str, str] = {}
        for observer in self.observers:
            fields |= notify(observer.head_fields, self) or {}
        return fields

    async def timed(self, name: str, label: str, work: Awaitable[Any]) -> Any:
        """Await *work* as the stage *name* and return its result."""
        stage = Stage(self, name, label)
        try:
            return await work
        finally:
            stage.end()

    def end(self) -> None:
        """Notify the observers that the request has ended; call once."""
        self.seconds = perf_counter() - self.started
        self.is_ended = True
        for observer in self.observers:
            notify(observer.request_ended, self)


class Stage:
    """A part of the work for a request.

    Attributes:
        name: One of STAGES.
        label: Distinguishes stages of the same name; may be "".
        started: Start, as `time.perf_counter()`.
        seconds: Duration; 0.0 until it has ended.
        outer: The stage that it is nested in; None for an outermost one.
    """

    __slots__ = ("_inner_seconds", "_observation", "label", "name", "outer", "seconds", "started")

    def __init__(self, observation: Observation, name: str, label: str = "") -> None:
        self.name = name
        self.label = label
        self.outer = observation.stage
        self.seconds = 0.0
        self._observation = observation
        self._inner_seconds = 0.0
        observation.stage = self
        self.started = perf_counter()

    @property
    def sum_name(self) -> str:
        """The name that its time is added to: the time of one hook counts as `hooks`."""
        return "hooks" if self.name == "hook" else self.name

    @property
    def own_seconds(self) -> float:
        """Duration without nested stages; at least 0.0, since nested stages of other tasks may overlap."""
        return max(self.seconds - self._inner_seconds, 0.0)

    def own_seconds_until(self, moment: float) -> float:
        """Return `own_seconds` of a stage in progress as if it ended at *moment*."""
        return max(moment - self.started - self._inner_seconds, 0.0)

    def end(self, *, is_reported: bool = True) -> None:
        """Record the duration and notify the observers; without *is_reported* the time counts for the outer stage."""
        self.seconds = perf_counter() - self.started
        observation, outer = self._observation, self.outer
        if observation.stage is self:  # another task of the request may have started a stage in between
            observation.stage = outer
        if not is_reported:
            return
        if outer is not None:
            outer._inner_seconds += self.seconds
        observation.own_seconds[self.sum_name] = observation.own_seconds.get(self.sum_name, 0.0) + self.own_seconds
        for observer in observation.observers:
            notify(observer.stage_ended, observation, self)


ENDED = Observation(SimpleNamespace(), ())  # type: ignore[arg-type]  # stands in for a request
"""A placeholder: the observation of a handler whose request has ended."""


def received_bytes(request: "Request") -> int:
    """Return the received bytes of the body of *request*; see `Observation.received_bytes`."""
    body: Any = request.connection.body
    if body is NO_BODY:
        return 0
    received: int | None = getattr(body, "received", None)
    return received if received is not None else parse_whole(request.headers.get("Content-Length", "")) or 0


_failed: set[tuple[type, type[BaseException] | None]] = set()


def notify(method: Any, *args: Any) -> Any:
    """Call *method*, a method of an observer, and return its result; on an exception log it and return None."""
    try:
        return method(*args)
    except Exception:  # noqa: BLE001  a boundary: observers must not fail a request
        return log_failure(method.__self__)


def log_failure(observer: Observer) -> None:
    """Log the current exception, once for each class of observer and of exception."""
    key = type(observer), sys.exc_info()[0]
    if key not in _failed:
        _failed.add(key)
        logger.exception("The observer %s failed; this is said once.", type(observer).__qualname__)  # noqa: LOG004


class ServerTiming(Observer):
    """An observer that adds `Server-Timing: hooks;dur=0.21, method;dur=4.02, total;dur=6.31` to each response.

    Stages after the response head (send, endcall hooks) are not included.
    """

    def head_fields(self, observation: Observation) -> dict[str, str]:
        now, times = perf_counter(), dict(observation.own_seconds)
        stage = observation.stage
        while stage is not None:  # stages in progress, such as a method that awaits `finish()`
            times[stage.sum_name] = times.get(stage.sum_name, 0.0) + stage.own_seconds_until(now)
            now, stage = stage.started, stage.outer
        times["total"] = perf_counter() - observation.started
        return {"Server-Timing": ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in times.items())}
