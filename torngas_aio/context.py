"""What one request carries below its handler: the request itself and the resources it opened.

    ContextVar ── request ── scope ── resources         more scopes within: of messages and events
                                      ├── settle   before the first byte, ascending order
                                      └── aclose   when response and method have ended, reversed

A scope is made when something first asks for it; a request that opens nothing has none.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

from tornado.httputil import HTTPServerRequest

from torngas_aio._cleanup import Close, close_each, is_imposed
from torngas_aio.exception import Unawaited

__all__ = [
    "ORDER_COOKIE",
    "ORDER_SESSION",
    "ORDER_TRANSACTION",
    "JobScope",
    "MessageScope",
    "Outcome",
    "RequestScope",
    "carried_request_id",
    "carriers",
    "current_request",
    "current_scope",
    "enter_job",
    "enter_message",
    "enter_request",
    "error_sink",
    "leave_message",
    "leave_request",
    "scope_of",
]

logger = logging.getLogger("torngas_aio.context")

ORDER_TRANSACTION = 10
ORDER_COOKIE = 15
ORDER_SESSION = 20

error_sink: ContextVar[list[BaseException] | None] = ContextVar("torngas_aio_error_sink", default=None)
"""Where a test has the errors of its requests collected; None outside tests."""

Carrier = tuple[Callable[[dict[str, object]], None], Callable[[Mapping[str, Any], str], AbstractContextManager[None]]]

carriers: list[Carrier] = []
"""How what belongs to a request, such as its trace, goes with the jobs that it enqueues: a function that writes text
into a dict there, and one that takes it up for the block of the job, whose name it gets as well."""

_request: ContextVar[HTTPServerRequest | None] = ContextVar("torngas_aio_request", default=None)
_message: "ContextVar[MessageScope | None]" = ContextVar("torngas_aio_message", default=None)
_job: ContextVar["tuple[JobScope, str] | None"] = ContextVar("torngas_aio_job", default=None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, as told to its resources before the first byte leaves.

    Attributes:
        handler: The handler; its status and headers may still be changed, its body may not.
        error: What the handler or a hook raised, None when nothing did.
        has_returned: The handler's method has returned; False for a first `flush()` in a stream and
            for an awaited `finish()`.
    """

    handler: Any
    error: BaseException | None
    has_returned: bool

    @property
    def is_failure(self) -> bool:
        """Whether a transaction must be rolled back: an error, or a status of 500 and more."""
        return self.error is not None or int(self.handler.get_status()) >= 500


Settle = Callable[[Outcome], Awaitable[None]]


@dataclass(slots=True)
class _Entry:
    resource: object
    order: int
    settle: Settle | None
    close: Close | None
    close_now: Callable[[], bool] | None


_NO_ENTRIES: dict[object, _Entry] = {}  # of every scope, until `add` gives it its own


