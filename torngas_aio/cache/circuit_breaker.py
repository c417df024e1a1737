"""A circuit breaker: who is known to be down is not asked again until a probe says otherwise.

    closed ──failed()──► open ──pause over: one caller may probe──► succeeded() ► closed
                           ▲                                              │
                           └──────────── failed(): the pause doubles ◄────┘

It knows nothing of caches and does no I/O: a backend looks at `is_open` before it goes to the wire and says afterwards
what came of it; while it is open, `Prober` asks `allows` before each probe. Begin with `CircuitBreaker`.
"""

import time
from collections.abc import Callable

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "CircuitBreaker"]

FIRST_PAUSE = 0.1
"""Seconds between the first failure and the first probe."""

LONGEST_PAUSE = 0.4
"""Seconds between two probes of a store that stays down."""


class CircuitBreaker:
    """One store's state: up, or down since a moment for a reason.

    Args:
        first_pause: Seconds until the first probe; each failed probe doubles it.
        longest_pause: Seconds that the pause never exceeds.
        clock: Monotonic seconds.

    Attributes:
        reason: Why the store counts as down; "" while it is up.
    """

    __slots__ = ("_clock", "_first", "_is_probing", "_longest", "_pause", "_probe_at", "is_open", "reason")

    def __init__(
        self,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = first_pause
        self._longest = max(first_pause, longest_pause)
        self._clock = clock
        self._pause = first_pause
        self._probe_at = 0.0
        self._is_probing = False
        self.is_open = False
        self.reason = ""

    @property
    def pause(self) -> float:
        """Seconds until the next probe is allowed; 0 when one is allowed now."""
        return max(0.0, self._probe_at - self._clock()) if self.is_open else 0.0

    def allows(self) -> bool:
        """True if the caller may go to the store; while open, one caller a pause may, as the probe.

        A probe that never reports back, because it was cancelled, holds the next one up by one pause only.
        """
        if not self.is_open:
            return True
        now = self._clock()
        if now < self._probe_at:
            return False
        self._probe_at = now + self._pause
        self._is_probing = True
        return True

    def succeeded(self) -> None:
        """The store answered: close."""
        if self.is_open:
            self.is_open = False
            self.reason = ""
            self._pause = self._first

    def failed(self, reason: str) -> None:
        """The store did not answer, for *reason*: open, or stay open for twice the pause.

        Failures of calls that were under way when the store was found down change nothing: only a probe's does.
        """
        if not self.is_open:
            self._pause = self._first
        elif self._is_probing:
            self._pause = min(self._pause * 2, self._longest)
        else:
            return
        self.is_open = True
        self._is_probing = False
        self.reason = reason
        self._probe_at = self._clock() + self._pause
