"""A server of one process: notifications to the service manager, and code renewal by SIGHUP.

    SIGHUP ─► a trial start of the code on disk, hooks included, in a second process
               ├─ failure: the reason is logged; the running code continues to serve
               └─ success: the server stops as at SIGTERM, listening sockets stay open, the program is replaced (exec)

No connection is refused: new ones wait in the backlog until the new code accepts them. The process id stays the same.
A SIGHUP sent because the terminal has closed stops the server.
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
    """This process, a server without a parent process.

    Attributes:
        is_renewed: Whether the server stops in order to be replaced by new code.

    Args:
        program: The program to run in its place.
        sockets: The listening sockets to keep open.
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
            signal.signal(signal.SIGHUP, _ignore)  # after the loop's handler is removed, SIGHUP must not kill us
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if signal.getsignal(signal.SIGHUP) is _ignore:
            signal.signal(signal.SIGHUP, self._handler)

    def on_ready(self) -> None:
        """Notify the service manager, in the running loop, and start its watchdog notifications."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))  # see `replace`
        self._manager.ready("One process serves.")
        if self._manager.watchdog_seconds:
            self._feed_watchdog()

    def on_stopping(self) -> None:
        """Notify the service manager that the server stops, unless new code replaces it."""
        if not self.is_renewed:
            self._manager.stopping()

    def on_hangup(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> bool:
        """Start a renewal, from a signal handler; return False if the signal means stop.

        Args:
            stop: Called in *loop* when the new code starts.
        """
        if self._has_terminal_closed():
            return False
        self._stop = stop
        loop.call_soon_threadsafe(self._begin)
        return True

    def give_up_renewal(self) -> bool:
        """Turn a renewal in progress into a stop; return whether there was one."""
        was_renewed, self.is_renewed = self.is_renewed, False
        return was_renewed

    async def aclose(self) -> None:
        """Cancel a trial start in progress."""
        if self._trial is not None and not self._trial.done():
            self._trial.cancel()
            await asyncio.wait((self._trial,))

    def replace(self) -> None:
        """Run the new code in this process; does not return.

        Raises:
            OSError: The program file no longer exists.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))  # pending until the new code installs a handler
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
    """Return a duplicate descriptor of *sock*, 64 or above: socket activation uses those from 3 on."""
    return fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, 64)
