"""One log file that several processes append to and turn, without losing or tearing a line.

    write ── lock (flock on .NAME.lock) ── is NAME still the file we hold? ── has its period passed, or is it full?
                                           no: open anew                      yes: NAME -> NAME.2026-11-22, open anew
          ── append whole lines ── unlock

The lock file also holds when the current file's period began: file times are too coarse to tell.
Where the system has no flock, only one process may write. Begin with `SharedLogFile.write`.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from torngas_aio.logger.period import Period

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["SharedLogFile"]

_TURNED = re.compile(r"\.(\d{4}-\d{2}-\d{2}(?:_\d{2}(?:-\d{2}){0,2})?)(?:\.(\d+))?")


class SharedLogFile:
    """The log file at *path*; opened at the first write, safe for threads, processes and forks.

    Args:
        path: Its directory is made when it is missing.
        period: When the file turns; None: never by time.
        max_bytes: Turn before the file would grow beyond this; 0: never by size.
        backups: How many turned files are kept; 0: all.
        clock: Gives the time in seconds since the epoch.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        period: Period | None = None,
        *,
        max_bytes: int = 0,
        backups: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path).absolute()  # the directory may be changed later, the file may not
        self._lock_path = self.path.with_name(f".{self.path.name}.lock")
        self._period = period
        self._stamps = period or Period.by_size()
        self._max_bytes = max_bytes
        self._backups = backups
        self._clock = clock
        self._mutex = threading.Lock()
        self._pid = os.getpid()
        self._file = -1
        self._lock = -1

    def write(self, data: bytes) -> None:
        """Append *data*, whole lines, in one piece: no other writer's line comes between.

        Raises:
            OSError: It could not be written; nothing of it is in the file then.
        """
        if self._pid != os.getpid():  # flock belongs to the open file, which a fork shares: open our own
            self._mutex = threading.Lock()
            self._close()
            self._pid = os.getpid()
        with self._mutex, self._locked():
            self._follow()
            now = self._clock()
            if self._is_due(now, len(data)):
                self._turn(now)
            self._append(data)

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        with self._mutex:
            self._close()

    def _close(self) -> None:
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        while True:
            if self._lock < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if fcntl is None:
                break
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if _is_at(self._lock, self._lock_path):
                break
            os.close(self._lock)  # somebody removed the lock file: two locks would be none
            self._lock = -1
        try:
            yield
        finally:
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _follow(self) -> None:
        """Hold the file that stands at the path now, whoever turned, moved or removed the one before."""
        if self._file >= 0 and _is_at(self._file, self.path):
            return
        if self._file >= 0:
            os.close(self._file)
        self._open()

    def _open(self) -> None:
        self._file = -1
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._file).st_size == 0:
            self._begin(self._clock())

    def _is_due(self, now: float, coming: int) -> bool:
        size = os.fstat(self._file).st_size
        if size == 0:
            return False
        if self._max_bytes and size + coming > self._max_bytes:
            return True
        return self._period is not None and self._period.start_of(now) > self._begun()

    def _turn(self, now: float) -> None:
        start = now if self._period is None else self._begun()
        target = self.path.with_name(f"{self.path.name}.{self._stamps.stamp(start)}")
        number = 0
        while (free := target.with_name(f"{target.name}.{number}") if number else target).exists():
            number += 1
        self.path.rename(free)
        os.close(self._file)
        self._open()
        if self._backups:
            for old in self._turned()[: -self._backups]:
                old.unlink(missing_ok=True)

    def _turned(self) -> list[Path]:
        """The turned files, the oldest first."""
        found = []
        for path in self.path.parent.iterdir():
            if path.name.startswith(self.path.name):
                match = _TURNED.fullmatch(path.name, len(self.path.name))
                if match:
                    found.append((match[1], int(match[2] or 0), path))
        return [path for _, _, path in sorted(found)]

    def _begun(self) -> int:
        """When the period of the current file began: as the lock file says, else by the file's own time."""
        assert self._period is not None
        noted = os.pread(self._lock, 32, 0).strip()
        if noted.isdigit():
            return self._period.start_of(int(noted))
        return self._period.start_of(os.fstat(self._file).st_mtime)

    def _begin(self, now: float) -> None:
        if self._period is not None:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % self._period.start_of(now), 0)

    def _append(self, data: bytes) -> None:
        size = os.fstat(self._file).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:  # such as a full disk: half a line would tear the next one
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
