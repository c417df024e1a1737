"""A real server as a child process: started, paused, killed, started again on the same port, always cleaned up.

    binary()          where a server's program is; without it the test is skipped, and fails where CI is set
    free_port()       a loopback port that nothing listens on
    ServerProcess     one server: start > [pause > resume] > stop or kill > start ... > close

Used by `redis.py`, `memcached.py` and the databases' modules here. Everything is synchronous: starting takes some
tens of milliseconds, and the methods can be called from a fixture as well as from within a test.
Begin with `ServerProcess`.
"""

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.polling import wait_until

__all__ = ["HERE", "HOST", "Place", "ServerProcess", "accepts", "binary", "claims", "free_port"]

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs.

    Attributes:
        address: The IPv4 address that it listens on.
        prefix: What its command line begins with, to run in another network namespace.
    """

    address: str = HOST
    prefix: tuple[str, ...] = ()


HERE = Place()
"""On this machine's loopback."""

START_SECONDS = 15.0
STOP_SECONDS = 10.0

_running: "weakref.WeakSet[ServerProcess]" = weakref.WeakSet()


def binary(name: str, *others: str, folders: Sequence[str] = ()) -> str:
    """Return the path of the program *name*, or of one of the *others*.

    Args:
        name: As typed in a shell, such as "redis-server".
        others: Further names of the same program, tried in order.
        folders: Searched after PATH and the sbin folders, which a user's PATH often lacks.

    A missing program skips the test, loudly; where the environment says CI it fails the test instead.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", *folders])
    for each in (name, *others):
        found = shutil.which(each, path=path)
        if found:
            return found
    message = f"{name} is not installed: its tests did not run. Install it with the system's package manager."
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on; different on every call, in whatever process of this machine.

    It is below the ports that the system gives to clients, so that none of them takes it meanwhile; a Redis Cluster's
    second port, 10,000 above it, too.
    """
    while True:
        port = random.randrange(10_240, 22_000)
        if all(_is_free(each) for each in (port, port + 10_000)) and claims(port):
            return port


_claims: dict[int, socket.socket] = {}
"""What tells the other test processes which ports are this one's; the system takes it back at the end."""


def claims(port: int) -> bool:
    """Claim *port* for this process; false when another one has, or this one has already."""
    if port in _claims:
        return False
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if sys.platform == "linux":  # elsewhere there are no names without files
            claim.bind(f"\0torngas-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def accepts(address: tuple[str, int] | str) -> bool:
    """True if something accepts connections at *address*: host and port, or the path of a unix socket."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


class ServerProcess:
    """One server, its folder and its log.

    Args:
        name: For messages and the log's file name.
        command: Program and arguments; given the folder, so that data and sockets can live there.
        is_ready: True once the server answers; called every 10 ms while starting.
        prepare: Called once, before the first start, with the folder: write a configuration, create the tables.
        environment: Added to this process's own.
        start_seconds: How long the server may take to answer.
        place: Where it runs.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[Path], Sequence[str]],
        is_ready: Callable[[], bool],
        *,
        prepare: Callable[[Path], object] | None = None,
        environment: Mapping[str, str] | None = None,
        start_seconds: float = START_SECONDS,
        place: Place = HERE,
    ) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"torngas-{name}-"))
        self._command = command
        self._is_ready = is_ready
        self._prepare = prepare
        self.environment = {**os.environ, **(environment or {})}
        self._start_seconds = start_seconds
        self._prefix = place.prefix
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        _running.add(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        """True while the process lives, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has written so far, of all its starts."""
        path = self._log_path
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the server and return once it answers; nothing happens when it runs already."""
        if self.is_running:
            return
        if self._prepare is not None:
            self._prepare(self.folder)
            self._prepare = None
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *self._command(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,  # Ctrl-C in the terminal reaches pytest only, which then cleans up
            )
        self._guard = _guard(self._process.pid, self.folder)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the server to end (SIGTERM) and wait for it; kill it if it does not."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL); its port stays free for the next `start`."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server (SIGSTOP) and return once all its threads stand still; its sockets stay open."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: _stands_still(self.pid), STOP_SECONDS)

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill the server and start it again on the same port."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kill the server and its children, and remove its folder; twice is harmless."""
        self._end(signal.SIGKILL, with_children=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        _running.discard(self)

    @property
    def _log_path(self) -> Path:
        return self.folder / f"{self.name}.log"

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        try:
            wait_until(lambda: process.poll() is not None or self._is_ready(), self._start_seconds)
        except TimeoutError:
            raise RuntimeError(f"{self.name} did not answer within {self._start_seconds} s:\n{self._tail()}") from None
        if process.poll() is not None:  # perhaps something else answers on the port
            raise RuntimeError(f"{self.name} ended with {process.returncode} instead of starting:\n{self._tail()}")

    def _end(self, number: signal.Signals, *, with_children: bool = False) -> None:
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        if guard is not None:  # first: the server's process id is free for others once it has ended
            guard.kill()
            guard.communicate()
        if process is None or process.poll() is not None:
            return
        children = _children(process.pid)
        os.kill(process.pid, signal.SIGCONT)  # a paused process ends on no signal but SIGKILL
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if with_children:  # a supervisor's workers would stop in their own time
            for child in filter(_lives, children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child.name), signal.SIGKILL)
        # Those of PostgreSQL end a moment later, and hold the memory without which it does not start again.
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not any(map(_lives, children)), STOP_SECONDS)

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-20:])


def _guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """A process that ends the server when this one was killed and could not: its standard input then closes."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read _; kill -9 "$1"; rm -rf "$2"', "sh", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _children(pid: int) -> list[Path]:
    """Return the folders of the processes that *pid* has started, as far as the system tells."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [Path("/proc", child) for child in listed.read_text(encoding="ascii").split()] if listed.exists() else []


def _lives(folder: Path) -> bool:
    """Whether the process of *folder* has not ended; one that its parent has not asked about has."""
    try:
        return _state_of(folder) != "Z"
    except OSError:
        return False


def _stands_still(pid: int) -> bool:
    """True if every thread is stopped; where the system does not tell, the signal has to do."""
    threads = Path(f"/proc/{pid}/task")
    if not threads.exists():
        return True
    return all(_state_of(thread) == "T" for thread in threads.iterdir())


def _state_of(folder: Path) -> str:
    """Return the letter for the state of the process or thread whose folder in /proc this is."""
    return (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]


def _close_all() -> None:
    for server in list(_running):
        server.close()


atexit.register(_close_all)
