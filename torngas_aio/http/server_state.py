"""What the connections of one server share: limits, parser, clock, and the list of who is here.

arriving      accepted, but not ready yet (TLS)     waited for a moment when the server stops
connections   every open HTTP connection          swept for deadlines, once a tick
running       the task of every request           swept too; awaited, or cancelled, when the server stops
successors    protocols of connections that left HTTP    cut when the server stops
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
"""Gives the context in which a request runs."""


class Connection(Protocol):
    """One open HTTP connection, as its server sees it."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        ...

    def check(self, now: float) -> None:
        """Act on the deadlines that have passed at *now*, by the loop's clock."""

    def close(self) -> None:
        """Close once everything has been sent."""

    def cut(self) -> None:
        """Close at once, whatever is going on."""


class Adapter(Protocol):
    """How requests reach an application."""

    def serve(self, request: Request) -> Coroutine[object, None, None]:
        """Return the coroutine that answers one request; it raises nothing but `CancelledError`
        and `KeyboardInterrupt`."""
        ...

    def connection_closed(self, connection: Connection) -> None:
        """Note that a connection has ended."""


class ServerState:
    """The shared state of one server on one event loop.

    Args:
        context: What every request's context is a copy of.
        scheme: "http" or "https" for every client; None to go by the connection.

    Attributes:
        soon: The loop's time at the next sweep: at most one tick away.
        idle_until: When a connection that is idle from now on has been so for too long.
        tick: Seconds between two sweeps.
        requests_per_connection: How many requests one connection serves; -1 for as many as come.
        resting: Done when every connection and task has ended; None while nothing waits for that.
        refused: How many requests the server itself has answered, by status.
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
        self._look_at_clock()
        self.done: asyncio.Future[None] = loop.create_future()
        self.done.set_result(None)
        self._timer: asyncio.TimerHandle | None = None
        self.resting: asyncio.Future[None] | None = None

    def _look_at_clock(self) -> float:
        now = self.loop.time()
        self.soon = now + self.tick
        self.idle_until = self.soon + self._idle_seconds
        return now

    def add(self, connection: Connection) -> None:
        """Take *connection* under watch."""
        self.arriving.discard(connection)
        self.connections.add(connection)
        if self._timer is None:
            self._look_at_clock()
            self._timer = self.loop.call_later(self.tick, self._sweep)

    def remove(self, connection: Connection) -> None:
        """Forget *connection*, which has ended or left HTTP."""
        self.connections.discard(connection)
        self.notice_rest()

    def _sweep(self) -> None:
        """Let every connection see what time it is."""
        now = self._look_at_clock()
        for connection in list(self.connections):
            connection.check(now)
        for request, task in list(self.running.items()):
            handler = request.handler
            if handler is not None and now >= handler._next_time_check:
                handler._next_time_check = handler._check_time_limit(task, now)
        # Without any there is nothing to watch: the next connection starts the clock again.
        self._timer = self.loop.call_later(self.tick, self._sweep) if self.connections or self.running else None

    def close(self) -> None:
        """Stop the clock, and take no more connections."""
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def is_at_rest(self) -> bool:
        """Whether no connection is open and no request is being answered."""
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
