"""The connections to one memcached: lent to one caller at a time, each call within a deadline.

    run(call) ── breaker open? refused at once, until a probe in the background has had an answer
              ── wait for a place, connect or take an idle link, call(link)
              ── it returned: the link is idle again;  anything else: the link is closed, the place is free

A connection whose call was cancelled or late is never used again, so no answer reaches the wrong caller; and since
the place, not the connection, is what callers wait for, a dying server leaves no caller waiting. One timer a pool looks
after the links in use: it closes those that are late, which ends their calls.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

from aiomcache import ClientException

from torngas_aio._concurrency import Places
from torngas_aio.cache.circuit_breaker import DOUBTFUL_SECONDS, CircuitBreaker, patience_of
from torngas_aio.cache.memcached.connection import MemcachedLink, ServerAnswer
from torngas_aio.cache.memcached.location import DEFAULT_IDLE_SECONDS

__all__ = ["MemcachedPool", "NodeDown"]

T = TypeVar("T")

GRACE_SECONDS = 0.01
"""How long a late link has, to read what may have come while the loop stood still."""


class NodeDown(Exception):
    """The server did not answer, or is known not to; the message says why."""


class MemcachedPool:
    """One server and the connections of one loop to it.

    Args:
        name: The server, for messages: its address as configured.
        address: Host and port, or a unix socket's path.
        size: The most connections; callers beyond it wait for their turn.
        seconds: How long a call may take: waiting, connecting and the answer together.
        longest_pause: Seconds between two probes of a server that is down, at most.
        idle_seconds: After which an unused connection is closed.
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
        self._next_timeout = min(patience_of(seconds), seconds)
        self._breaker = CircuitBreaker(f"memcached at {name}", self._probe, longest_pause)
        self._places = Places(size)
        self._idle: list[MemcachedLink] = []  # the last used at the end, where it is taken from
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
        """Return what *call* returns, given a connection of its own until it ends.

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
                raise NodeDown(self._breaker.reason)  # found down while we waited
            found = await self._lent(call, deadline)
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
        """Close the idle connections; those in use follow when their calls end. Twice is harmless."""
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

    async def _lent(self, call: Callable[[MemcachedLink], Awaitable[T]], deadline: float) -> T:
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
            if link.has_ended:  # which aiomcache reports as an odd answer
                raise ConnectionResetError("the server closed the connection") from exc
            raise
        except BaseException:
            # Cancelled, or an answer that could not be read: what comes next is anybody's guess.
            link.abort()
            raise
        finally:
            del self._in_use[link]
        self._give_back(link)
        return found

    def _is_doubtful(self, link: MemcachedLink) -> bool:
        return self._loop.time() - link.idle_since > DOUBTFUL_SECONDS

    async def _answers(self, link: MemcachedLink) -> bool:
        """Whether the server answers on a connection that was idle for long; closes it where it does not."""
        try:
            async with asyncio.timeout(self._next_timeout):
                await link.version()
        except (ClientException, OSError, EOFError, TimeoutError):
            link.abort()
            return False
        except BaseException:
            link.abort()
            raise
        return True

    async def _open(self, deadline: float) -> MemcachedLink:
        """Return a new connection; it may take as long as the silence of an open one would be borne."""
        seconds = 2 * self._next_timeout
        try:
            async with asyncio.timeout_at(min(deadline, self._loop.time() + seconds)):
                return await MemcachedLink.open(self._address)
        except TimeoutError:
            raise self._down(f"no connection within {min(seconds, self._seconds):g} s") from None

    def _watch(self, link: MemcachedLink, deadline: float) -> None:
        # PERF: asyncio.timeout() for each call costs some 8 us; this, a look at a number.
        self._in_use[link] = deadline
        suspect_at = deadline - self._seconds + self._next_timeout
        if self._timer is None or suspect_at < self._timer_at:
            self._set_timer(suspect_at)

    def _sweep(self) -> None:
        """Close the links that are late; each is looked at twice, in case the loop stood still meanwhile."""
        self._timer = None
        now = self._loop.time()
        if any(self._has_waited(link, now) for link in self._in_use):
            self._breaker.suspect(self._examine, self._silent, self._next_timeout)
        for link, deadline in self._in_use.items():
            if link.is_overdue and now >= deadline:
                link.is_late = True
                link.abort()
            elif now >= deadline:
                link.is_overdue = True
        waiting = [deadline for link, deadline in self._in_use.items() if not link.is_late]
        if waiting:
            first = min(waiting)
            suspect_at = max(first - self._seconds + self._next_timeout, now + self._next_timeout)
            self._set_timer(min(max(first, now + GRACE_SECONDS), suspect_at))

    def _has_waited(self, link: MemcachedLink, now: float) -> bool:
        """Whether the call of *link* has taken longer than the pool's patience."""
        return self._in_use[link] - self._seconds + self._next_timeout <= now

    async def _examine(self) -> None:
        """Connect once more, to see whether the server answers at all."""
        link = await MemcachedLink.open(self._address)
        try:
            await link.version()
        finally:
            link.abort()

    def _silent(self, reason: str) -> None:
        """End the calls that wait for a server that does not answer."""
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
        """Close the connections that were unused for a while: bursts leave as many as the pool has places."""
        self._idle_timer = None
        ends_at = self._loop.time() - self._idle_seconds
        while self._idle and self._idle[0].idle_since <= ends_at:
            self._idle.pop(0).abort()
        if self._idle:
            self._close_idle_at(self._idle[0].idle_since + self._idle_seconds)

    def _close_idle_at(self, at: float) -> None:
        self._idle_timer = self._loop.call_at(at, self._close_idle, context=Context())

    def _down(self, reason: str) -> NodeDown:
        """Count the server as down; connections that are idle since before are used no more."""
        self._breaker.failed(reason)
        self._abort_idle()
        return NodeDown(reason)

    def _abort_idle(self) -> None:
        idle, self._idle = self._idle, []
        for link in idle:
            link.abort()

    async def _probe(self) -> None:
        """Connect to a server that was down, and keep the connection once it has answered."""
        link = await MemcachedLink.open(self._address)
        try:
            await link.version()
        except BaseException:
            link.abort()
            raise
        self._give_back(link)
