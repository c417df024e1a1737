"""A worker process: what its parent has given it, and what it tells its parent.

environment    TORNGAS_WORKER: number, descriptors of the listening sockets and of the connection to the parent
─► parent      the sockets that the first worker has bound; that it is ready; requests, memory and what it has
               counted each second; a socket on which the parent sends what all have counted, or a listening
               unix socket
◄─ parent      that another worker takes this one's place; the sockets of workers that cannot accept, and that
               they can again; its end, when the parent has died
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
"""What the parent says before it ends a worker that another one replaces."""

LENT = b"s"
"""What it says with the sockets of a worker that cannot accept: this one accepts their connections, too."""

RETURNED = b"t"
"""What it says when this worker is to close the sockets that it was lent; those that it is to keep follow."""

DUMP_SIGNAL = getattr(signal, "SIGUSR2", None)
"""What has a worker write the stacks of its threads to stderr, unless the project handles this signal itself."""

WORKER_STATES = ("starting", "ready", "hung", "leaving", "down")
"""As the parent sees them; "down" is between an end and the next start."""

MAX_DESCRIPTORS = 253  # in one message: SCM_MAX_FD of Linux
REPORT_SECONDS = 1.0
TOTALS_SECONDS = 2.0
UNIX_SECONDS = 15.0


class Worker:
    """This process, as one of several that serve.

    Attributes:
        number: 0 to workers - 1; a worker that replaces another has its number.
        workers: How many there are.
        counts: Asked each second for what is to be told about this worker's counting; None where nothing is.
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
        """Give the parent the listening sockets of every worker; those of the others are closed here.

        Args:
            groups: For each worker its own, or the same ones for all.
        """
        self._parent.setblocking(True)
        for group in groups:
            socket.send_fds(self._parent, [_line(sockets=len(group))], [each.fileno() for each in group])
        self._parent.setblocking(False)
        self.sockets = list(groups[self.number])
        for each in set(itertools.chain.from_iterable(groups)) - set(self.sockets):
            each.close()

    def listen_at(self, path: str) -> socket.socket:
        """Return a socket that listens at *path*, one for all workers; the parent has bound it, and removes the file.

        Raises:
            ConfigError: The path cannot be used.
            OSError: The parent does not answer.
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
        """Tell the parent that this worker serves, and go on telling what it does; to be called once, in the loop.

        Args:
            code: Where its code is, for the operator.
            may_block: Its loop may stand still, in a debugger: the worker is not replaced for that.
        """
        _dump_on_demand()
        self._send(_line(ready=True, code=code, may_block=may_block))
        asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report)

    def counted(self, serve: Callable[[Any], object]) -> Callable[[Any], Any]:
        """Return *serve*, which is called for each request, so that the requests are counted."""

        def serve_counted(request: object) -> object:
            self._requests += 1
            return serve(request)

        return serve_counted

    def is_renewed(self) -> bool:
        """Whether another worker takes this one's place, rather than that the server stops; to be asked at SIGTERM."""
        for each in self._hear()[1]:
            each.close()
        return self._is_renewed

    def listen(
        self,
        *,
        on_orphaned: Callable[[], object],
        add_sockets: Callable[[list[socket.socket]], object],
        remove_sockets: Callable[[list[socket.socket]], object],
    ) -> None:
        """Have the running loop listen to the parent.

        Args:
            on_orphaned: Called when the parent has died; the worker should then stop.
            add_sockets: Called with listening sockets that are to be served, too.
            remove_sockets: Called with some of these that are to be served no longer, and closed.
        """
        loop = asyncio.get_running_loop()

        def notice() -> None:
            said, lent = self._hear()
            if said is None:
                loop.remove_reader(self._parent)
                on_orphaned()
                return
            if RETURNED in said:  # before what came with it: descriptors are the end of what is received at once
                remove_sockets(self._lent)
                self._lent = []
            if lent:
                self._lent += lent
                add_sockets(lent)

        loop.add_reader(self._parent, notice)

    def _hear(self) -> tuple[bytes | None, list[socket.socket]]:
        """Take what the parent says, None when it has died, and sockets that it lends."""
        try:
            received, descriptors, _, _ = socket.recv_fds(self._parent, 64, MAX_DESCRIPTORS)
        except BlockingIOError:
            return b"", []
        except OSError:  # it died with words of ours unread
            return None, []
        self._is_renewed = self._is_renewed or RENEWED in received
        return received or None, [_adopt(number) for number in descriptors]

    def _report(self) -> None:
        self.report()
        asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report)

    def report(self) -> bool:
        """Tell the parent what this worker does, and what it has counted since the last time; return whether it fits.

        What does not is sent before the next report, which tells nothing else as long as some of it is left.
        """
        self._send(b"")
        if not self._unsent:  # else the parent does not read; what is counted adds up here
            self._send(_line(requests=self._requests, rss=_resident_bytes()))
            if self.counts is not None:
                self._send(_line(**self.counts()))
        return not self._unsent

    async def totals(self) -> JsonObject:
        """Return what all workers have counted; see `torngas_aio.http.worker_totals`.

        Raises:
            OSError: The parent does not read, or does not answer in time (`TimeoutError`).
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
        with contextlib.suppress(OSError):  # a parent that has died, or does not read, is not waited for
            self._unsent = self._unsent[self._parent.send(self._unsent) :]


@functools.cache
def current_worker() -> Worker | None:
    """Return what this process is as a worker; None where no parent has started it as one."""
    text = os.environ.pop(ENVIRONMENT, "")
    if not text:
        return None
    given = json.loads(text)
    number = given["parent"]
    try:
        is_inherited = os.fstat(number).st_ino == given["inode"]
    except OSError:
        is_inherited = False
    if not is_inherited:  # a program that a worker's project has started before the worker asked
        return None
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent's business, also when it goes to the whole group
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP, signal.SIGINT))
    sockets = [_adopt(each) for each in given["sockets"]]
    return Worker(given["number"], given["workers"], sockets, _adopt(number))


def _dump_on_demand() -> None:
    if DUMP_SIGNAL is not None and signal.getsignal(DUMP_SIGNAL) == signal.SIG_DFL:
        with contextlib.suppress(AttributeError, io.UnsupportedOperation, RuntimeError):  # stderr is no file
            faulthandler.register(DUMP_SIGNAL)


def _adopt(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)


def _line(**said: object) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _resident_bytes() -> int:
    """Memory of this process; the most that it has had, where the system does not tell what it has."""
    import resource  # not on Windows

    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
