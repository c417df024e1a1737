"""A log file that several processes append to and rotate, without losing or tearing a line.

    write ── lock (flock on .NAME.lock) ── is NAME still the open file? ── is its period over, or is it full?
                                           no: reopen NAME                 yes: NAME -> NAME.2026-11-22, open NAME
          ── cut off a partial line of a killed process ── append whole lines ── unlock

The lock file also stores the start of the current file's period: file times are too coarse.
Without flock (Windows) only one process may write.

concurrent-log-handler 0.9.31 cannot replace it: it tears lines when a process is killed during a write and when the
disk is full, counts hours from the start of the process, and costs more for each batch.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

from torngas_aio.exception import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Period", "SharedLogFile"]

_SECONDS = {"S": 1, "M": 60, "H": 3600, "D": 86400, "MIDNIGHT": 86400} | dict.fromkeys(
    map("W{}".format, range(7)), 604800
)
_STAMPS = {"S": "%Y-%m-%d_%H-%M-%S", "M": "%Y-%m-%d_%H-%M", "H": "%Y-%m-%d_%H"}
_FIRST_DAY = 719163
"""The proleptic Gregorian ordinal of 1970-01-01; day 1 was a Monday."""

_ROTATED = re.compile(r"\.(\d{4}-\d{2}-\d{2}(?:_\d{2}(?:-\d{2}){0,2})?)(?:\.(\d+))?")


class Period:
    """The period of local time covered by one log file.

        when     S  M  H           every `interval` seconds, minutes, hours
                 D  midnight       every `interval` days
                 W0 … W6           every `interval` weeks, on that weekday (W0: Monday)

    It starts at a multiple of its length in local time, so that processes agree. At a clock change (DST) it is shorter
    or longer: a repeated hour belongs to one period.

    Raises:
        ConfigError: `when` is none of the above, or `interval` is not a positive whole number.
    """

    def __init__(self, when: str = "midnight", interval: int = 1) -> None:
        self.when = when.upper()
        self.interval = interval
        if self.when not in _SECONDS:
            raise ConfigError(
                f"{when!r} is not a time to rotate a log file. Write S, M, H, D, midnight or W0 to W6.", code="TGA603"
            )
        if type(interval) is not int or interval < 1:
            raise ConfigError(
                f"A log file cannot rotate every {interval!r} periods. Write a whole number from 1.", code="TGA603"
            )
        self._length = _SECONDS[self.when] * interval
        self._anchor = 0 if self.when in _STAMPS else _FIRST_DAY * 86400
        if self.when[0] == "W":
            self._anchor -= (1 + int(self.when[1])) * 86400

    def start_of(self, moment: float) -> int:
        """Return the start of the period that contains *moment*; both in seconds since the epoch."""
        offset = _utc_offset(moment)
        start = self._count(moment, offset) * self._length - self._anchor - offset
        if _utc_offset(start) == offset:
            return start
        change = _time_change(start, int(moment))
        if self._count(change - 1, _utc_offset(change - 1)) == self._count(moment, offset):
            return self.start_of(change - 1)
        return change

    def stamp(self, start: float) -> str:
        """Return the suffix of the rotated file whose period started at *start*, such as `2026-11-22`."""
        return time.strftime(_STAMPS.get(self.when, "%Y-%m-%d"), time.localtime(start))

    def _count(self, moment: float, offset: int) -> int:
        return int((moment + offset + self._anchor) // self._length)


class SharedLogFile:
    """The log file at *path*; opened at the first write, safe for threads, processes and forks.

    Args:
        path: The path; a missing directory is created.
        period: The rotation period; None: no rotation by time.
        max_bytes: Size that the file must not exceed; 0: no rotation by size.
        backups: Number of rotated files to keep; 0: all.
        clock: Returns the time in seconds since the epoch.
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
        self.path = Path(path).absolute()  # the working directory may change
        self._lock_path = self.path.with_name(f".{self.path.name}.lock")
        self._period = period
        self._max_bytes = max_bytes
        self._backups = backups
        self._clock = clock
        self._mutex = threading.Lock()
        self._pid = os.getpid()
        self._file = self._lock = -1

    def write(self, data: bytes) -> None:
        """Append *data*, whole lines, atomically: lines of other writers are not mixed in.

        Raises:
            OSError: The write failed; the file contains no part of *data*.
        """
        with self._own_mutex(), self._locked():
            self._reopen_if_moved()
            now = self._clock()
            size = os.fstat(self._file).st_size
            if size and self._is_due(now, size + len(data)):
                self._rotate(now)
                size = 0
            self._append(data, self._whole_lines(size))

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        with self._own_mutex():
            self._close()

    def _own_mutex(self) -> threading.Lock:
        """Return the lock between threads; after a fork a new one, since the copy may be held by a parent's thread."""
        if self._pid != os.getpid():
            self._mutex = threading.Lock()
            self._close()  # flock belongs to the open file, which a fork shares
            self._pid = os.getpid()
        return self._mutex

    def _close(self) -> None:
        descriptors = self._file, self._lock
        self._file = self._lock = -1
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        while True:
            if self._lock < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if fcntl is None:
                break
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if _is_at(self._lock, self._lock_path):
                break
            os.close(self._lock)  # the lock file was deleted: other processes lock a new one
            self._lock = -1
        try:
            yield
        finally:
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _reopen_if_moved(self) -> None:
        """Reopen the path if the open file has been rotated, moved or deleted."""
        if self._file < 0 or not _is_at(self._file, self.path):
            self._open()

    def _open(self) -> None:
        """Close the current file and open the one at the path."""
        before, self._file = self._file, -1  # RACE: a child forked before the open must not close this descriptor
        if before >= 0:
            os.close(before)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if self._period is not None and os.fstat(self._file).st_size == 0:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % self._period.start_of(self._clock()), 0)

    def _is_due(self, now: float, size: int) -> bool:
        if self._max_bytes and size > self._max_bytes:
            return True
        return self._period is not None and self._period.start_of(now) > self._period_start(self._period)

    def _period_start(self, period: Period) -> int:
        """Return the start of the current file's period: from the lock file, else from the file's modification time."""
        noted = os.pread(self._lock, 32, 0).strip()
        is_time = noted.isdigit() and len(noted) < 12  # another program may have written to the lock file
        return period.start_of(int(noted) if is_time else os.fstat(self._file).st_mtime)

    def _rotate(self, now: float) -> None:
        stamp = Period("S").stamp(now) if self._period is None else self._period.stamp(self._period_start(self._period))
        target = self.path.with_name(f"{self.path.name}.{stamp}")
        number = 0
        while (free := target.with_name(f"{target.name}.{number}") if number else target).exists():
            number += 1
        self.path.rename(free)
        self._open()
        if self._backups:
            for old in self._rotated()[: -self._backups]:
                old.unlink(missing_ok=True)

    def _rotated(self) -> list[Path]:
        """Return the rotated files, oldest first."""
        found: list[tuple[str, int, Path]] = []
        for path in self.path.parent.iterdir():
            if path.name.startswith(self.path.name):
                match = _ROTATED.fullmatch(path.name, len(self.path.name))
                if match:
                    found.append((match[1], int(match[2] or 0), path))
        return [path for _, _, path in sorted(found)]

    def _whole_lines(self, size: int) -> int:
        """Cut off a partial last line, left by a killed process; return the remaining size."""
        end = size
        while end and os.pread(self._file, 1, end - 1) != b"\n":
            tail = os.pread(self._file, min(end, 65536), max(end - 65536, 0))
            end = max(end - 65536, 0) + tail.rfind(b"\n") + 1
        if end < size:
            os.ftruncate(self._file, end)
        return end

    def _append(self, data: bytes, size: int) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:  # such as a full disk: remove a partially written line
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise


def _utc_offset(moment: float) -> int:
    return time.localtime(moment).tm_gmtoff


def _time_change(before: int, after: int) -> int:
    """Return the second, in (*before*, *after*], of the change to the UTC offset that holds at *after*."""
    offset = _utc_offset(after)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if _utc_offset(middle) == offset else (middle, after)
    return after


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
