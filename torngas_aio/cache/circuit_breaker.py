"""A circuit breaker: a server that is down is not asked again until a probe in the background has had an answer.

    closed ── failed() ──► open: callers are refused at once, a task probes ── a probe returns ──► closed
                                      ▲        │
                                      └ pause ─┘ 0.1 s, doubling to the longest; a probe takes PROBE_SECONDS at most

    a call has waited for some time ──► suspect(): a probe beside it ──► no answer for as long: down

A server that is cut off sends nothing: suspicion finds that out within a second, whatever the deadline of the calls.
Callers never wait for a probe.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from torngas_aio._concurrency import BackgroundTask

__all__ = ["DOUBTFUL_SECONDS", "FIRST_PAUSE", "LONGEST_PAUSE", "PROBE_SECONDS", "CircuitBreaker", "patience_of"]

logger = logging.getLogger("torngas_aio.cache")

FIRST_PAUSE = 0.1
"""Seconds between the first failure and the first probe."""

LONGEST_PAUSE = 0.4
"""Seconds between two probes of a server that stays down."""

PROBE_SECONDS = 0.4
"""How long one probe may take."""

DOUBTFUL_SECONDS = 5.0
"""A connection that was idle for longer is asked for an answer before it is used: its server may be another one now."""

_GRACE_SECONDS = 0.01
"""How long a server that seems silent has, for answers that came while the loop stood still to be read."""


def patience_of(deadline: float) -> float:
    """Return how long a call may wait before its server is suspected: 0.4 s, a fifth of a deadline above 2 s."""
    return max(PROBE_SECONDS, deadline / 5)


class CircuitBreaker:
    """One server's state, up or down for a reason, and the task that finds out when it is back; used in one loop.

    Args:
        name: The server, for the log, such as "Redis at 10.0.0.1:6379".
        probe: Returns when the server has answered; raises, or is cancelled after PROBE_SECONDS, when it does not.
        longest_pause: Seconds between two probes, at most.

    Attributes:
        is_open: Whether the server counts as down.
        reason: Why; "" while it is up.
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
        """Open: the server did not answer a caller, for *reason*. Nothing happens while it counts as down already."""
        if not self.is_open:
            logger.warning("%s is down: %s.", self._name, reason.rstrip("."))
            self.is_open, self.reason = True, reason
        self._probing.start(self._probe_until_back)

    def succeeded(self) -> None:
        """Close: the server answered; the probing ends by itself."""
        if self.is_open:
            self.is_open, self.reason = False, ""
            logger.warning("%s is back.", self._name)

    def suspect(self, examine: Callable[[], Awaitable[None]], silent: Callable[[str], None], patience: float) -> None:
        """A call has had no answer for *patience* seconds: find out whether the server is silent.

        Args:
            examine: Returns when the server has answered on another connection than that of the call.
            silent: Called with the reason when it has not either, *patience* seconds later; counts the server as
                down if the call is still waiting.
        """
        if self.is_open:
            silent(self.reason)
        else:
            self._examining.start(partial(self._examine, examine, silent, patience))

    async def aclose(self) -> None:
        """End the tasks. Twice is harmless."""
        await self._probing.aclose()
        await self._examining.aclose()

    async def _examine(
        self, examine: Callable[[], Awaitable[None]], silent: Callable[[str], None], patience: float
    ) -> None:
        limit = asyncio.timeout(patience)
        try:
            async with limit:
                await examine()
        except Exception as exc:  # noqa: BLE001  a refusal is an answer
            if limit.expired():
                await asyncio.sleep(_GRACE_SECONDS)
                silent(f"no answer within {2 * patience:g} s")
            else:
                logger.debug("%s is slow, and refuses another connection: %s", self._name, exc)

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
        except Exception as exc:  # noqa: BLE001  whatever it is, the server is not back
            self.reason = str(exc) or type(exc).__name__
        else:
            self.succeeded()
