"""A worker process: its inheritance from the parent process, and the messages between both.

environment    TORNGAS_WORKER: number, descriptors of the listening sockets and of the connection to the parent
─► parent      the sockets bound by the first worker; readiness; once a second requests, memory and counters;
               a socket on which the parent shall send the totals of all workers, or a listening unix socket
◄─ parent      the notice that another worker replaces this one; sockets of workers that cannot accept, and
               their return; end of file when the parent has died
"""

import asyncio
import contextlib
import faulthandler
import functools
import io
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torngas_aio._json import JsonObject
from torngas_aio.exception import ConfigError

__all__ = [
    "DUMP_SIGNAL",
    "ENVIRONMENT",
    "LENT",
    "MAX_DESCRIPTORS",
    "RENEWED",
    "REPORT_SECONDS",
    "RETURNED",
    "WORKER_STATES",
    "Worker",
    "current_worker",
]

ENVIRONMENT = "TORNGAS_WORKER"
RENEWED = b"r"
"""Message of the parent before it ends a worker that is being replaced."""

LENT = b"s"
"""Message with the sockets of a worker that cannot accept: this one is to accept their connections too."""

RETURNED = b"t"
"""Message to close all lent sockets; those to be kept are sent again after it."""

DUMP_SIGNAL = getattr(signal, "SIGUSR2", None)
"""Signal on which a worker writes the stacks of its threads to stderr, unless the project handles it."""

WORKER_STATES = ("starting", "ready", "hung", "leaving", "down")
"""The states in the parent; "down" is between an end and the next start."""

MAX_DESCRIPTORS = 253  # in one message: SCM_MAX_FD of Linux
REPORT_SECONDS = 1.0
TOTALS_SECONDS = 2.0
UNIX_SECONDS = 15.0


