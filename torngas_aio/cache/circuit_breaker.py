"""A circuit breaker: while a server is down, calls fail at once until a background probe succeeds.

    closed ── failed() ──► open: calls fail at once, a task probes ── a probe succeeds ──► closed
                                      ▲        │
                                      └ pause ─┘ 0.1 s, doubling to the longest; a probe takes PROBE_SECONDS at most

    a call waits longer than *suspect_timeout* ──► suspect(): probe on another connection ──► no answer as long: down

A server behind a broken network sends nothing, not even an error: `suspect` detects that within a second, also when
the calls' deadline is longer. Callers never wait for a probe.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from torngas_aio._concurrency import BackgroundTask

__all__ = ["DOUBTFUL_SECONDS", "FIRST_PAUSE", "LONGEST_PAUSE", "PROBE_SECONDS", "CircuitBreaker", "suspect_timeout_of"]

logger = logging.getLogger("torngas_aio.cache")

FIRST_PAUSE = 0.1
"""Seconds between the first failure and the first probe."""

LONGEST_PAUSE = 0.4
"""Seconds between two probes of a server that stays down."""

PROBE_SECONDS = 0.4
"""Timeout of one probe, in seconds."""

DOUBTFUL_SECONDS = 5.0
"""Idle seconds after which a connection is checked before it is used: a different server may hold the address now."""

_GRACE_SECONDS = 0.01
"""Grace period for a server that seems silent: time to read replies that arrived while the loop was blocked."""


def suspect_timeout_of(deadline: float) -> float:
    """Return the seconds a call may wait before its server is suspected: 0.4, or a fifth of a deadline above 2 s."""
    return max(PROBE_SECONDS, deadline / 5)


class CircuitBreaker:
    """The up/down state of one server and the task that probes it while it is down; for use in one event loop.

    Args:
        name: The server's name in the log, such as "Redis at 10.0.0.1:6379".
        probe: Returns when the server has answered and raises otherwise; cancelled after PROBE_SECONDS.
        longest_pause: The maximum pause between two probes, in seconds.

    Attributes:
        is_open: Whether the server counts as down.
        reason: Why it is down; "" while it is up.
    """

    def __init__(self, name: str, probe: Callable[[], Awaitable[None]], longest_pause: float = LONGEST_PAUSE) -> None:
        self._name = name
        self._probe = probe
        self._longest_pause = longest_pause
        self._probing = BackgroundTask(f"probe of {name}")
        self._examining = BackgroundTask(f"examination of {name}")
        self.is_open = False
        self.reason = ""

    def failed(self, reason: str) -> None:
        """Open the breaker: the server did not answer a caller, for *reason*. No effect if it is open already."""
        if not self.is_open:
            logger.warning("%s is down: %s.", self._name, reason.rstrip("."))
            self.is_open, self.reason = True, reason
        self._probing.start(self._probe_until_back)

    def succeeded(self) -> None:
        """Close the breaker: the server answered. The probing task then ends."""
        if self.is_open:
            self.is_open, self.reason = False, ""
            logger.warning("%s is back.", self._name)

    def suspect(
        self, examine: Callable[[], Awaitable[None]], silent: Callable[[str], None], suspect_timeout: float
    ) -> None:
        """Find out whether the server is silent, because a call has waited *suspect_timeout* seconds for its reply.

        Args:
            examine: Returns when the server has answered on a connection other than the call's.
            silent: Called with the reason if *examine* gets no answer within *suspect_timeout* seconds either; it marks
                the server as down if the call is still waiting.
        """
        if self.is_open:
            silent(self.reason)
        else:
            self._examining.start(partial(self._examine, examine, silent, suspect_timeout))

    async def aclose(self) -> None:
        """Cancel the tasks. Calling it twice is harmless."""
        await self._probing.aclose()
        await self._examining.aclose()

    async def _examine(
        self, examine: Callable[[], Awaitable[None]], silent: Callable[[str], None], suspect_timeout: float
    ) -> None:
        limit = asyncio.timeout(suspect_timeout)
        try:
            async with limit:
                await examine()
        except Exception as exc:  # noqa: BLE001  a refusal is an answer
            if limit.expired():
                await asyncio.sleep(_GRACE_SECONDS)
                silent(f"no answer within {2 * suspect_timeout:g} s")
            else:
                logger.debug("%s is slow and refuses a second connection: %s", self._name, exc)

    async def _probe_until_back(self) -> None:
        pause = min(FIRST_PAUSE, self._longest_pause)
        while self.is_open:
            await asyncio.sleep(pause)
            if self.is_open:
                await self._probe_once()
            pause = min(2 * pause, self._longest_pause)

    async def _probe_once(self) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._probe()
        except TimeoutError:
            self.reason = f"no answer within {PROBE_SECONDS:g} s"
        except Exception as exc:  # noqa: BLE001  any error means that the server is not back
            self.reason = str(exc) or type(exc).__name__
        else:
            self.succeeded()
