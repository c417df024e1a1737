"""How metrics, traces and the inspector see requests: observers, and what tells them.

    request ──► wants ──► request_started ──► stage_ended, for each stage ──► request_ended

    hooks     request, render, response, endcall or exception hooks together; the label says which
    hook      one of them, inside of `hooks`; the label is its dotted name; only for observers that `wants_hooks`
    method    get, post, ... of the handler
    render    a template; the label is its name
    commit    the transaction of ATOMIC_REQUESTS; the label is empty, as in the next two
    save      the session's, and cookies that tell what was written
    send      the answer is given to the transport

Stages nest: the method that awaits `self.finish()` holds the response hooks, commit, save and send. `seconds` of a
stage are all of it, `own_seconds` leave out the stages inside of it.

`ServerTiming` is one of them, for the browser's network view with DEBUG on.
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
    "complain",
    "current_observation",
    "enter_observation",
    "received_bytes",
    "told",
]

logger = logging.getLogger("torngas_aio.operations")

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that metrics and spans name; a client may send any other."""

STAGES = ("hooks", "hook", "method", "render", "commit", "save", "send")

_current: ContextVar["Observation | None"] = ContextVar("torngas_aio_observation", default=None)

current_observation = _current.get
"""Return the observation of the request that this code runs for, tasks of it included; None where there is none."""

enter_observation = _current.set
"""Make an observation the current one in this context."""


class Observer:
    """What wants to know about requests. Its methods are called in the request's task and context; they must be quick.

    An observer of its own state for one request keeps it in `observation.notes[self]`. What a method raises is logged
    once for each class of error, and the request goes on.

    Attributes:
        wants_hooks: Whether each hook is timed, beside all hooks of a stage together.
    """

    wants_hooks = False

    def wants(self, request: "Request") -> bool:
        """Return whether *request*, whose head is in, is observed at all: one that no observer wants costs no more."""
        return True

    def request_started(self, observation: "Observation") -> bool:
        """Take note of a request whose head is in; return whether the other methods are to be called for it."""
        return True

    def stage_ended(self, observation: "Observation", stage: "Stage") -> None:
        """Take note of a stage that has ended, by an error or by being cancelled, too."""

    def head_fields(self, observation: "Observation") -> dict[str, str]:
        """Return header fields that are added to the answer; asked once, right before its head is sent."""
        return {}

    def request_ended(self, observation: "Observation") -> None:
        """Take note of a request that was answered, or given up; of a WebSocket, that it has closed."""


class Observation:
    """One request as its observers see it.

    Attributes:
        request: The request.
        handler: Who answers it; None before it is routed, and where that is a handler of plain Tornado.
        started: As `time.perf_counter()`.
        seconds: How long it took; 0.0 until it has ended.
        is_ended: It has been answered; tasks that it has started may go on.
        stage: The innermost stage that has not ended.
        own_seconds: How long the stages of each name have taken so far, without the stages inside of them; what each
            hook takes by itself is in `hooks`, too.
        notes: What observers keep; each under itself.
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
        self.observers = [observer for observer in observers if told(observer.request_started, self)]

    @property
    def route(self) -> "Route | None":
        """The route that it led to; None before, and where there is none."""
        route: Route | None = self.request.route
        return route

    @property
    def started_at(self) -> float:
        """When it began, as `time.time()`."""
        return time() - perf_counter() + self.started

    @property
    def route_name(self) -> str:
        """The route's name, else its pattern; "" where no route matched: never anything of the client's."""
        return "" if self.route is None else self.route.name or self.route.pattern

    @property
    def status(self) -> int:
        """The answer's status; 0 where none was sent."""
        return int(self.request.connection.status)

    @property
    def received_bytes(self) -> int:
        """How long the request's body is, as far as it has arrived; where that is not known, as it was announced."""
        return received_bytes(self.request)

    @property
    def sent_bytes(self) -> int:
        """How long the answer's body is, before compression; of a file that the client did not take to its end, too."""
        if self.handler is None or self.request.method == "HEAD" or not allows_body(self.handler.get_status()):
            return 0
        if self._sent_bytes:
            return self._sent_bytes
        promised = str(self.handler.header_fields().get("Content-Length", ""))  # a file that the kernel has sent
        return int(promised) if promised.isdecimal() else 0

    def note_sent(self, parts: Iterable[bytes]) -> None:
        """Count *parts* of the answer's body."""
        self._sent_bytes += sum(map(len, parts))

    def head_fields(self) -> dict[str, str]:
        """Return what observers add to the answer's head."""
        fields: dict[str, str] = {}
        for observer in self.observers:
            fields |= told(observer.head_fields, self) or {}
        return fields

    async def timed(self, name: str, label: str, work: Awaitable[Any]) -> Any:
        """Await *work* as the stage *name*, and return what it gives."""
        stage = Stage(self, name, label)
        try:
            return await work
        finally:
            stage.end()

    def end(self) -> None:
        """Tell the observers that the request has ended; once."""
        self.seconds = perf_counter() - self.started
        self.is_ended = True
        for observer in self.observers:
            told(observer.request_ended, self)


