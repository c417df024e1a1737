"""Whether one server answers: an outage is found while statements wait, and ends as soon as the server is back.

    a statement, or opening a connection,
    has waited for SUSPECT_SECONDS ──► probe ── no answer within PROBE_SECONDS ──► is_down: callers are refused at once
                                         │  ▲                                        │
                     answers, or refuses ┘  └──────────── again every PROBE_SECONDS ─┘

A server that refuses connections at once is not an outage of this kind: each caller hears of that by itself, and of the
server's return, too. Callers never wait for a probe. Begin with `Outage`.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from time import monotonic

from torngas_aio.exception import DatabaseUnavailable

__all__ = ["PROBE_SECONDS", "SUSPECT_SECONDS", "Outage"]

logger = logging.getLogger("torngas_aio.db")

SUSPECT_SECONDS = 0.4
"""How long a statement, or opening a connection, may take before the server is probed beside it."""

PROBE_SECONDS = 0.4
"""How long one probe may take; also the pause between two probes of a server that is down."""


class Outage:
    """The state of one server, within one loop.

    Args:
        label: The server, for messages.
        probe: Opens a connection of its own and closes it; raises, or is cancelled after `PROBE_SECONDS`.

    Attributes:
        is_down: The last probe had no answer.
        began_at: When the last outage was found, by the monotonic clock; connections idle since before are replaced.
    """

    def __init__(self, label: str, probe: Callable[[], Awaitable[object]]) -> None:
        self.label = label
        self.is_down = False
        self.began_at = 0.0
        self._probe = probe
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, float] = {}
        self._trusted_until = 0.0

    def check(self) -> None:
        """Do nothing while the server is up.

        Raises:
            DatabaseUnavailable: It is down.
        """
        if self.is_down:
            raise DatabaseUnavailable(
                f"{self.label} is down: it has not answered for {monotonic() - self.began_at:.1f} s. It is tried again "
                "by itself. Is the server running and in reach?"
            )

    async def watched(self, awaitable: Awaitable[object]) -> object:
        """Await *awaitable*, an exchange with the server; one that takes long has the server probed meanwhile."""
        number = self.begin()
        try:
            return await awaitable
        finally:
            self.end(number)

    def begin(self) -> int:
        """Note that an exchange with the server begins; return its number, for `end`. Takes less than 1 us."""
        number = next(self._numbers)
        self._waiting[number] = monotonic()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SUSPECT_SECONDS / 2, self._look)
        return number

    def end(self, number: int) -> None:
        """Note that an exchange has ended, in whatever way."""
        self._waiting.pop(number, None)

    def suspect(self) -> None:
        """Have the server probed now; nothing happens while a probe is under way."""
        if self._task is None:
            # A context of its own: it outlives the request that met the outage first.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def aclose(self) -> None:
        """End the probing. Twice is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self.is_down = False

    def _look(self) -> None:
        """Suspect the server if the exchange that began first has waited for long."""
        self._timer = None
        started = next(iter(self._waiting.values()), None)
        if started is None:
            return
        self._timer = asyncio.get_running_loop().call_later(SUSPECT_SECONDS / 2, self._look)
        now = monotonic()
        if now - started >= SUSPECT_SECONDS and now >= self._trusted_until:
            self._trusted_until = now + now - started  # a statement that works for long is asked about ever more rarely
            self.suspect()

    async def _run(self) -> None:
        try:
            while not await self._answers():
                if not self.is_down:
                    self.is_down, self.began_at = True, monotonic()
                    logger.warning("%s is down: no answer within %g s.", self.label, PROBE_SECONDS)
                await asyncio.sleep(PROBE_SECONDS)
            if self.is_down:
                self.is_down = False
                logger.warning("%s is back.", self.label)
        finally:
            self._task = None

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS) as limit:
                await self._probe()
        except Exception:  # noqa: BLE001  # a refusal is an answer: callers hear of it by themselves
            return not limit.expired()
        return True
