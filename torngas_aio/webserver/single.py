"""A server of one process: what its service manager hears of it, and how SIGHUP brings new code.

    SIGHUP ─► a trial start of the code on disk, hooks included, beside the server
               ├─ fails: one line says why; the code that runs goes on serving
               └─ works: the server stops as at SIGTERM, its listening sockets stay open, the program is replaced (exec)

Nothing is refused meanwhile; new connections wait in the sockets until the new code accepts them. The process id stays.
A SIGHUP that comes because the terminal has closed is a stop.
"""

import asyncio
import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from torngas_aio.http.supervisor import terminal_watch
from torngas_aio.http.systemd import ServiceManager, listening_variables
from torngas_aio.http.worker_slot import Program
from torngas_aio.webserver.reloading import trial_fault

__all__ = ["SingleProcess"]

logger = logging.getLogger("torngas_aio.server")


class SingleProcess:
    """This process, which serves by itself.

    Attributes:
        is_renewed: The server stops because new code takes its place.

    Args:
        program: What is started in its place.
    """

    def __init__(self, program: Program, sockets: Sequence[socket.socket]) -> None:
        self.is_renewed = False
        self._program = program
        self._sockets = sockets
        self._kept: list[socket.socket] = []
        self._manager = ServiceManager()
        self._has_terminal_closed = terminal_watch()
        self._since = time.strftime("%Y-%m-%d %H:%M:%S")
        self._trial: asyncio.Task[None] | None = None
        self._stop: Callable[[], None] | None = None
        self._handler: Any = None

    def __enter__(self) -> Self:
        self._handler = signal.getsignal(signal.SIGHUP)
        if self._handler != signal.SIG_IGN and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, _ignore)  # beneath the loop's: one that comes after that must not end it
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if signal.getsignal(signal.SIGHUP) is _ignore:
            signal.signal(signal.SIGHUP, self._handler)

    def on_ready(self) -> None:
        """Tell the service manager, in the running loop, and go on telling it."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))  # see `replace`
        self._manager.ready("One process serves.")
        if self._manager.watchdog_seconds:
            self._feed_watchdog()

    def on_stopping(self) -> None:
        """Tell the service manager that the server ends, unless new code takes its place."""
        if not self.is_renewed:
            self._manager.stopping()

    def on_hangup(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> bool:
        """Begin a renewal, in a signal handler; return False where the signal is a stop.

        Args:
            stop: Called in *loop* when the new code starts.
        """
        if self._has_terminal_closed():
            return False
        self._stop = stop
        loop.call_soon_threadsafe(self._begin)
        return True

    def give_up_renewal(self) -> bool:
        """Let the stop that is under way be an end; return whether it was not one."""
        was_renewed, self.is_renewed = self.is_renewed, False
        return was_renewed

    async def aclose(self) -> None:
        """End a trial start that is under way."""
        if self._trial is not None and not self._trial.done():
            self._trial.cancel()
            await asyncio.wait((self._trial,))

    def replace(self) -> None:
        """Run the new code in this process; does not return.

        Raises:
            OSError: The program is not there any more.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))  # the next one waits until there is a handler for it
        os.chdir(self._program.folder)
        environment = {**os.environ, **self._manager.hand_over(), **listening_variables(self._kept)}
        os.execve(self._program.command[0], list(self._program.command), environment)  # noqa: S606

    def _begin(self) -> None:
        if self._trial is None or (self._trial.done() and not self.is_renewed):
            self._trial = asyncio.get_running_loop().create_task(self._try())

    async def _try(self) -> None:
        logger.info("SIGHUP: the code that is in %s now is tried.", self._program.folder)
        self._manager.reloading()
        if fault := await trial_fault(self._program, with_hooks=True):
            logger.error("SIGHUP: the new code does not start: %s; still serving the code of %s.", fault, self._since)
            self._manager.ready("Still the code before the last reload.")
            return
        assert self._stop is not None
        self._kept = [socket.socket(fileno=_high_copy(each)) for each in self._sockets]
        self.is_renewed = True
        self._stop()

    def _feed_watchdog(self) -> None:
        self._manager.watchdog()
        asyncio.get_running_loop().call_later(self._manager.watchdog_seconds, self._feed_watchdog)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing; unlike SIG_IGN, the next program does not inherit it."""


def _high_copy(sock: socket.socket) -> int:
    """A descriptor of *sock* beyond those that socket activation uses."""
    return fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, 64)
