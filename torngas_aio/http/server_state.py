"""State shared by the connections of one server: limits, parser, clock, and the open connections.

arriving      accepted, but not ready yet (TLS)     briefly waited for when the server stops
connections   every open HTTP connection          swept for deadlines, once a tick
running       the task of every request           swept too; awaited, or cancelled, when the server stops
successors    protocols of connections that left HTTP    aborted when the server stops
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Protocol
from weakref import WeakSet

from torngas_aio.http.base import Successor
from torngas_aio.http.limits import NEVER, Limits
from torngas_aio.http.proxies import TrustedProxies
from torngas_aio.http.request import Request
from torngas_aio.http.request_parser import HeadParser

__all__ = ["Adapter", "Connection", "ContextFor", "ServerState", "logger"]

logger = logging.getLogger("torngas_aio.http")

ContextFor = Callable[[Request], Context]
"""Returns the context in which a request runs."""

_AT_ONCE = 250
"""Connections and requests that a sweep checks in one turn of the loop: some 0.1 ms."""


class Connection(Protocol):
    """One open HTTP connection, as seen by its server."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or served."""
        ...

    def check(self, now: float) -> None:
        """Act on the deadlines that have passed at *now*, by the loop's clock."""

    def close(self) -> None:
        """Close once everything has been sent."""

    def cut(self) -> None:
        """Close at once, dropping unsent data."""


class Adapter(Protocol):
    """The way in which requests are passed to an application."""

    def serve(self, request: Request) -> Coroutine[object, None, None]:
        """Return the coroutine that serves one request; it raises only `CancelledError` and
        `KeyboardInterrupt`."""
        ...

    def connection_closed(self, connection: Connection) -> None:
        """Handle the end of a connection."""


class ServerState:
    """The shared state of one server on one event loop.

    Args:
        context: The context that is copied for each request.
        scheme: "http" or "https" for every client; None to use that of the connection.

    Attributes:
        soon: The loop's time at the next sweep: at most one tick away.
        idle_until: The deadline of a connection that becomes idle now.
        tick: Seconds between two sweeps.
        requests_per_connection: Most requests on one connection; -1 for no limit.
        resting: Done when every connection and task has ended; None while nothing waits for that.
        refused: Requests that the server itself has refused, by status.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        adapter: Adapter,
        limits: Limits,
        context: Context,
        *,
        context_for: ContextFor | None = None,
        proxies: TrustedProxies | None = None,
        scheme: str | None = None,
    ) -> None:
        self.loop = loop
        self.adapter = adapter
        self.serve = adapter.serve
        self.limits = limits
        self.context = context
        self.context_for = context_for
        self.proxies = proxies
        self.scheme = scheme
        self.parser = HeadParser(limits)
        self.arriving: WeakSet[Connection] = WeakSet()
        self.connections: set[Connection] = set()
        self.running: dict[Request, asyncio.Task[None]] = {}
        self.successors: WeakSet[Successor] = WeakSet()
        self.refused: Counter[int] = Counter()
        self.is_stopping = False
        self.is_closed = False
        self.tick = limits.sweep_seconds
        self.requests_per_connection = limits.requests_per_connection
        self._idle_seconds = limits.idle_connection_timeout or NEVER
        self._read_clock()
        self.done: asyncio.Future[None] = loop.create_future()
        self.done.set_result(None)
        self._timer: asyncio.Handle | None = None
        self.resting: asyncio.Future[None] | None = None

    def _read_clock(self) -> float:
        now = self.loop.time()
        self.soon = now + self.tick
        self.idle_until = self.soon + self._idle_seconds
        return now

    def add(self, connection: Connection) -> None:
        """Add *connection* to those swept for deadlines."""
        self.arriving.discard(connection)
        self.connections.add(connection)
        if self._timer is None:
            self._read_clock()
            self._timer = self.loop.call_later(self.tick, self._sweep)

    def remove(self, connection: Connection) -> None:
        """Remove *connection*, which has ended or left HTTP."""
        self.connections.discard(connection)
        self.notice_rest()

    def _sweep(self, unchecked: list[Connection | Request] | None = None) -> None:
        """Check the deadlines of every connection and request, some in each turn of the loop."""
        now = self._read_clock()
        if unchecked is None:
            unchecked = [*self.connections, *self.running]
        some = unchecked[-_AT_ONCE:]
        del unchecked[-_AT_ONCE:]
        # Scheduled first: a check that fails must not end the deadlines of others.
        if unchecked:
            self._timer = self.loop.call_soon(self._sweep, unchecked)
        elif self.connections or self.running:
            self._timer = self.loop.call_later(self.tick, self._sweep)
        else:  # the next connection starts it again
            self._timer = None
        for connection in self.connections.intersection(some):
            connection.check(now)
        for request in self.running.keys() & some:
            handler = request.handler
            if handler is not None and now >= handler._next_time_check:
                handler._next_time_check = handler._check_time_limit(self.running[request], now)

    def close(self) -> None:
        """Stop the timer and refuse further connections."""
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def is_at_rest(self) -> bool:
        """Whether no connection is open and no request is being served."""
        return not (self.connections or self.running)

    def notice_rest(self) -> None:
        """Note that a connection or a request's task has ended."""
        if self.resting is not None and self.is_at_rest and not self.resting.done():
            self.resting.set_result(None)

    async def rest(self) -> None:
        """Return when every connection has closed and every request's task has ended."""
        while not self.is_at_rest:
            self.resting = self.loop.create_future()
            try:
                await self.resting
            finally:
                self.resting = None
