"""A worker in the parent process: its command, its process, and the connection to it."""

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
    """The command of a worker.

    Attributes:
        command: The interpreter and its arguments.
        folder: The working directory as typed: its links are resolved at each start.
    """

    command: Sequence[str]
    folder: str

    @classmethod
    def of_this_process(cls) -> "Program":
        """Return the command of this process, without resolving links."""
        return cls([sys.executable, *sys.orig_argv[1:]], _started_in)


@dataclass(frozen=True, slots=True)
class RenewalLimits:
    """The limits after which a worker is replaced; 0: none.

    Each worker's are lowered by up to a tenth at random, so that not all are replaced at once.

    Attributes:
        requests: Requests served by one worker.
        rss: Resident memory of one worker, in bytes.
    """

    requests: int = 0
    rss: int = 0

    def reduced(self) -> "RenewalLimits":
        """Return the limits for one worker."""
        factor = 1 - _JITTER * random.random()  # noqa: S311
        return RenewalLimits(int(self.requests * factor), int(self.rss * factor))

    def is_exceeded(self, requests: int, rss: int) -> bool:
        """Return whether *requests* or *rss* has reached its limit."""
        return bool((self.requests and requests >= self.requests) or (self.rss and rss >= self.rss))


def _typed_folder() -> str:
    folder, typed = os.getcwd(), os.environ.get("PWD", "")  # noqa: PTH109
    with suppress(OSError):
        if os.path.isabs(typed) and os.path.samefile(typed, folder):  # noqa: PTH117, PTH121
            return typed
    return folder


_started_in = _typed_folder()  # at import: the project may change its directory, a deployment the link


@dataclass(eq=False)
class Slot:
    """One worker of the parent, or its number while it is down.

    Attributes:
        number: 0 to workers - 1.
        limits: When it is replaced.
        process: None before the start and after the end.
        started: As `time.monotonic()`; `started_at` as `time.time()`.
        reported_at: When its last message arrived.
        is_hung: It has not reported for so long that its loop must be blocked.
        hung_until: When it is killed unless it reports before; None: not hung, or no limit.
        is_dumped: It has been signalled to write its stacks.
        may_block: Its loop may block (DEBUG), as reported when it became ready.
        requests: Requests served, as last reported.
        rss: Resident memory in bytes, as last reported.
        code: The path of its code, as reported when it became ready.
        now: Its current values, as last reported; see `torngas_aio.operations.counts`.
        own: The project's own metrics; see `torngas_aio.operations.project_metrics`.
        deaths: Its deaths in quick succession.
        restart_at: When it is started again; None: it runs, or is not to be restarted.
        kill_at: When it is killed after SIGTERM.
        ready_until: When it is killed unless it is ready before.
        lent: The numbers of the slots whose sockets it serves beside its own.
        renewable_from: The earliest time at which it is replaced for its limits.
        unix_path: The path of its additional unix socket, as last reported; "": none.
    """

    number: int
    limits: RenewalLimits
    process: "subprocess.Popen[bytes] | None" = None
    channel: socket.socket | None = None
    is_ready: bool = False
    started: float = 0.0
    started_at: float = 0.0
    reported_at: float = 0.0
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
    renewable_from: float = 0.0
    unix_path: str = ""
    _unread: bytes = b""
    _descriptors: list[int] = field(default_factory=list[int])

    @property
    def pid(self) -> int:
        """The process id; 0 without a process."""
        return 0 if self.process is None else self.process.pid

    @property
    def is_accepting(self) -> bool:
        """Whether it accepts connections on its sockets."""
        return self.process is not None and self.is_ready and not self.is_hung

    def silence(self, now: float) -> float:
        """Return the seconds by which its report is overdue."""
        return max(now - self.reported_at - REPORT_SECONDS, 0.0)

    def postpone(self, seconds: float, now: float) -> None:
        """Extend its deadlines by *seconds*, during which its reports could not be read."""
        self.reported_at = min(self.reported_at + seconds, now)
        if self.hung_until is not None:
            self.hung_until += seconds
        if self.kill_at is not None:
            self.kill_at += seconds
        if self.ready_until is not None:
            self.ready_until += seconds

    def start(self, program: Program, workers: int, sockets: Sequence[socket.socket]) -> None:
        """Start the process, as a new interpreter.

        Args:
            workers: The number of workers.
            sockets: Its listening sockets; none: it binds them.

        Raises:
            OSError: The command or its folder does not exist, or there is not enough memory.
        """
        ours, theirs = socket.socketpair()
        numbers = [each.fileno() for each in sockets]
        given = {
            "number": self.number, "workers": workers, "sockets": numbers,
            "parent": theirs.fileno(), "inode": os.fstat(theirs.fileno()).st_ino,
        }  # fmt: skip
        # RACE: a signal of the terminal to the whole group must not end a worker before its handlers are set.
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
        self.started = self.reported_at = time.monotonic()
        self.started_at = time.time()
        self.is_ready = self.is_hung = self.is_dumped = False
        self.restart_at = self.kill_at = self.hung_until = None
        self.lent = []
        self.requests = self.rss = 0
        self.now, self.own = {}, {}

    def note_own(self, changed: dict[str, object], gone: Sequence[str]) -> None:
        """Apply changes of the project's own metrics."""
        for key in gone:
            self.own.pop(key, None)
        self.own |= changed

    def read(self) -> list[JsonObject] | None:
        """Return the worker's new messages; None at the end of the connection."""
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
        self.reported_at = time.monotonic()
        *lines, self._unread = (self._unread + received).split(b"\n")
        return [json.loads(line) for line in lines]

    def take_sockets(self, count: int) -> list[socket.socket]:
        """Return the next *count* sockets received from the worker."""
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return [socket.socket(fileno=number) for number in taken]

    def send_renewed(self) -> None:
        """Notify the worker that another one replaces it; SIGTERM follows."""
        if self.channel is not None:
            with suppress(OSError):
                self.channel.send(RENEWED)

    def lend(self, groups: Mapping[int, Sequence[socket.socket]]) -> None:
        """Lend the worker the sockets of the slots in *groups*, in place of those lent before."""
        if self.channel is not None:
            with suppress(OSError):
                if self.lent:
                    self.channel.send(RETURNED)
                for group in groups.values():
                    socket.send_fds(self.channel, [LENT], [each.fileno() for each in group])
        self.lent = list(groups)

    def dump(self) -> None:
        """Signal the process to write the stacks of its threads to stderr, even if its loop is blocked."""
        self.is_dumped = True
        if self.process is not None and DUMP_SIGNAL is not None:
            self.process.send_signal(DUMP_SIGNAL)

    def kill(self) -> None:
        """Kill the process."""
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
        """Return the fields for `torngas-aio ps`."""
        return {
            "number": self.number, "pid": self.pid, "state": self.state, "age": now - self.started,
            "requests": self.requests, "rss": self.rss, "code": self.code, "started_at": self.started_at,
        }  # fmt: skip
