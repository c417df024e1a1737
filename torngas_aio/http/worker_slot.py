"""A worker as its parent sees it: what it is started with, its process, and the connection to it."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from torngas_aio._json import JsonObject
from torngas_aio.http.worker import DUMP_SIGNAL, ENVIRONMENT, LENT, MAX_DESCRIPTORS, RENEWED, REPORT_SECONDS, RETURNED

__all__ = ["Program", "RenewalLimits", "Slot"]

_JITTER = 0.1
_MAX_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker is started with.

    Attributes:
        command: The interpreter and its arguments.
        folder: Where it is started, as it was typed: the links in it are followed each time.
    """

    command: Sequence[str]
    folder: str

    @classmethod
    def of_this_process(cls) -> "Program":
        """Return what this process was started with, links not resolved."""
        return cls([sys.executable, *sys.orig_argv[1:]], _started_in)


@dataclass(frozen=True, slots=True)
class RenewalLimits:
    """When a worker is replaced; 0: never. Up to a tenth is left off at random, so that not all are replaced at once.

    Attributes:
        requests: Answered by one worker.
        rss: Bytes of memory (resident) of one worker.
    """

    requests: int = 0
    rss: int = 0

    def reduced(self) -> "RenewalLimits":
        """Return the limits for one worker."""
        factor = 1 - _JITTER * random.random()  # noqa: S311
        return RenewalLimits(int(self.requests * factor), int(self.rss * factor))

    def is_exceeded(self, requests: int, rss: int) -> bool:
        """Whether a worker that has had so many requests and bytes has had enough."""
        return bool((self.requests and requests >= self.requests) or (self.rss and rss >= self.rss))


def _typed_folder() -> str:
    folder, typed = os.getcwd(), os.environ.get("PWD", "")  # noqa: PTH109
    with suppress(OSError):
        if os.path.isabs(typed) and os.path.samefile(typed, folder):  # noqa: PTH117, PTH121
            return typed
    return folder


_started_in = _typed_folder()  # at the import: the project may change its folder, a deployment what the path leads to


