"""The life of a response: its states, and the events that lead from one to the next.

    OPEN ──finish──► SETTLED ──send──► SENT ──end──► ENDED
     │ ▲               │ │ interrupt    ▲ ▲
     │ └────reopen─────┘ └─► INTERRUPTED┘ │ release: cut, handed over, or answered by a bare 503
     └─flush─► FLUSHING ─begin─► STREAMING┘ send

`TRANSITIONS` is the whole table. A step is `handler._response_state = handler._response_state.after["finish"]`; an
event that is not legal in the state raises `IllegalTransition`.
PERF: states are shared: a step costs 30 ns, where an object for each request costs 240 ns, 1.8 % of a plain GET.
"""

from enum import Enum
from typing import Any, Literal, NoReturn

__all__ = [
    "ANY_TASK",
    "ENDED",
    "FLUSHING",
    "INTERRUPTED",
    "LATE",
    "OPEN",
    "RECEIVING",
    "RETURNED",
    "RUNNING",
    "SENT",
    "SETTLED",
    "STREAMING",
    "TRANSITIONS",
    "WATCHED",
    "IllegalTransition",
    "MethodPhase",
    "ResponseState",
    "require_changeable",
]


class IllegalTransition(RuntimeError):
    """An event that cannot happen to a response in its state."""


Event = Literal["flush", "finish", "begin", "send", "interrupt", "reopen", "release", "end"]


class _Steps(dict[Event, "ResponseState"]):
    """The states that follow one state, by event."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __missing__(self, event: Event) -> NoReturn:
        raise IllegalTransition(f"{event!r} cannot happen to a response that is {self._label}.")


class ResponseState(Enum):
    """Where a response stands.

    Attributes:
        is_finished: Status, headers and body are fixed: only response hooks may change them. Tornado's `_finished`.
        has_head: The head has left, or never will. Tornado's `_headers_written`.
        is_sent: Nothing of it can be sent any more.
        is_pending: There is something to be completed: hooks to run, bytes to send.
        after: The state that follows, by event.

    Raises:
        IllegalTransition: By `after`, for an event that is not legal in this state.
    """

    #              finished, head, sent, pending
    OPEN = ("open", False, False, False, False)
    FLUSHING = ("flushing", False, False, False, True)
    SETTLED = ("settled", True, False, False, True)
    INTERRUPTED = ("interrupted", True, False, False, False)
    STREAMING = ("streaming", False, True, False, False)
    SENT = ("sent", True, True, True, True)
    ENDED = ("ended", True, True, True, False)

    after: "_Steps"

    def __init__(self, label: str, is_finished: bool, has_head: bool, is_sent: bool, is_pending: bool) -> None:
        self.label = label
        self.is_finished = is_finished
        self.has_head = has_head
        self.is_sent = is_sent
        self.is_pending = is_pending
        self.after = _Steps(label)


# PERF: a member's look-up in its class costs 140 ns before 3.12
OPEN = ResponseState.OPEN
"""Code sets status, headers and body."""
FLUSHING = ResponseState.FLUSHING
"""`flush()` was called; the response hooks are to run before the head leaves."""
SETTLED = ResponseState.SETTLED
"""`finish()` was called, and nothing has been sent."""
INTERRUPTED = ResponseState.INTERRUPTED
"""What completed it was cancelled before the first byte: what it promises may not have been kept."""
STREAMING = ResponseState.STREAMING
"""The head has left, parts of the body follow."""
SENT = ResponseState.SENT
"""The last byte was handed over, or none can follow."""
ENDED = ResponseState.ENDED
"""The endcall hooks have begun: nothing else follows."""

TRANSITIONS: dict[Event, dict[ResponseState, ResponseState]] = {
    # `flush()`; what was settled will be sent as a whole anyway
    "flush": {OPEN: FLUSHING, FLUSHING: FLUSHING, SETTLED: SETTLED},
    # `finish()`; a response hook may replace what was settled
    "finish": {OPEN: SETTLED, FLUSHING: SETTLED, SETTLED: SETTLED},
    # the head leaves, parts follow
    "begin": {OPEN: STREAMING, FLUSHING: STREAMING, SETTLED: STREAMING},
    # the last byte leaves
    "send": {SETTLED: SENT, STREAMING: SENT},
    # the task that completes the response is cancelled
    "interrupt": {
        OPEN: INTERRUPTED, FLUSHING: INTERRUPTED, SETTLED: INTERRUPTED, INTERRUPTED: INTERRUPTED,
        STREAMING: STREAMING, SENT: SENT, ENDED: ENDED,
    },
    # an error page, or a plain text, is to replace the response
    "reopen": {OPEN: OPEN, FLUSHING: OPEN, SETTLED: OPEN, INTERRUPTED: OPEN, STREAMING: STREAMING},
    # the connection is cut, or other code takes it over
    "release": {**dict.fromkeys((OPEN, FLUSHING, SETTLED, INTERRUPTED, STREAMING, SENT), SENT), ENDED: ENDED},
    # the endcall hooks begin
    "end": {SENT: ENDED},
}  # fmt: skip

for _event, _steps in TRANSITIONS.items():
    for _state, _next in _steps.items():
        _state.after[_event] = _next


class MethodPhase(Enum):
    """How far the method of a request has come; it begins as RUNNING and ends as RETURNED."""

    RUNNING = "running"
    RECEIVING = "receiving"
    WATCHED = "watched"
    LATE = "late"
    RETURNED = "returned"


RUNNING = MethodPhase.RUNNING
"""Hooks or the method run; nothing tells when they suspend."""
RECEIVING = MethodPhase.RECEIVING
"""The body is awaited: the time is the client's."""
WATCHED = MethodPhase.WATCHED
"""Each suspension of the method is seen, and completes what it has finished."""
LATE = MethodPhase.LATE
"""The time of the request is used up, and its task was cancelled for that."""
RETURNED = MethodPhase.RETURNED
"""The method has ended, one way or the other."""

ANY_TASK: Any = object()
"""Owner of the response hooks where nothing else of the handler runs beside them."""


def require_changeable(handler: Any, complaint: str) -> None:
    """Raise unless the running code may change the response of *handler*: it is open, or a response hook runs.

    Raises:
        RuntimeError: *complaint*; or its completion was cancelled, which only an error page can follow.
    """
    state = handler._response_state
    if state.is_finished and not handler._may_change():
        if state is INTERRUPTED:
            complaint = "The response's completion was cancelled: what it promises may not have been kept."
        raise RuntimeError(complaint)
