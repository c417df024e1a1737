"""One application as a process of its own, pinned to one core, and what the kernel says about it.

Begin with `running`.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.apps.common import Variant
from benchmarks.client import Answer, ask, request_bytes
from benchmarks.files import made_files, made_project

__all__ = ["AppProcess", "StartError", "running", "set_priority"]

START_SECONDS = 120.0
_TICK = os.sysconf("SC_CLK_TCK")
_FILES, _SECRET = "TORNGAS_BENCH_FILES", secrets.token_urlsafe(32)
_ROOT = Path(__file__).parent.parent


class StartError(Exception):
    """The application did not answer; the message holds what it printed."""


class AppProcess:
    """A started application.

    Attributes:
        name: Framework and server, such as `starlette-uvicorn`.
        port: Where it listens on 127.0.0.1.
        is_tls: Whether it speaks TLS there.
        start_seconds: From the start of the process to its first right answer.
    """

    def __init__(self, name: str, variant: str, core: int, nice: int = 0) -> None:
        self.name = name
        self.port = _free_port()
        self.is_tls = Variant(variant).is_tls
        self._log = Path(tempfile.gettempdir(), f"torngas-bench-{os.getpid()}-{name}-{self.port}.log")
        self._project = made_project() if (name, variant) == ("torngas", "delivered") else None
        command = [sys.executable, "-m", "benchmarks.apps.serve", name, str(self.port), variant]
        if self._project is not None:
            command = [sys.executable, "runserver.py", f"--port={self.port}", "--settings=settings.setting_online"]
        with self._log.open("wb") as log:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", str(core), *command],
                cwd=self._project or _ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(_ROOT),
                    "COOKIE_SECRET": _SECRET,
                    "LOGGING_DIR": "logs",
                    _FILES: str(made_files()),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        set_priority(nice, self._process.pid)
        self._await_answer()
        self.start_seconds = time.perf_counter() - started

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                if self.ask(request_bytes("/plain", {"Connection": "close"})).status == 200:
                    return
                break
            time.sleep(0.01)  # a process that starts gives no event to wait for
        message = self._log.read_text(errors="replace")[-2_000:]
        self.stop()
        raise StartError(f"{self.name} did not answer. It printed:\n{message}")

    def ask(self, request: bytes) -> Answer:
        """Return the answer to one request on a connection of its own."""
        return ask(self.port, request, is_tls=self.is_tls)

    def pids(self) -> list[int]:
        """The process and all below it."""
        found, pending = [], [self._process.pid]
        while pending:
            pid = pending.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                pending += [int(child) for child in children]
        return found

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total / _TICK

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes in memory now; `VmHWM` for the most there ever were."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(f"{field}:"):
                        total += int(line.split()[1]) * 1024
        return total

    def private_bytes(self) -> int:
        """Bytes in memory that no other process shares (USS)."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Private_"):
                        total += int(line.split()[1]) * 1024
        return total

    def settled_lines(self) -> int:
        """How many lines its access log has, once none is added; what it printed is its log, where it has no file."""
        log = self._project / "logs" / "tornado.log" if self._project is not None else self._log
        before, data = None, b""
        while data != before:
            time.sleep(0.3)
            before, data = data, log.read_bytes() if log.exists() else b""
        return data.count(b"\n")

    def reset_peak(self) -> None:
        """Have `VmHWM` count from now."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._log.unlink(missing_ok=True)
        for log in self._project.glob("logs/*.log") if self._project is not None else ():
            log.unlink()


@contextlib.contextmanager
def running(name: str, variant: str, core: int, nice: int = 0) -> Iterator[AppProcess]:
    """Give the started application; stop it at the end."""
    process = AppProcess(name, variant, core, nice)
    try:
        yield process
    finally:
        process.stop()


def set_priority(nice: int, pid: int = 0) -> None:
    """Give a process, and the scheduling group of its session, the priority *nice*; 0 leaves them as they are."""
    if nice:
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        with contextlib.suppress(OSError):  # kernels without autogroups
            Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(nice))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
