"""The shutdown of a server: the meaning of signals, and the deadlines that they set.

first signal    drain, finish requests in flight     (during the start: abort the start)
second signal   abort requests in flight             third signal: kill the process
SIGHUP          renewal if supported, else as a first signal
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
"""Time limit of shutdown hooks and pools together; each also has its own."""

HURRY_SECONDS = 10.0
"""Time limit for an aborted start, and for a shutdown after the second signal."""

TURN_SECONDS = 1.0
"""Interval at which the loop resets the watchdog during a shutdown."""

HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
SIGNALS = (signal.SIGTERM, signal.SIGINT, *(() if HANGUP is None else (HANGUP,)))


class StoppedEarly(Exception):
    """The server was stopped before the start was complete."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The configuration and the events of a shutdown.

    Attributes:
        graceful_seconds: Timeout of requests in flight and of background tasks after them.
        drain_seconds: Time to keep serving after the stop signal, so that proxies can notice.
        start: Set at the stop signal; during the start it aborts the start.
        hurry: Set to abort requests in flight.
        is_renewal: Returns whether another process replaces this one: no drain, WebSockets are closed with 1012.
    """

    graceful_seconds: float = GRACEFUL_SECONDS
    drain_seconds: float = 0.0
    start: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    is_renewal: Callable[[], bool] = bool


class StopSignals:
    """The reactions of a server to signals.

    Attributes:
        stopping: The shutdown that signals control.
        is_ready: Whether the start is complete.

    Args:
        graceful_seconds: As in `Stopping`; also `drain_seconds`.
        is_renewal: As in `run_until_stopped`; None unless in a worker.
        single: This process, if it has no parent; None in a worker.
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
        """Wait for the first signal that stops the server."""
        try:
            await self.stopping.start.wait()
        finally:
            if self._single is not None:
                self._single.on_stopping()
                await self._single.aclose()

    def on_hangup(self) -> bool:
        """Start a renewal at SIGHUP; return False if the signal means stop."""
        return self._single is not None and self._single.on_hangup(self._loop, self._renew)

    def on_signal(self, number: int) -> None:
        """Start a shutdown; at the second signal abort requests in flight."""
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
        """Return the seconds until the process is killed, after the given number of signals."""
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
    """Call *handle* in the loop for each of SIGNALS while the block runs; does nothing outside the main thread.

    Args:
        deadline: Called at each signal with the number of signals so far; returns the seconds after which the process
            is killed if the block has not ended.
        blocked_seconds: Seconds after which the process is killed if the loop is blocked during the shutdown.
        on_hangup: Called at SIGHUP; returns True if it handled the signal, False if the signal means stop.
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
        # Not `loop.add_signal_handler`: a blocked loop calls no handlers, so the process could not be stopped.
        until = time.monotonic() + deadline(len(received))
        watch()
        loop.call_soon_threadsafe(handle, number)
        if len(received) == 1:
            loop.call_soon_threadsafe(turn)

    def watch() -> None:
        watchdog.set_deadline(min(until - time.monotonic(), blocked_seconds))

    def turn() -> None:
        with contextlib.suppress(OSError):  # the block may have ended, which closes the watchdog
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
