"""The connection pool of one memcached: one caller per connection, one deadline per call.

    run(call) ── breaker open? fail at once, until a background probe succeeds
              ── wait for a slot, connect or take an idle link, call(link)
              ── on success the link is idle again; otherwise the link is closed; either way the slot is free

A connection whose call was cancelled or late is never reused, so no reply reaches the wrong caller. Callers wait for a
slot, not for a connection, so a dying server leaves no caller waiting. One timer per pool closes links in use that are
late, which ends their calls.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

from aiomcache import ClientException

from torngas_aio._concurrency import Places
from torngas_aio.cache.circuit_breaker import DOUBTFUL_SECONDS, CircuitBreaker, suspect_timeout_of
from torngas_aio.cache.memcached.connection import MemcachedLink, ServerAnswer
from torngas_aio.cache.memcached.location import DEFAULT_IDLE_SECONDS

__all__ = ["MemcachedPool", "NodeDown"]

T = TypeVar("T")

GRACE_SECONDS = 0.01
"""Grace period for a late link, in seconds: time to read a reply that arrived while the loop was blocked."""


class NodeDown(Exception):
    """The server did not answer, or is known to be down; the message says why."""


class MemcachedPool:
    """The connections of one event loop to one server.

    Args:
        name: The server's name in messages: its address as configured.
        address: Host and port, or a unix socket's path.
        size: Maximum connections; further callers wait.
        seconds: Deadline of a call: waiting, connecting and the reply together.
        longest_pause: The maximum pause between two probes of a server that is down, in seconds.
        idle_seconds: Seconds after which an unused connection is closed.
    """

    def __init__(
        self,
        name: str,
        address: tuple[str, int] | str,
        size: int,
        seconds: float,
        longest_pause: float,
        *,
        idle_seconds: float = DEFAULT_IDLE_SECONDS,
    ) -> None:
        self.name = name
        self._address = address
        self._seconds = seconds
        self._suspect_timeout = min(suspect_timeout_of(seconds), seconds)
        self._breaker = CircuitBreaker(f"memcached at {name}", self._probe, longest_pause)
        self._places = Places(size)
        self._idle: list[MemcachedLink] = []  # a stack: the most recently used link is last and is reused first
        self._idle_seconds = idle_seconds
        self._idle_timer: asyncio.TimerHandle | None = None
        self._in_use: dict[MemcachedLink, float] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_closed = False

    @property
    def is_down(self) -> bool:
        """True while the server is known to be down."""
        return self._breaker.is_open

    async def run(self, call: Callable[[MemcachedLink], Awaitable[T]]) -> T:
        """Run *call* with a connection that it alone uses, and return its result.

        Raises:
            NodeDown: The server is down, or did not answer in time.
            ServerAnswer, aiomcache.ClientException: It answered with an error.
        """
        if self._breaker.is_open:
            raise NodeDown(self._breaker.reason)
        deadline = self._loop.time() + self._seconds
        await self._place(deadline)
        try:
            if self.is_down:
                raise NodeDown(self._breaker.reason)  # found down while waiting
            found = await self._run_on_link(call, deadline)
        except (ServerAnswer, ClientException):
            self._breaker.succeeded()
            raise
        except TimeoutError:
            raise self._down(self._breaker.reason or f"no answer within {self._seconds:g} s") from None
        except (OSError, EOFError) as exc:
            raise self._down(str(exc) or "the server closed the connection") from exc
        except (ValueError, LookupError) as exc:
            raise self._down(f"the answer is not memcached's protocol ({exc})") from exc
        finally:
            self._places.release()
        self._breaker.succeeded()
        return found

    async def aclose(self) -> None:
        """Close the idle connections; those in use close when their calls end. Calling it twice is harmless."""
        self._is_closed = True
        await self._breaker.aclose()
        self._abort_idle()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._timer is not None and not self._in_use:
            self._timer.cancel()
            self._timer = None

    async def _place(self, deadline: float) -> None:
        try:
            await self._places.take(deadline - self._loop.time())
        except TimeoutError:
            raise NodeDown(
                f"all {self._places.size} connections stayed in use for {self._seconds:g} s; raise OPTIONS['POOL_SIZE']"
            ) from None

    async def _run_on_link(self, call: Callable[[MemcachedLink], Awaitable[T]], deadline: float) -> T:
        link = self._take()
        while link is not None and self._is_doubtful(link) and not await self._answers(link):
            link = self._take()
        if link is None:
            link = await self._open(deadline)
        self._watch(link, deadline)
        try:
            found = await call(link)
        except ServerAnswer:
            self._give_back(link)
            raise
        except (ClientException, OSError, EOFError) as exc:
            link.abort()
            if link.is_late:
                raise TimeoutError from exc
            if link.has_ended:  # aiomcache reports this as an unexpected reply
                raise ConnectionResetError("the server closed the connection") from exc
            raise
        except BaseException:
            # Cancelled, or the reply could not be parsed: the state of the connection is unknown.
            link.abort()
            raise
        finally:
            del self._in_use[link]
        self._give_back(link)
        return found

    def _is_doubtful(self, link: MemcachedLink) -> bool:
        return self._loop.time() - link.idle_since > DOUBTFUL_SECONDS

    async def _answers(self, link: MemcachedLink) -> bool:
        """Return whether the server answers on a connection that was idle for long; if not, close it."""
        try:
            async with asyncio.timeout(self._suspect_timeout):
                await link.version()
        except (ClientException, OSError, EOFError, TimeoutError):
            link.abort()
            return False
        except BaseException:
            link.abort()
            raise
        return True

    async def _open(self, deadline: float) -> MemcachedLink:
        """Return a new connection; the timeout equals the time after which a silent open one is given up."""
        seconds = 2 * self._suspect_timeout
        try:
            async with asyncio.timeout_at(min(deadline, self._loop.time() + seconds)):
                return await MemcachedLink.open(self._address)
        except TimeoutError:
            raise self._down(f"no connection within {min(seconds, self._seconds):g} s") from None

    def _watch(self, link: MemcachedLink, deadline: float) -> None:
        # PERF: asyncio.timeout() per call costs about 8 us; this, one comparison.
        self._in_use[link] = deadline
        suspect_at = deadline - self._seconds + self._suspect_timeout
        if self._timer is None or suspect_at < self._timer_at:
            self._set_timer(suspect_at)

    def _sweep(self) -> None:
        """Close the links that are late; each is checked twice, in case the loop was blocked."""
        self._timer = None
        now = self._loop.time()
        if any(self._has_waited(link, now) for link in self._in_use):
            self._breaker.suspect(self._examine, self._on_silence, self._suspect_timeout)
        for link, deadline in self._in_use.items():
            if link.is_overdue and now >= deadline:
                link.is_late = True
                link.abort()
            elif now >= deadline:
                link.is_overdue = True
        waiting = [deadline for link, deadline in self._in_use.items() if not link.is_late]
        if waiting:
            first = min(waiting)
            suspect_at = max(first - self._seconds + self._suspect_timeout, now + self._suspect_timeout)
            self._set_timer(min(max(first, now + GRACE_SECONDS), suspect_at))

    def _has_waited(self, link: MemcachedLink, now: float) -> bool:
        """Return whether the call on *link* has waited long enough to suspect the server."""
        return self._in_use[link] - self._seconds + self._suspect_timeout <= now

    async def _examine(self) -> None:
        """Open a second connection to check whether the server answers at all."""
        link = await MemcachedLink.open(self._address)
        try:
            await link.version()
        finally:
            link.abort()

    def _on_silence(self, reason: str) -> None:
        """End the calls that wait for a silent server."""
        now = self._loop.time()
        silent = [link for link in self._in_use if self._has_waited(link, now)]
        if silent:
            self._down(reason)
        for link in silent:
            link.is_late = True
            link.abort()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._sweep, context=Context()), at

    def _take(self) -> MemcachedLink | None:
        while self._idle:
            link = self._idle.pop()
            if link.is_usable:
                link.is_overdue = False
                return link
            link.abort()
        return None

    def _give_back(self, link: MemcachedLink) -> None:
        if self._is_closed:
            link.abort()
            return
        link.idle_since = self._loop.time()
        self._idle.append(link)
        if self._idle_timer is None:
            self._close_idle_at(link.idle_since + self._idle_seconds)

    def _close_idle(self) -> None:
        """Close the connections that were idle for *idle_seconds*; a burst can leave a full pool of them."""
        self._idle_timer = None
        ends_at = self._loop.time() - self._idle_seconds
        while self._idle and self._idle[0].idle_since <= ends_at:
            self._idle.pop(0).abort()
        if self._idle:
            self._close_idle_at(self._idle[0].idle_since + self._idle_seconds)

    def _close_idle_at(self, at: float) -> None:
        self._idle_timer = self._loop.call_at(at, self._close_idle, context=Context())

    def _down(self, reason: str) -> NodeDown:
        """Mark the server as down and close its idle connections."""
        self._breaker.failed(reason)
        self._abort_idle()
        return NodeDown(reason)

    def _abort_idle(self) -> None:
        idle, self._idle = self._idle, []
        for link in idle:
            link.abort()

    async def _probe(self) -> None:
        """Connect to a server that was down; keep the connection if it answers."""
        link = await MemcachedLink.open(self._address)
        try:
            await link.version()
        except BaseException:
            link.abort()
            raise
        self._give_back(link)