class Worker:
    """This process as one of several workers.

    Attributes:
        number: 0 to workers - 1; a replacement has the number of the worker it replaces.
        workers: The number of workers.
        counts: Called each second for the counters to report; None to report none.
        sockets: The listening sockets; empty in the first worker of a server, which binds them for all.
    """

    def __init__(self, number: int, workers: int, sockets: Sequence[socket.socket], parent: socket.socket) -> None:
        self.number = number
        self.workers = workers
        self.sockets = list(sockets)
        self._parent = parent
        self._parent.setblocking(False)
        self._is_renewed = False
        self._lent: list[socket.socket] = []
        self._requests = 0
        self.counts: Callable[[], JsonObject] | None = None
        self._unsent = b""

    def hand_over(self, groups: Sequence[Sequence[socket.socket]]) -> None:
        """Send the listening sockets of every worker to the parent; those of the others are closed here.

        Args:
            groups: The sockets of each worker: its own, or the same for all.
        """
        self._parent.setblocking(True)
        for group in groups:
            socket.send_fds(self._parent, [_line(sockets=len(group))], [each.fileno() for each in group])
        self._parent.setblocking(False)
        self.sockets = list(groups[self.number])
        for each in set(itertools.chain.from_iterable(groups)) - set(self.sockets):
            each.close()

    def listen_at(self, path: str) -> socket.socket:
        """Return a socket that listens at *path*, shared by all workers; the parent binds it and removes the file.

        Raises:
            ConfigError: The path cannot be used.
            OSError: The parent does not respond.
        """
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._parent.setblocking(True)
                asked = _line(unix=str(Path(path).absolute()))
                socket.send_fds(self._parent, [asked], [theirs.fileno()])
                self._parent.setblocking(False)
            ours.settimeout(UNIX_SECONDS)
            told, descriptors, _, _ = socket.recv_fds(ours, 65536, 1)
        if not descriptors:
            raise ConfigError(told.decode() or "The parent process is stopping.", code="TGA801")
        return _adopt(descriptors[0])

    def ready(self, code: str = "", *, may_block: bool = False) -> None:
        """Report to the parent that this worker serves, and then every second; to be called once, in the loop.

        Args:
            code: The path of its code, for the operator.
            may_block: Its loop may be blocked, in a debugger: the worker is not replaced for that.
        """
        _dump_on_demand()
        self._send(_line(ready=True, code=code, may_block=may_block))
        asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report)

    def counted(self, serve: Callable[[Any], object]) -> Callable[[Any], Any]:
        """Return *serve*, called for each request, wrapped in a counter of requests."""

        def serve_counted(request: object) -> object:
            self._requests += 1
            return serve(request)

        return serve_counted

    def is_renewed(self) -> bool:
        """Return whether another worker replaces this one (True) or the server stops (False); call it after SIGTERM."""
        for each in self._receive()[1]:
            each.close()
        return self._is_renewed

    def listen(
        self,
        *,
        on_orphaned: Callable[[], object],
        add_sockets: Callable[[list[socket.socket]], object],
        remove_sockets: Callable[[list[socket.socket]], object],
    ) -> None:
        """Handle messages of the parent in the running loop.

        Args:
            on_orphaned: Called when the parent has died; the worker should then stop.
            add_sockets: Called with additional listening sockets to serve.
            remove_sockets: Called with those of them that it must close.
        """
        loop = asyncio.get_running_loop()

        def notice() -> None:
            received, lent = self._receive()
            if received is None:
                loop.remove_reader(self._parent)
                on_orphaned()
                return
            if RETURNED in received:  # before handling `lent`: one receive never returns bytes after descriptors
                remove_sockets(self._lent)
                self._lent = []
            if lent:
                self._lent += lent
                add_sockets(lent)

        loop.add_reader(self._parent, notice)

    def _receive(self) -> tuple[bytes | None, list[socket.socket]]:
        """Receive the parent's messages, None when it has died, and the sockets that it lends."""
        try:
            received, descriptors, _, _ = socket.recv_fds(self._parent, 64, MAX_DESCRIPTORS)
        except BlockingIOError:
            return b"", []
        except OSError:  # it died before it read all of our messages
            return None, []
        self._is_renewed = self._is_renewed or RENEWED in received
        return received or None, [_adopt(number) for number in descriptors]

    def _report(self) -> None:
        self.report()
        asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report)

    def report(self) -> bool:
        """Send this worker's state and its counts since the last report; return whether everything could be sent.

        The rest is sent before the next report, which sends nothing new while some of it is left.
        """
        self._send(b"")
        if not self._unsent:  # otherwise the parent does not read; counts accumulate here
            self._send(_line(requests=self._requests, rss=_resident_bytes()))
            if self.counts is not None:
                self._send(_line(**self.counts()))
        return not self._unsent

    async def totals(self) -> JsonObject:
        """Return the totals of all workers; see `torngas_aio.http.worker_totals`.

        Raises:
            OSError: The parent does not read, or does not respond in time (`TimeoutError`).
        """
        self.report()
        if self._unsent:
            raise BlockingIOError("The parent process does not read.")
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._parent, [_line(totals=True)], [theirs.fileno()])
        async with asyncio.timeout(TOTALS_SECONDS):
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                found: dict[str, object] = json.loads(await reader.read() or b"{}")
                return found
            finally:
                writer.close()

    def _send(self, line: bytes) -> None:
        self._unsent += line
        with contextlib.suppress(OSError):  # do not wait for a parent that has died or does not read
            self._unsent = self._unsent[self._parent.send(self._unsent) :]


@functools.cache
def current_worker() -> Worker | None:
    """Return this process as a worker; None if no parent has started it."""
    text = os.environ.pop(ENVIRONMENT, "")
    if not text:
        return None
    given = json.loads(text)
    number = given["parent"]
    try:
        is_inherited = os.fstat(number).st_ino == given["inode"]
    except OSError:
        is_inherited = False
    if not is_inherited:  # this program was started by code in a worker, and inherited only its variable
        return None
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # handled by the parent, even if sent to the whole group
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP, signal.SIGINT))
    sockets = [_adopt(each) for each in given["sockets"]]
    return Worker(given["number"], given["workers"], sockets, _adopt(number))


def _dump_on_demand() -> None:
    if DUMP_SIGNAL is not None and signal.getsignal(DUMP_SIGNAL) == signal.SIG_DFL:
        with contextlib.suppress(AttributeError, io.UnsupportedOperation, RuntimeError):  # stderr is not a file
            faulthandler.register(DUMP_SIGNAL)


def _adopt(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)


def _line(**message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _resident_bytes() -> int:
    """Return the resident memory of this process, in bytes; its maximum, if the system reports no current value."""
    import resource  # not on Windows

    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