class Stage:
    """A part of the work for a request.

    Attributes:
        name: One of STAGES.
        label: Which one of its kind; "" where there is nothing to tell apart.
        started: As `time.perf_counter()`.
        seconds: How long it took; 0.0 before it has ended.
        outer: The stage in which it began; None for an outermost one.
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
        """The name under which its time is added up: that of one hook is a part of the time of `hooks`."""
        return "hooks" if self.name == "hook" else self.name

    @property
    def own_seconds(self) -> float:
        """How long it took without the stages that began in it; those of another task may have gone on beside it."""
        return max(self.seconds - self._inner_seconds, 0.0)

    def own_seconds_until(self, moment: float) -> float:
        """Return what `own_seconds` would be if a stage that goes on had ended at *moment*."""
        return max(moment - self.started - self._inner_seconds, 0.0)

    def end(self, *, is_told: bool = True) -> None:
        """Take the time and tell the observers; without *is_told* the time counts as that of the stage around."""
        self.seconds = perf_counter() - self.started
        observation, outer = self._observation, self.outer
        if observation.stage is self:  # another task of the request may have begun one meanwhile
            observation.stage = outer
        if not is_told:
            return
        if outer is not None:
            outer._inner_seconds += self.seconds
        observation.own_seconds[self.sum_name] = observation.own_seconds.get(self.sum_name, 0.0) + self.own_seconds
        for observer in observation.observers:
            told(observer.stage_ended, observation, self)


ENDED = Observation(SimpleNamespace(), ())  # type: ignore[arg-type]  # stands in for a request
"""Stands in, in a handler, when its request has been answered."""


def received_bytes(request: "Request") -> int:
    """Return how long the body of *request* is; see `Observation.received_bytes`."""
    body: Any = request.connection.body
    if body is NO_BODY:
        return 0
    received: int | None = getattr(body, "received", None)
    return received if received is not None else parse_whole(request.headers.get("Content-Length", "")) or 0


_failed: set[tuple[type, type[BaseException] | None]] = set()


def told(tell: Any, *of: Any) -> Any:
    """Return what *tell*, a method of an observer, returns; None where it fails, which is logged."""
    try:
        return tell(*of)
    except Exception:  # noqa: BLE001  a boundary: who looks on must not fail a request
        return complain(tell.__self__)


def complain(observer: Observer) -> None:
    """Log the error that is being handled, once for each kind."""
    key = type(observer), sys.exc_info()[0]
    if key not in _failed:
        _failed.add(key)
        logger.exception("The observer %s failed; this is said once.", type(observer).__qualname__)  # noqa: LOG004


class ServerTiming(Observer):
    """Adds `Server-Timing: hooks;dur=0.21, method;dur=4.02, total;dur=6.31` to each answer.

    Stages that come after the header (send, endcall hooks) cannot be in it.
    """

    def head_fields(self, observation: Observation) -> dict[str, str]:
        now, times = perf_counter(), dict(observation.own_seconds)
        stage = observation.stage
        while stage is not None:  # those that go on: a method that awaits its `finish()`
            times[stage.sum_name] = times.get(stage.sum_name, 0.0) + stage.own_seconds_until(now)
            now, stage = stage.started, stage.outer
        times["total"] = perf_counter() - observation.started
        return {"Server-Timing": ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in times.items())}
