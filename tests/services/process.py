"""A real server as a child process: started, paused, killed, started again on the same port, always cleaned up.

    binary()          path of a server's program; if it is missing, the test is skipped, or fails if CI is set
    free_port()       a loopback port that nothing listens on
    ServerProcess     one server: start > [pause > resume] > stop or kill > start ... > close

Used by the other modules of this package. All methods are synchronous, so that fixtures and tests can call them;
a start takes some tens of milliseconds.
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
        prefix: Start of its command line, which runs it in another network namespace.
    """

    address: str = HOST
    prefix: tuple[str, ...] = ()


HERE = Place()
"""The loopback address of this machine."""

START_SECONDS = 15.0
STOP_SECONDS = 10.0

_running: "weakref.WeakSet[ServerProcess]" = weakref.WeakSet()


def binary(name: str, *others: str, folders: Sequence[str] = ()) -> str:
    """Return the path of the program *name*, or of one of the *others*.

    Args:
        name: As typed in a shell, such as "redis-server".
        others: Further names of the same program, tried in order.
        folders: Searched after PATH and the sbin folders, which a user's PATH often lacks.

    If the program is missing, the test is skipped with a message; it fails if the environment variable CI is set.
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
    """Return a free loopback TCP port, different on every call, across all processes of this machine.

    It is below the system's range of ephemeral ports, so that no client connection uses it meanwhile; so is the
    second port of a Redis Cluster node, 10,000 above it.
    """
    while True:
        port = random.randrange(10_240, 22_000)
        if all(_is_free(each) for each in (port, port + 10_000)) and claims(port):
            return port


_claims: dict[int, socket.socket] = {}
"""Port: the socket that claims it against other test processes; the system closes it when the process ends."""


def claims(port: int) -> bool:
    """Claim *port* for this process; return False if this or another process has claimed it already."""
    if port in _claims:
        return False
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if sys.platform == "linux":  # abstract socket names exist on Linux only
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
    """Whether a server accepts connections at *address*: host and port, or the path of a unix socket."""
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
        name: Used in messages and as the log's file name.
        command: Returns program and arguments; receives the folder, for data and sockets.
        is_ready: Whether the server responds; polled every 10 ms while starting.
        prepare: Called with the folder once, before the first start: writes a configuration, creates tables.
        environment: Added to this process's environment.
        start_seconds: Timeout of a start.
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
        """Whether the process is alive, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """The server's output so far, of all its starts."""
        path = self._log_path
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the server and return once it is ready; no effect if it is running."""
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
                start_new_session=True,  # Ctrl-C in the terminal reaches only pytest, which stops the server
            )
        self._guard = _guard(self._process.pid, self.folder)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Terminate the server (SIGTERM) and wait for it to exit; kill it after a timeout."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server (SIGKILL), as in a crash; its port stays claimed for the next `start`."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Pause the server (SIGSTOP) and return once all its threads are stopped; its sockets stay open."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: _is_stopped(self.pid), STOP_SECONDS)

    def resume(self) -> None:
        """Resume a paused server (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill the server and start it again on the same port."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kill the server and its children, and remove its folder; a second call has no effect."""
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
        if process.poll() is not None:  # another server may respond on the port
            raise RuntimeError(f"{self.name} ended with {process.returncode} instead of starting:\n{self._tail()}")

    def _end(self, number: signal.Signals, *, with_children: bool = False) -> None:
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        if guard is not None:  # first: the process id may be reused once the server has ended
            guard.kill()
            guard.communicate()
        if process is None or process.poll() is not None:
            return
        children = _children(process.pid)
        os.kill(process.pid, signal.SIGCONT)  # a paused process ends only on SIGKILL
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if with_children:  # workers outlive a killed parent process for a while
            for child in filter(_lives, children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child.name), signal.SIGKILL)
        # PostgreSQL cannot restart until its children have ended and released their shared memory.
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not any(map(_lives, children)), STOP_SECONDS)

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-20:])


def _guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that kills the server when its standard input closes: when this process has been killed."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read _; kill -9 "$1"; rm -rf "$2"', "sh", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _children(pid: int) -> list[Path]:
    """Return the /proc folders of the children of *pid*; empty on systems without /proc."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [Path("/proc", child) for child in listed.read_text(encoding="ascii").split()] if listed.exists() else []


def _lives(folder: Path) -> bool:
    """Whether the process of *folder*, in /proc, is alive; a zombie is not."""
    try:
        return _state_of(folder) != "Z"
    except OSError:
        return False


def _is_stopped(pid: int) -> bool:
    """Whether every thread is stopped; assumed on systems without /proc."""
    threads = Path(f"/proc/{pid}/task")
    if not threads.exists():
        return True
    return all(_state_of(thread) == "T" for thread in threads.iterdir())


def _state_of(folder: Path) -> str:
    """Return the state letter of the process or thread with this folder in /proc."""
    return (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]


def _close_all() -> None:
    for server in list(_running):
        server.close()


atexit.register(_close_all)
