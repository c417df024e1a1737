"""The context of a request below its handler: the request itself and the resources that it has opened.

    ContextVar ── request ── scope ── resources         nested scopes: of messages and events
                                      ├── settle   before the first byte, ascending order
                                      └── aclose   after response and method, reversed

A scope is created on first use; a request that opens nothing has none.
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
"""A list in which a test collects the errors of its requests; None outside of tests."""

Carrier = tuple[Callable[[dict[str, object]], None], Callable[[Mapping[str, Any], str], AbstractContextManager[None]]]

carriers: list[Carrier] = []
"""How data of a request, such as its trace, is passed to the jobs that it enqueues: a function that writes text into
a dict, and one that restores it for the block of the job, whose name it also gets."""

_request: ContextVar[HTTPServerRequest | None] = ContextVar("torngas_aio_request", default=None)
_message: "ContextVar[MessageScope | None]" = ContextVar("torngas_aio_message", default=None)
_job: ContextVar["tuple[JobScope, str] | None"] = ContextVar("torngas_aio_job", default=None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a request, as passed to its resources before the first byte is sent.

    Attributes:
        handler: The handler; its status and headers may still be changed, its body may not.
        error: An exception of the handler or a hook, None for none.
        has_returned: The handler's method has returned; False for a first `flush()` in a stream and
            for an awaited `finish()`.
    """

    handler: Any
    error: BaseException | None
    has_returned: bool

    @property
    def is_failure(self) -> bool:
        """Whether a transaction must be rolled back: after an error, or for a status of 500 or above."""
        return self.error is not None or int(self.handler.get_status()) >= 500


Settle = Callable[[Outcome], Awaitable[None]]


@dataclass(slots=True)
class _Entry:
    resource: object
    order: int
    settle: Settle | None
    close: Close | None
    close_now: Callable[[], bool] | None


_NO_ENTRIES: dict[object, _Entry] = {}  # shared by all scopes until `add` creates their own


class RequestScope:
    """The resources that one request has opened, each under a key chosen by its owner."""

    # PERF: class defaults instead of `__init__`: most messages open nothing: -0.1 us (benchmarks, websocket-echo)
    _entries = _NO_ENTRIES
    _is_closed = False

    has_failed = False
    """Whether uncommitted work is certain to be lost at the end of the scope, because the request has failed."""

    waits_for_method = False
    """Whether an un-awaited `finish()` must not complete before the method has returned."""

    def get(self, key: object) -> Any:
        """Return the resource under *key*, None if the request has not opened it."""
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
        """Keep *resource* for the rest of the request; one already under *key* is replaced.

        Args:
            order: Ascending order of settling; equal ones in the order in which they were added.
            settle: Awaited once, after the response hooks and before the first byte. Its exception
                turns the response into a 500, so that no success is reported that did not happen.
            close: Awaited once at the end in any case, shielded from cancellation and bounded in
                time (`torngas_aio._cleanup.close_safely`).
            close_now: Called first at the end; returns whether everything is closed without awaiting `close`.

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
        """Whether a resource must still be settled before the first byte."""
        return any(entry.settle is not None for entry in self._entries.values())

    @property
    def is_closed(self) -> bool:
        """Whether the request has ended; nothing can be added any more."""
        return self._is_closed

    async def settle(self, outcome: Outcome) -> None:
        """Await every `settle` that has not run yet, in order; the first error is raised and stops the rest."""
        for entry in sorted(self._entries.values(), key=lambda entry: entry.order):
            settle, entry.settle = entry.settle, None
            if settle is not None:
                await settle(outcome)

    def wrap_settling(self, wrap: Callable[[int, Settle], Settle]) -> None:
        """Replace each `settle` that has not run by the result of *wrap* for its order and itself."""
        for entry in self._entries.values():
            if entry.settle is not None:
                entry.settle = wrap(entry.order, entry.settle)

    def abandon(self) -> None:
        """Close the resources that need no waiting and drop the others; for places where nothing can be awaited."""
        self._is_closed = True
        while self._entries:
            key, entry = self._entries.popitem()
            try:
                if entry.close_now is None or not entry.close_now():
                    logger.warning("%r was left open: its request was abandoned where nothing can be awaited.", key)
            except Exception:  # a boundary: the remaining resources must still be closed
                logger.exception("Closing %r failed.", key)

    def close_if_empty(self) -> bool:
        """Close the scope without waiting if it has no resources; return whether that was so."""
        if self._entries:
            return False
        self._is_closed = True
        return True

    async def aclose(self) -> None:
        """Close every resource, the last opened first; an error is logged and the others are still closed."""
        self._is_closed = True
        await close_each(self._closings())

    def _closings(self) -> Iterator[tuple[object, Close]]:
        while self._entries:
            key, entry = self._entries.popitem()
            if entry.close_now is not None and entry.close_now():
                continue  # PERF: no task, no timer: -35 us a request that only reads from a slave (benchmarks/db.py)
            if entry.close is not None:
                yield key, entry.close


class MessageScope(RequestScope):
    """The scope of a part of a long request: a call such as a WebSocket's `on_message`, or one event."""

    def note_failure(self, error: BaseException) -> None:
        """Record an exception of the part; if its coroutine was closed, abandon the resources: nothing can be awaited.

        Must be called by the frame that caught *error*.
        """
        self.has_failed = True
        if isinstance(error, GeneratorExit) and is_imposed(error):
            self.abandon()


class JobScope(RequestScope):
    """The scope of a job.

    Attributes:
        unawaited: The coroutines that the job has not awaited so far.
    """

    def __init__(self) -> None:
        self.unawaited: list[Unawaited] = []


def current_request() -> HTTPServerRequest | None:
    """Return the request for which this code runs, None outside of any request."""
    return _request.get()


def current_scope() -> RequestScope | None:
    """Return the scope of the current message or request, created on first use, or of the job; None outside of all."""
    request = _request.get()
    if request is None:
        job = _job.get()
        return None if job is None else job[0]
    message = _message.get()
    return scope_of(request) if message is None else message


def scope_of(request: HTTPServerRequest) -> RequestScope:
    """Return the scope of *request*, created on first use."""
    scope: RequestScope | None = getattr(request, "scope", None)
    if scope is None:
        scope = RequestScope()
        request.scope = scope  # type: ignore[attr-defined]  # a request carries its scope
    return scope


enter_request: Callable[[HTTPServerRequest | None], Token[HTTPServerRequest | None]] = _request.set
"""Set the current request of this context, until the context ends or the token is passed to `leave_request`.

None is for work that a request has started and that outlives it.
"""


def leave_request(token: Token[HTTPServerRequest | None]) -> None:
    """Undo the `enter_request` that returned *token*."""
    _request.reset(token)


enter_message: Callable[[MessageScope | None], Token[MessageScope | None]] = _message.set
"""Set the current scope within the current request, until the next call, or until the token is given back."""

leave_message: Callable[[Token[MessageScope | None]], None] = _message.reset
"""Undo the `enter_message` that returned the token."""


def enter_job(request_id: str) -> JobScope:
    """Make this context that of a job, outside of any request, until the context ends; return the scope of the job.

    Args:
        request_id: Of the request that enqueued the job, "" for none; included in the job's log lines.
    """
    scope = JobScope()
    _request.set(None)
    _job.set((scope, request_id))
    return scope


def carried_request_id() -> str | None:
    """Return the id of the request that enqueued the current job; None for none, and outside of any job."""
    job = _job.get()
    return None if job is None else job[1] or None
