"""Background writing: the caller appends lines to a buffer, and a thread writes them in batches.

put ──► buffer ── every 50 ms; at once for errors, a flush and a full batch ──► thread ──► write(whole lines)
          full: a thread waits; an event loop waits at most 10 ms a line and 100 ms a second, then lines are dropped
          write fails: lines of level ERROR go to stderr, and so do a report of the failure and one of the recovery
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable

from torngas_aio.logger.formatters import LineFormatter

__all__ = ["FLUSH_SECONDS", "MAX_BUFFER_BYTES", "BackgroundWriter", "encode_line", "lost_lines", "set_stderr_formatter"]

MAX_BUFFER_BYTES = 64 * 1024 * 1024
BATCH_BYTES = 256 * 1024
"""Size of a full batch. Copying more at once would hold the GIL too long."""

GATHER_SECONDS = 0.05
LOOP_WAIT_SECONDS = 0.01
LOOP_WAIT_SECONDS_PER_SECOND = 0.1
FLUSH_SECONDS = 5.0
REPORT_SECONDS = 60.0
"""Shortest interval between reports on stderr that writing fails."""

MAX_ERROR_LINES = 1000
"""Most lines of level ERROR and above that are kept for stderr until their batch is written."""

Write = Callable[[bytes], None]

lost_lines: Counter[str] = Counter()
"""Number of lines that this process has lost, by reason: "buffer full" or "not written"."""

_stderr_formatter: logging.Formatter = LineFormatter()


def set_stderr_formatter(formatter: logging.Formatter) -> None:
    """Use *formatter* for reports on stderr about failing logs."""
    global _stderr_formatter  # noqa: PLW0603  one stderr
    _stderr_formatter = formatter


def encode_line(line: str) -> bytes:
    """Return *line* and a line feed in UTF-8; characters that cannot be encoded become backslash escapes."""
    return f"{line}\n".encode("utf-8", "backslashreplace")


class BackgroundWriter:
    """A buffer whose thread passes lines to *write* in order; the thread starts with the first line.

    A forked child starts with an empty buffer and its own thread. After `close` the caller writes.

    Attributes:
        dropped: Number of lines dropped since the start because the buffer was full.
        failed: Number of lines lost since the start because *write* raised.

    Args:
        write: Called with whole lines; may block.
        max_bytes: Size of the buffer. Lines of level ERROR and above are only dropped at twice this size.
        note: Formats a text as a line of this log.
        is_stderr: Whether *write* writes to stderr.
    """

    def __init__(
        self,
        write: Write,
        *,
        name: str,
        max_bytes: int = MAX_BUFFER_BYTES,
        note: Callable[[str], str] = str,
        is_stderr: bool = False,
    ) -> None:
        self._write = write
        self._name = name
        self._max_bytes = max_bytes
        self._note = note
        self.dropped = 0
        self.failed = self._lost = 0  # `_lost`: since the last successful write
        self._is_stderr = is_stderr
        self._reported_at = -REPORT_SECONDS
        self._is_closed = False
        self.reset()
        _writers.add(self)

    def reset(self) -> None:
        """Empty the buffer and forget the thread, as in a forked child."""
        self._lock = threading.RLock()  # RLock: a signal handler or a `__del__` may log while `put` holds it
        self._arrived = threading.Condition(self._lock)
        self._written = threading.Condition(self._lock)
        self._batches = [bytearray()]
        self._error_lines: deque[bytes] = deque(maxlen=MAX_ERROR_LINES)
        self._bytes_in = self._bytes_out = 0  # since the start; the difference is buffered
        self._unnoted = 0
        self._is_idle = self._is_urgent = False
        self._thread: threading.Thread | None = None

    def put(self, line: str, level: int = logging.INFO) -> bool:
        """Append *line*, as `put_data`."""
        return self.put_data(encode_line(line), level)

    def put_data(self, data: bytes, level: int = logging.INFO, count: int = 1) -> bool:
        """Append *count* lines encoded by `encode_line`; return False if they were dropped.

        If the buffer is full, a thread waits for space without limit; a thread with a running event loop waits at most
        10 ms, and at most 100 ms a second.

        Args:
            level: The highest level among the lines.
        """
        size = len(data)
        with self._lock:
            if self._bytes_in - self._bytes_out + size > self._max_bytes and not self._fits(size, level):
                self.dropped += count
                lost_lines["buffer full"] += count
                self._unnoted += count
                return False
            batch = self._batches[-1]
            batch += data
            self._bytes_in += size
            is_full, is_error = len(batch) >= BATCH_BYTES, level >= logging.ERROR
            if is_error:
                self._error_lines.append(data)
            if is_full:
                self._batches.append(bytearray())
            if self._thread is None:
                self._start()
            if self._is_idle or is_full or is_error:
                self._wake(is_urgent=is_full or is_error)
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all lines put so far are written; return False after *seconds*."""
        with self._lock:
            target = self._bytes_in
            self._wake()
            return self._written.wait_for(lambda: self._bytes_out >= target, seconds if self._thread else 0)

    def close(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Write the buffered lines and end the thread; return False if some are not written after *seconds*."""
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
            self._wake()
            self._written.notify_all()
        if thread is None:
            return True
        thread.join(seconds)
        if self._lost:
            self._report(
                logging.ERROR, f"The log {self._name} ends without {self._lost} lines: they could not be written."
            )
        return self._bytes_out == self._bytes_in

    def _fits(self, size: int, level: int) -> bool:
        """Wait for space, as long as the calling thread may; the caller holds the lock."""
        if self._thread is threading.current_thread():  # would deadlock
            return False
        limit = self._max_bytes if level < logging.ERROR else 2 * self._max_bytes

        def fits() -> bool:
            waiting = self._bytes_in - self._bytes_out
            return not waiting or waiting + size <= limit or self._is_closed

        self._wake()
        if not _runs_loop():
            return self._written.wait_for(fits)
        started = time.monotonic()
        found = self._written.wait_for(fits, _wait_budget.left(started))
        _wait_budget.spent += time.monotonic() - started
        return found

    def _wake(self, *, is_urgent: bool = True) -> None:
        if self._is_idle or is_urgent > self._is_urgent:
            self._is_idle = False
            self._is_urgent |= is_urgent
            self._arrived.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"log-writer {self._name}", daemon=True)
        with contextlib.suppress(RuntimeError):  # interpreter shutdown: no new threads
            if not self._is_closed:
                thread.start()
                self._thread = thread
        if self._thread is None:
            self._write_out(*self._take())

    def _run(self) -> None:
        is_running = True
        while is_running:
            with self._lock:
                self._gather()
                if self._bytes_in == self._bytes_out and self._thread is threading.current_thread():
                    self._is_idle = True
                    self._arrived.wait_for(lambda: not self._is_idle)
                    self._gather()
                is_running = self._thread is threading.current_thread()
                batches, error_lines = self._take()
            self._write_out(batches, error_lines)

    def _gather(self) -> None:
        self._arrived.wait_for(lambda: self._is_urgent, GATHER_SECONDS)
        self._is_urgent = False

    def _take(self) -> tuple[list[bytearray], list[bytes]]:
        batches, self._batches = self._batches, [bytearray()]
        error_lines = list(self._error_lines)
        self._error_lines.clear()
        return batches, error_lines

    def _write_out(self, batches: list[bytearray], error_lines: list[bytes]) -> None:
        for batch in filter(None, batches):
            if not self._try_to_write(bytes(batch)):
                self._rescue(error_lines)
                error_lines = []
            with self._lock:
                self._bytes_out += len(batch)
                count, self._unnoted = self._unnoted, 0
                self._written.notify_all()
            if count:
                self._try_to_write(
                    encode_line(self._note(f"{count} log lines were dropped here: the buffer was full."))
                )

    def _try_to_write(self, data: bytes) -> bool:
        lost = self._lost
        try:
            if lost:
                note = self._note(f"{lost} log lines are missing here: they could not be written.")
                self._write(encode_line(note) + data)
            else:
                self._write(data)
        except Exception as exc:  # noqa: BLE001  # a boundary: a failure of the log cannot be logged to it
            lines = data.count(b"\n")
            self.failed += lines
            self._lost += lines
            lost_lines["not written"] += lines
            self._report_failure(exc)
            return False
        if lost:
            self._lost = 0
            self._reported_at = -REPORT_SECONDS
            self._report(logging.WARNING, f"The log {self._name} is written again; {lost} lines were lost.")
        return True

    def _report_failure(self, exc: Exception) -> None:
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._report(logging.ERROR, f"Writing the log {self._name} failed, {self._lost} lines so far: {exc!r}")

    def _rescue(self, error_lines: list[bytes]) -> None:
        if not self._is_stderr:
            _to_stderr(b"".join(error_lines).decode())

    def _report(self, level: int, text: str) -> None:
        record = logging.LogRecord(__name__, level, __file__, 0, text, None, None)
        _to_stderr(f"{_stderr_formatter.format(record)}\n")


def _to_stderr(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr may be the failing stream, or closed
        if sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()


class _WaitBudget:
    """The time budget of event loops for waiting on full buffers, shared by all writers of the process."""

    spent = 0.0
    _since = 0.0

    def left(self, now: float) -> float:
        if now - self._since >= 1:
            self._since, self.spent = now, 0.0
        return min(LOOP_WAIT_SECONDS, max(LOOP_WAIT_SECONDS_PER_SECOND - self.spent, 0))


def _runs_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _reset_in_child() -> None:
    for writer in _writers:
        writer.reset()


_wait_budget = _WaitBudget()
_writers: "weakref.WeakSet[BackgroundWriter]" = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