@dataclass(eq=False)
class Slot:
    """One of the workers, or its place.

    Attributes:
        number: 0 to workers - 1.
        limits: When it is replaced.
        process: None before the start, and from the end on.
        started: As `time.monotonic()`; `started_at` as `time.time()`.
        heard: When it has last said something.
        is_hung: It has said nothing for so long that its loop must be blocked.
        hung_until: When it is killed unless it says something; None: it is not, or not yet.
        is_dumped: It has been told to write its stacks.
        may_block: Its loop may, as it said when it was ready: it is in DEBUG.
        requests: How many it has answered, as it said last.
        rss: Bytes of memory, as it said last.
        code: Where its code is, as it said when it was ready.
        now: What it counts at this moment, as it said last; see `torngas_aio.operations.counts`.
        own: The project's own metrics there; see `torngas_aio.operations.project_metrics`.
        deaths: How often it has died, one time soon after the other.
        restart_at: When it is started again; None: it runs, or is not to.
        kill_at: When it is killed that was told to end.
        ready_until: When it is killed unless it is ready.
        lent: The numbers of the slots whose sockets it serves beside its own.
        enough_from: It is not replaced for its limits before.
        unix_path: Where it listens beside its sockets, as it said last; "": nowhere.
    """

    number: int
    limits: RenewalLimits
    process: "subprocess.Popen[bytes] | None" = None
    channel: socket.socket | None = None
    is_ready: bool = False
    started: float = 0.0
    started_at: float = 0.0
    heard: float = 0.0
    is_hung: bool = False
    hung_until: float | None = None
    is_dumped: bool = False
    may_block: bool = False
    requests: int = 0
    rss: int = 0
    code: str = ""
    now: JsonObject = field(default_factory=JsonObject)
    own: JsonObject = field(default_factory=JsonObject)
    deaths: int = 0
    restart_at: float | None = None
    kill_at: float | None = None
    ready_until: float | None = None
    lent: list[int] = field(default_factory=list[int])
    enough_from: float = 0.0
    unix_path: str = ""
    _unread: bytes = b""
    _descriptors: list[int] = field(default_factory=list[int])

    @property
    def pid(self) -> int:
        """The process id; 0 without a process."""
        return 0 if self.process is None else self.process.pid

    @property
    def is_accepting(self) -> bool:
        """Whether connections that come to its sockets are taken."""
        return self.process is not None and self.is_ready and not self.is_hung

    def silence(self, now: float) -> float:
        """Seconds for which it has owed a report."""
        return max(now - self.heard - REPORT_SECONDS, 0.0)

    def postpone(self, seconds: float, now: float) -> None:
        """Leave time out, in which it could not be heard, of what it is judged by."""
        self.heard = min(self.heard + seconds, now)
        if self.hung_until is not None:
            self.hung_until += seconds
        if self.kill_at is not None:
            self.kill_at += seconds
        if self.ready_until is not None:
            self.ready_until += seconds

    def start(self, program: Program, workers: int, sockets: Sequence[socket.socket]) -> None:
        """Start the process, as a new interpreter.

        Args:
            workers: How many there are.
            sockets: The listening sockets of this one; none: it binds them.

        Raises:
            OSError: The command or its folder is not there, or there is no memory.
        """
        ours, theirs = socket.socketpair()
        numbers = [each.fileno() for each in sockets]
        given = {
            "number": self.number, "workers": workers, "sockets": numbers,
            "parent": theirs.fileno(), "inode": os.fstat(theirs.fileno()).st_ino,
        }  # fmt: skip
        # RACE: what the terminal sends to the whole group must not end a worker that cannot handle it yet; so it waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT))
        try:
            self.process = subprocess.Popen(  # noqa: S603  this program itself
                program.command,
                pass_fds=[*numbers, theirs.fileno()],
                env={**os.environ, ENVIRONMENT: json.dumps(given)},
                cwd=program.folder,
            )
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP, signal.SIGINT))
            theirs.close()
        ours.setblocking(False)
        self.channel, self._unread = ours, b""
        self.started = self.heard = time.monotonic()
        self.started_at = time.time()
        self.is_ready = self.is_hung = self.is_dumped = False
        self.restart_at = self.kill_at = self.hung_until = None
        self.lent = []
        self.requests = self.rss = 0
        self.now, self.own = {}, {}

    def note_own(self, changed: dict[str, object], gone: Sequence[str]) -> None:
        """Take what has changed in the project's own metrics."""
        for key in gone:
            self.own.pop(key, None)
        self.own |= changed

    def read(self) -> list[JsonObject] | None:
        """Return what the worker has said since the last time; None when it can say no more."""
        assert self.channel is not None
        try:
            received, descriptors, _, _ = socket.recv_fds(self.channel, _MAX_BYTES, MAX_DESCRIPTORS)
        except BlockingIOError:
            return []
        except OSError:
            return None
        self._descriptors += descriptors
        if not received:
            return None
        self.heard = time.monotonic()
        *lines, self._unread = (self._unread + received).split(b"\n")
        return [json.loads(line) for line in lines]

    def take_sockets(self, count: int) -> list[socket.socket]:
        """Return the next *count* sockets that the worker has handed over."""
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return [socket.socket(fileno=number) for number in taken]

    def say_renewed(self) -> None:
        """Tell the worker that another one takes its place; SIGTERM follows."""
        if self.channel is not None:
            with suppress(OSError):
                self.channel.send(RENEWED)

    def lend(self, groups: Mapping[int, Sequence[socket.socket]]) -> None:
        """Let the worker serve the sockets of *groups*, too, which are those of other ones, and no others."""
        if self.channel is not None:
            with suppress(OSError):
                if self.lent:
                    self.channel.send(RETURNED)
                for group in groups.values():
                    socket.send_fds(self.channel, [LENT], [each.fileno() for each in group])
        self.lent = list(groups)

    def dump(self) -> None:
        """Have the process write the stacks of its threads to stderr, even if its loop is blocked."""
        self.is_dumped = True
        if self.process is not None and DUMP_SIGNAL is not None:
            self.process.send_signal(DUMP_SIGNAL)

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None:
            self.process.kill()

    @property
    def state(self) -> str:
        """One of `WORKER_STATES`."""
        if self.process is None:
            return "down"
        if self.kill_at is not None:
            return "leaving"
        return "hung" if self.is_hung else "ready" if self.is_ready else "starting"

    def describe(self, now: float) -> JsonObject:
        """Return what `torngas-aio ps` shows."""
        return {
            "number": self.number, "pid": self.pid, "state": self.state, "age": now - self.started,
            "requests": self.requests, "rss": self.rss, "code": self.code, "started_at": self.started_at,
        }  # fmt: skip
