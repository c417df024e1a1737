"""A background task that finds out when a store that is down is back; callers never wait for it.

    failed() ──► breaker opens, "... is down" is logged, one task probes ──► probe returns: "... is back", callers go on
                                      ▲        │
                                      └ pause ─┘ 0.1 s, doubling to LONGEST_PAUSE; a probe takes PROBE_SECONDS at most

Begin with `Prober.failed`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context

from torngas_aio.cache.backends._breaker import Breaker

__all__ = ["PROBE_SECONDS", "Prober"]

logger = logging.getLogger("torngas_aio.cache")

PROBE_SECONDS = 0.4
"""How long one probe may take."""


class Prober:
    """The task of one store, running only while its breaker is open; used in one loop.

    Args:
        name: The store, for the log, such as "Redis at 10.0.0.1:6379".
        breaker: Remembers that the store is down.
        probe: Returns when the store has answered; raises, or is cancelled after PROBE_SECONDS, when it does not.
    """

    def __init__(self, name: str, breaker: Breaker, probe: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._breaker = breaker
        self._probe = probe
        self._task: asyncio.Task[None] | None = None

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

    async def aclose(self) -> None:
        """End the task. Twice is harmless."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._task = None

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
