"""A project on disk and its server as a child process, for tests that look at the whole from outside."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["SECRET", "Project", "RunningServer"]

SECRET = "a-long-and-random-secret-of-this-test"
ROOT = Path(__file__).parents[2]
START_SECONDS = 40.0  # of a process on a busy machine; one that is idle needs one


class Project:
    """Files of a project in a folder, and servers started from them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        """Write one file, its folders included."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a child: this repository importable, none of our own settings in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TORNGAS")}
        return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning", **more}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python *arguments` in the project to its end."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def serve(self, *arguments: str, **environment: str) -> "RunningServer":
        """Start `python runserver.py *arguments`; use the result with `with`."""
        return RunningServer(self, ["runserver.py", *arguments], environment)


class RunningServer:
    """A server that is ready when the block begins and gone when it ends."""

    def __init__(self, project: Project, command: list[str], environment: dict[str, str]) -> None:
        self._project = project
        self._command = command
        self._environment = environment
        self.stdout = self.stderr = ""
        self._lines: list[str] = []
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, *self._command],
            cwd=self._project.path,
            env=self._project.environment(**self._environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(START_SECONDS) or not self.address:
            self.process.kill()
            raise AssertionError(f"The server did not start:\n{self.log}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    @property
    def log(self) -> str:
        """What it has written to stderr so far."""
        return "".join(self._lines)

    @property
    def address(self) -> str:
        """Where it listens, as it says itself: a URL without the last slash, or `unix:` and a path."""
        found = re.search(r"Serving on (\S+)", self.log)
        return found[1].rstrip("/").replace("0.0.0.0", "127.0.0.1") if found else ""

    def terminate(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end, without waiting for that."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and return its status; `stdout` and `log` are complete then."""
        status = self.process.wait(START_SECONDS)
        self._reader.join(START_SECONDS)
        assert self.process.stdout is not None
        if not self.process.stdout.closed:
            self.stdout += self.process.stdout.read()
            self.process.stdout.close()
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self._lines.append(line)
                if "Serving on" in line:
                    self._ready.set()
        self._ready.set()
