"""How a server ends: what signals mean at each moment, and how long the process then has.

first signal    drain, finish what is in flight      (during the start: the start is given up)
second signal   requests in flight are cut off       third signal: the process ends
SIGHUP          a renewal where there is one, else as a first signal
"""

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from torngas_aio.webserver.runner import Watchdog

if TYPE_CHECKING:
    from torngas_aio.webserver.single import SingleProcess

__all__ = [
    "GRACEFUL_SECONDS",
    "HURRY_SECONDS",
    "SHUTDOWN_SECONDS",
    "StopSignals",
    "StoppedEarly",
    "Stopping",
    "on_signals",
]

logger = logging.getLogger("torngas_aio.server")

GRACEFUL_SECONDS = 30.0
SHUTDOWN_SECONDS = 60.0
"""How long shutdown hooks and pools may take together, each also having its own limit."""

HURRY_SECONDS = 10.0
"""How long a start that is given up, or a stop that was asked for twice, may take."""

TURN_SECONDS = 1.0
"""How often a loop that stops says that it turns."""

HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
SIGNALS = (signal.SIGTERM, signal.SIGINT, *(() if HANGUP is None else (HANGUP,)))


class StoppedEarly(Exception):
    """The stop came before the start was complete."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """How a server ends.

    Attributes:
        graceful_seconds: How long requests in flight, and background tasks after them, may take.
        drain_seconds: How long the server goes on as before, once it is told to stop, for proxies to notice.
        start: Set: the start is given up.
        hurry: Set: nothing is waited for any longer.
        is_renewal: Whether another process takes this one's place: there is no drain, WebSockets get 1012.
    """

    graceful_seconds: float = GRACEFUL_SECONDS
    drain_seconds: float = 0.0
    start: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    is_renewal: Callable[[], bool] = bool


class StopSignals:
    """What signals do to a server.

    Attributes:
        stopping: What they lead to.
        is_ready: The start is complete.

    Args:
        graceful_seconds: As `Stopping`'s, and so is `drain_seconds`.
        is_renewal: In a worker, None elsewhere: as `run_until_stopped`'s.
        single: In a process without a parent: what a renewal is.
    """

    def __init__(
        self,
        graceful_seconds: float,
        drain_seconds: float,
        is_renewal: Callable[[], bool] | None,
        single: "SingleProcess | None",
    ) -> None:
        self.is_ready = False
        self._is_worker = is_renewal is not None
        self._single = single
        self._loop = asyncio.get_running_loop()
        self.stopping = Stopping(graceful_seconds, drain_seconds, is_renewal=is_renewal or self._is_renewed)

    async def wait(self) -> None:
        """Return at the first signal, once it is known what it means."""
        try:
            await self.stopping.start.wait()
        finally:
            if self._single is not None:
                self._single.on_stopping()
                await self._single.aclose()

    def on_hangup(self) -> bool:
        """Whether SIGHUP begins a renewal; False: it is a stop."""
        return self._single is not None and self._single.on_hangup(self._loop, self._renew)

    def on_signal(self, number: int) -> None:
        """Begin a stop, or hurry one."""
        name, start = signal.Signals(number).name, self.stopping.start
        if self._single is not None and self._single.give_up_renewal():
            logger.info("%s: the server ends instead of being renewed.", name)
        elif not start.is_set():
            logger.info("%s: %s", name, _plan(self.stopping) if self.is_ready else "the start is given up.")
            start.set()
        elif not self._is_worker:
            logger.warning("%s again: requests in flight are cut off.", name)
            self.stopping.hurry.set()

    def deadline(self, signals: int) -> float:
        """Return how many seconds the process has after so many signals."""
        if signals > 2 and not self._is_worker:
            return 0.0
        if not self.is_ready or (signals > 1 and not self._is_worker):
            return HURRY_SECONDS
        return self.stopping.drain_seconds + self.stopping.graceful_seconds + 2 * SHUTDOWN_SECONDS

    def _renew(self) -> None:
        logger.info("SIGHUP: %s", _plan(self.stopping))
        self.stopping.start.set()

    def _is_renewed(self) -> bool:
        return self._single is not None and self._single.is_renewed


@contextlib.contextmanager
def on_signals(
    handle: Callable[[int], None],
    deadline: Callable[[int], float],
    blocked_seconds: float,
    on_hangup: Callable[[], bool],
) -> Generator[None]:
    """Call *handle* in the loop for each of SIGNALS while the block runs; only the main thread can.

    Args:
        deadline: Asked at each signal, with the number of signals so far: seconds after which the process is ended if
            the block has not.
        blocked_seconds: The same from when the loop turned last, in a stop: it may block at any step of that.
        on_hangup: Asked at SIGHUP: whether it is no stop, and has been dealt with.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    watchdog = Watchdog()
    received: list[int] = []
    until = 0.0
    signals = [each for each in SIGNALS if each != HANGUP or signal.getsignal(each) != signal.SIG_IGN]

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal until
        if number == HANGUP and (received or on_hangup()):
            return
        received.append(number)
        # Not `loop.add_signal_handler`: a loop that is blocked calls no handlers, and could not be stopped.
        until = time.monotonic() + deadline(len(received))
        watch()
        loop.call_soon_threadsafe(handle, number)
        if len(received) == 1:
            loop.call_soon_threadsafe(turn)

    def watch() -> None:
        watchdog.set_deadline(min(until - time.monotonic(), blocked_seconds))

    def turn() -> None:
        with contextlib.suppress(OSError):  # the block, and with it the watchdog, may have ended meanwhile
            watch()
            loop.call_later(TURN_SECONDS, turn)

    before = {number: signal.signal(number, on_signal) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        watchdog.close()


def _plan(stopping: Stopping) -> str:
    drain = "" if stopping.is_renewal() else f"going on for {stopping.drain_seconds:g} s, then "
    return (
        f"{drain if stopping.drain_seconds else ''}accepting no more; "
        f"up to {stopping.graceful_seconds:g} s for requests in flight."
    )
