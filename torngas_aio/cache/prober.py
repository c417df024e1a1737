"""A background task that finds out when a store that is down is back; callers never wait for it.

    failed() ──► breaker opens, "... is down" is logged, one task probes ──► probe returns: "... is back", callers go on
                                      ▲        │
                                      └ pause ─┘ 0.1 s, doubling to LONGEST_PAUSE; a probe takes PROBE_SECONDS at most

    a call has waited for some time ──► suspect(): a probe beside it ──► no answer for as long: down

A store that is cut off sends nothing: suspicion finds that out within a second, whatever the deadline of the calls.
Begin with `Prober.failed`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context

from torngas_aio.cache.circuit_breaker import CircuitBreaker

__all__ = ["DOUBTFUL_SECONDS", "PROBE_SECONDS", "Prober", "patience_of"]

logger = logging.getLogger("torngas_aio.cache")

PROBE_SECONDS = 0.4
"""How long one probe may take."""


DOUBTFUL_SECONDS = 5.0
"""A connection that was idle for longer is asked for an answer before it is used: its server may be another one now."""

_GRACE_SECONDS = 0.01
"""How long a store that seems silent has, for answers that came while the loop stood still to be read."""


def patience_of(deadline: float) -> float:
    """Return how long a call may wait before its store is suspected: 0.4 s, a fifth of a deadline above 2 s."""
    return max(PROBE_SECONDS, deadline / 5)


class Prober:
    """The task of one store, running only while its breaker is open; used in one loop.

    Args:
        name: The store, for the log, such as "Redis at 10.0.0.1:6379".
        breaker: Remembers that the store is down.
        probe: Returns when the store has answered; raises, or is cancelled after PROBE_SECONDS, when it does not.
    """

    def __init__(self, name: str, breaker: CircuitBreaker, probe: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._breaker = breaker
        self._probe = probe
        self._task: asyncio.Task[None] | None = None
        self._examination: asyncio.Task[None] | None = None

    def failed(self, reason: str) -> None:
        """The store did not answer a caller, for *reason*."""
        if not self._breaker.is_open:
            logger.warning("%s is down: %s.", self._name, reason.rstrip("."))
        self._breaker.failed(reason)
        if self._task is None:
            # A context of its own: it outlives the request that happened to meet the outage first.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def succeeded(self) -> None:
        """The store answered; the task ends by itself."""
        if self._breaker.is_open:
            self._breaker.succeeded()
            logger.warning("%s is back.", self._name)

    def suspect(self, examine: Callable[[], Awaitable[None]], silent: Callable[[str], None], patience: float) -> None:
        """A call has had no answer for *patience* seconds: find out whether the store is silent.

        Args:
            examine: Returns when the store has answered on another connection than that of the call.
            silent: Called with the reason when it has not either, *patience* seconds later; counts the store as
                down if the call is still waiting.
        """
        if self._breaker.is_open:
            silent(self._breaker.reason)
        elif self._examination is None:
            examination = self._examine(examine, silent, patience)
            self._examination = asyncio.get_running_loop().create_task(examination, context=Context())

    async def aclose(self) -> None:
        """End the tasks. Twice is harmless."""
        tasks = [task for task in (self._task, self._examination) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._task = self._examination = None

    async def _examine(
        self, examine: Callable[[], Awaitable[None]], silent: Callable[[str], None], patience: float
    ) -> None:
        try:
            async with asyncio.timeout(patience) as limit:
                await examine()
        except Exception as exc:  # noqa: BLE001  a refusal is an answer
            if limit.expired():
                await asyncio.sleep(_GRACE_SECONDS)
                silent(f"no answer within {2 * patience:g} s")
            else:
                logger.debug("%s is slow, and refuses another connection: %s", self._name, exc)
        finally:
            self._examination = None

    async def _run(self) -> None:
        try:
            while self._is_wanted():
                await asyncio.sleep(self._breaker.pause)
                if self._is_wanted() and self._breaker.allows():
                    await self._probe_once()
        finally:
            self._task = None

    def _is_wanted(self) -> bool:
        return self._breaker.is_open

    async def _probe_once(self) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._probe()
        except TimeoutError:
            self._breaker.failed(f"no answer within {PROBE_SECONDS:g} s")
        except Exception as exc:  # noqa: BLE001  whatever it is, the store is not back
            self._breaker.failed(str(exc) or type(exc).__name__)
        else:
            self.succeeded()