class RequestScope:
    """The resources that one request opened, each under a key that its owner chose."""

    # PERF: defaults of the class, not of `__init__`: most messages open nothing: -0.1 us (benchmarks, websocket-echo)
    _entries = _NO_ENTRIES
    _is_closed = False

    has_failed = False
    """Whether what is not committed when the scope ends is known to be lost: the request has failed."""

    waits_for_method = False
    """Whether an un-awaited `finish()` must not complete before the method has returned."""

    def get(self, key: object) -> Any:
        """Return the resource under *key*, None when the request has not opened it."""
        entry = self._entries.get(key)
        return None if entry is None else entry.resource

    def add(
        self,
        key: object,
        resource: Any,
        *,
        order: int = ORDER_TRANSACTION,
        settle: Settle | None = None,
        close: Close | None = None,
        close_now: Callable[[], bool] | None = None,
    ) -> None:
        """Hold *resource* for the rest of the request; one already under *key* is replaced.

        Args:
            order: Ascending order of the settling; equal ones in the order they were added.
            settle: Awaited once, after the response hooks and before the first byte. What it raises
                becomes the answer (500), so nothing is promised that was not kept.
            close: Awaited once at the end, whatever happened, shielded from cancellation and bounded in
                time (`torngas_aio._cleanup.close_safely`).
            close_now: Called first at the end; true when everything is closed and nothing has to be awaited.

        Raises:
            RuntimeError: The request has ended.
        """
        if self._is_closed:
            raise RuntimeError(
                f"{key!r} was asked for after its request had ended. "
                "Work that outlives a request, or a WebSocket's message, opens resources of its own: a database "
                "session with `async with session_scope(...)`."
            )
        if not self._entries:
            self._entries = {}
        self._entries[key] = _Entry(resource, order, settle, close, close_now)

    @property
    def must_settle(self) -> bool:
        """Whether a resource is still to be settled before the first byte."""
        return any(entry.settle is not None for entry in self._entries.values())

    @property
    def is_closed(self) -> bool:
        """Whether the request has ended; nothing can be added any more."""
        return self._is_closed

    async def settle(self, outcome: Outcome) -> None:
        """Await every `settle` that has not run yet, in order; the first error stops and passes."""
        for entry in sorted(self._entries.values(), key=lambda entry: entry.order):
            settle, entry.settle = entry.settle, None
            if settle is not None:
                await settle(outcome)

    def wrap_settling(self, wrap: Callable[[int, Settle], Settle]) -> None:
        """Replace each `settle` that has not run by what *wrap* makes of its order and of it."""
        for entry in self._entries.values():
            if entry.settle is not None:
                entry.settle = wrap(entry.order, entry.settle)

    def abandon(self) -> None:
        """Close what can be closed without waiting and forget the rest, where nothing can be awaited any more."""
        self._is_closed = True
        while self._entries:
            key, entry = self._entries.popitem()
            try:
                if entry.close_now is None or not entry.close_now():
                    logger.warning("%r was left open: its request was given up where nothing can be awaited.", key)
            except Exception:  # a boundary: the other resources must still be closed
                logger.exception("Closing %r failed.", key)

    def close_if_empty(self) -> bool:
        """Close without waiting where nothing is held; return whether that is so."""
        if self._entries:
            return False
        self._is_closed = True
        return True

    async def aclose(self) -> None:
        """Close every resource, the last opened first; an error is logged and the rest go on."""
        self._is_closed = True
        await close_each(self._closings())

    def _closings(self) -> Iterator[tuple[object, Close]]:
        while self._entries:
            key, entry = self._entries.popitem()
            if entry.close_now is not None and entry.close_now():
                continue  # PERF: no task, no timer: -35 us a request that only read from a slave (benchmarks/db.py)
            if entry.close is not None:
                yield key, entry.close


class MessageScope(RequestScope):
    """The scope of a part of a long request: a call of a WebSocket's `on_message` and the like, or one event."""

    def note_failure(self, error: BaseException) -> None:
        """Note what the part raised, and give the resources up where its coroutine was closed: nothing is awaited then.

        To be called by the frame that caught *error*.
        """
        self.has_failed = True
        if isinstance(error, GeneratorExit) and is_imposed(error):
            self.abandon()


class JobScope(RequestScope):
    """The scope of a job.

    Attributes:
        unawaited: The coroutines that the job has forgotten so far.
    """

    def __init__(self) -> None:
        self.unawaited: list[Unawaited] = []


def current_request() -> HTTPServerRequest | None:
    """Return the request that this code runs for, None outside any request."""
    return _request.get()


def current_scope() -> RequestScope | None:
    """Return the scope of the current message or request, made on first use, or of the job; None outside of all."""
    request = _request.get()
    if request is None:
        job = _job.get()
        return None if job is None else job[0]
    message = _message.get()
    return scope_of(request) if message is None else message


def scope_of(request: HTTPServerRequest) -> RequestScope:
    """Return the scope of *request*, made on first use."""
    scope: RequestScope | None = getattr(request, "scope", None)
    if scope is None:
        scope = RequestScope()
        request.scope = scope  # type: ignore[attr-defined]  # a request carries its scope
    return scope


enter_request: Callable[[HTTPServerRequest | None], Token[HTTPServerRequest | None]] = _request.set
"""Make a request the current one in this context, until the context ends or the token is given back.

None is for work that a request started and that outlives it.
"""


def leave_request(token: Token[HTTPServerRequest | None]) -> None:
    """Undo the `enter_request` that gave *token*."""
    _request.reset(token)


enter_message: Callable[[MessageScope | None], Token[MessageScope | None]] = _message.set
"""Make a scope the current one within the current request, until another is, or the token is given back."""

leave_message: Callable[[Token[MessageScope | None]], None] = _message.reset
"""Undo the `enter_message` that gave the token."""


def enter_job(request_id: str) -> JobScope:
    """Make this context that of a job, outside any request, until the context ends; return the scope of the job.

    Args:
        request_id: Of the request that enqueued the job, "" for none: the job's log lines carry it.
    """
    scope = JobScope()
    _request.set(None)
    _job.set((scope, request_id))
    return scope


def carried_request_id() -> str | None:
    """Return the id of the request that enqueued the current job; None for none, and outside any job."""
    job = _job.get()
    return None if job is None else job[1] or None
