"""Lines that a thread writes in batches: the caller only appends to a buffer.

put ──► buffer ── every 50 ms; at once for errors, a flush and a full batch ──► thread ──► write(whole lines)
          full: a thread waits; an event loop waits 10 ms a line and 100 ms a second, then lines are dropped
          write fails: its errors go to stderr, which is told when the log is written again, and what was lost
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

__all__ = ["FLUSH_SECONDS", "MAX_BUFFER_BYTES", "BackgroundWriter", "encode_line", "lost_lines", "tell_stderr_in"]

MAX_BUFFER_BYTES = 64 * 1024 * 1024
BATCH_BYTES = 256 * 1024
"""Bytes after which a batch is full. Copying more at once would hold the interpreter's lock too long."""

GATHER_SECONDS = 0.05
LOOP_WAIT_SECONDS = 0.01
LOOP_WAIT_SECONDS_PER_SECOND = 0.1
FLUSH_SECONDS = 5.0
COMPLAIN_SECONDS = 60.0
"""Pause between two mentions on stderr of a sink that fails."""

GRAVE_LINES = 1000
"""How many lines of level ERROR and above are kept, for stderr, until their batch is written."""

Write = Callable[[bytes], None]

lost_lines: Counter[str] = Counter()
"""How many lines this process has lost, by why: "buffer full" or "not written"."""

_stderr_formatter: logging.Formatter = LineFormatter()


def tell_stderr_in(formatter: logging.Formatter) -> None:
    """Have *formatter* write what is told on stderr about logs that fail."""
    global _stderr_formatter  # noqa: PLW0603  one stderr
    _stderr_formatter = formatter


def encode_line(line: str) -> bytes:
    """Return *line* with its end in UTF-8; what cannot be encoded is written out."""
    return f"{line}\n".encode("utf-8", "backslashreplace")


class BackgroundWriter:
    """Passes lines to *write* in their order, from a thread that starts with the first line.

    A forked child starts with an empty buffer and a thread of its own. After `close` the caller writes.

    Attributes:
        dropped: Lines that were dropped because the buffer was full, since the start.
        failed: Lines that *write* raised on, since the start.

    Args:
        write: Called with whole lines; may block.
        max_bytes: Size of the buffer. Lines of level ERROR and above are dropped at twice this size only.
        note: Makes a line of this log of a text.
        is_stderr: The lines go to stderr themselves.
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
        self.failed = self._lost = 0  # the second since the last line that was written
        self._is_stderr = is_stderr
        self._complained_at = -COMPLAIN_SECONDS
        self._is_closed = False
        self.reset()
        _writers.add(self)

    def reset(self) -> None:
        """Begin with an empty buffer and no thread, as in a child of a fork."""
        self._lock = threading.RLock()  # RLock: a signal handler or a `__del__` may log while `put` holds it
        self._arrived = threading.Condition(self._lock)
        self._written = threading.Condition(self._lock)
        self._batches = [bytearray()]
        self._grave: deque[bytes] = deque(maxlen=GRAVE_LINES)
        self._bytes_in = self._bytes_out = 0  # since the start; the difference is waiting
        self._unnoted = 0
        self._is_idle = self._is_urgent = False
        self._thread: threading.Thread | None = None

    def put(self, line: str, level: int = logging.INFO) -> bool:
        """Append *line*; as `put_data`."""
        return self.put_data(encode_line(line), level)

    def put_data(self, data: bytes, level: int = logging.INFO, count: int = 1) -> bool:
        """Append *count* lines as `encode_line` gives them, of *level* at most; return whether they were taken.

        When the buffer is full, a thread waits for space without limit. A thread that runs an event loop waits at
        most 10 ms, and 100 ms in a second.
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
            is_full, is_grave = len(batch) >= BATCH_BYTES, level >= logging.ERROR
            if is_grave:
                self._grave.append(data)
            if is_full:
                self._batches.append(bytearray())
            if self._thread is None:
                self._start()
            if self._is_idle or is_full or is_grave:
                self._wake(is_urgent=is_full or is_grave)
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until every line put so far is written; return False when that took more than *seconds*."""
        with self._lock:
            target = self._bytes_in
            self._wake()
            return self._written.wait_for(lambda: self._bytes_out >= target, seconds if self._thread else 0)

    def close(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Write what waits and end the thread; return False when not all was written after *seconds*."""
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
            self._wake()
            self._written.notify_all()
        if thread is None:
            return True
        thread.join(seconds)
        if self._lost:
            self._tell(
                logging.ERROR, f"The log {self._name} ends without {self._lost} lines: they could not be written."
            )
        return self._bytes_out == self._bytes_in

    def _fits(self, size: int, level: int) -> bool:
        """Wait for space, as long as the calling thread may; called with the lock held."""
        if self._thread is threading.current_thread():  # it would wait for itself
            return False
        limit = self._max_bytes if level < logging.ERROR else 2 * self._max_bytes

        def fits() -> bool:
            waiting = self._bytes_in - self._bytes_out
            return not waiting or waiting + size <= limit or self._is_closed

        self._wake()
        if not _runs_loop():
            return self._written.wait_for(fits)
        started = time.monotonic()
        found = self._written.wait_for(fits, _next_timeout.left(started))
        _next_timeout.spent += time.monotonic() - started
        return found

    def _wake(self, *, is_urgent: bool = True) -> None:
        if self._is_idle or is_urgent > self._is_urgent:
            self._is_idle = False
            self._is_urgent |= is_urgent
            self._arrived.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"log-writer {self._name}", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is ending: no new threads
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
                batches, grave = self._take()
            self._write_out(batches, grave)

    def _gather(self) -> None:
        self._arrived.wait_for(lambda: self._is_urgent, GATHER_SECONDS)
        self._is_urgent = False

    def _take(self) -> tuple[list[bytearray], list[bytes]]:
        batches, self._batches = self._batches, [bytearray()]
        grave = list(self._grave)
        self._grave.clear()
        return batches, grave

    def _write_out(self, batches: list[bytearray], grave: list[bytes]) -> None:
        for batch in filter(None, batches):
            if not self._try_to_write(bytes(batch)):
                self._save(grave)
                grave = []
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
        except Exception as exc:  # noqa: BLE001  # the log itself cannot be told
            lines = data.count(b"\n")
            self.failed += lines
            self._lost += lines
            lost_lines["not written"] += lines
            self._complain(exc)
            return False
        if lost:
            self._lost = 0
            self._complained_at = -COMPLAIN_SECONDS
            self._tell(logging.WARNING, f"The log {self._name} is written again; {lost} lines were lost.")
        return True

    def _complain(self, exc: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = now
            self._tell(logging.ERROR, f"Writing the log {self._name} failed, {self._lost} lines so far: {exc!r}")

    def _save(self, grave: list[bytes]) -> None:
        if not self._is_stderr:
            _to_stderr(b"".join(grave).decode())

    def _tell(self, level: int, text: str) -> None:
        record = logging.LogRecord(__name__, level, __file__, 0, text, None, None)
        _to_stderr(f"{_stderr_formatter.format(record)}\n")


def _to_stderr(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr may be what failed, or closed
        if sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()


class _LoopPatience:
    """The time that event loops may still wait for full buffers, over all writers of the process."""

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


_next_timeout = _LoopPatience()
_writers: "weakref.WeakSet[BackgroundWriter]" = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
