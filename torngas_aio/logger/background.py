"""Writing that never holds up whoever has something to write: a bounded queue and a thread of its own.

    put ──> queue (bounded; a full one drops and counts) ──> thread ──> write(batch of lines)

Begin with `BackgroundWriter.put`.
"""

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["BackgroundWriter"]

BATCH_LINES = 1000
GATHER_SECONDS = 0.01
"""How long the thread waits for more lines once it has one: fewer locks and writes, less switching of threads."""

FLUSH_SECONDS = 5.0
COMPLAIN_SECONDS = 60.0
"""How often, at most, a sink that fails is mentioned on stderr."""

Write = Callable[[list[str]], None]


class _Stop:
    pass


_Item = str | threading.Event | _Stop


class BackgroundWriter:
    """Hands lines to *write* in the order they were put, from a thread that starts with the first line.

    A fork leaves the lines that wait to the parent; the child starts with an empty queue and a thread of its own.

    Attributes:
        dropped: How many lines found the queue full, since the start.
        failed: How many lines *write* raised on, since the start.

    Args:
        write: Called with 1 to 1000 lines; may block.
        max_lines: How many lines may wait.
    """

    def __init__(self, write: Write, *, name: str, max_lines: int = 10_000) -> None:
        self._write = write
        self._name = name
        self._max_lines = max_lines
        self.dropped = 0
        self.failed = 0
        self._reported = 0
        self._complained_at = -COMPLAIN_SECONDS
        self._pid = os.getpid()
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, line: str) -> bool:
        """Queue *line*; return whether there was room. Never blocks."""
        if self._pid != os.getpid():
            self._start_anew()
        if self._queue.qsize() >= self._max_lines:
            self.dropped += 1
            return False
        self._queue.put(line)
        if self._thread is None:
            self._start()
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until every line put so far is written; return False when that took more than *seconds*."""
        if self._thread is None or self._pid != os.getpid():
            return True
        done = threading.Event()
        self._queue.put(done)
        self._hurry.set()
        return done.wait(seconds)

    def close(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Write what waits and end the thread; return False when it was still writing after *seconds*.

        A line put later starts a new thread.
        """
        thread = self._thread
        if thread is None or self._pid != os.getpid():
            return True
        self._thread = None
        self._queue.put(_Stop())
        self._hurry.set()
        thread.join(seconds)
        return not thread.is_alive()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._queue = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread = None

    def _start(self) -> None:
        self._hurry.clear()
        thread = threading.Thread(target=self._run, name=f"log-writer {self._name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: no new threads, so the line is written here
            self._write_out([item for item in self._drained() if isinstance(item, str)])
            return
        self._thread = thread

    def _run(self) -> None:
        is_running = True
        while is_running:
            items = [self._queue.get()]
            self._hurry.wait(GATHER_SECONDS)
            self._hurry.clear()
            items += self._drained()
            is_running = self._work_off(items)

    def _work_off(self, items: list[_Item]) -> bool:
        """Write the lines among *items*, report to those who wait; return whether to go on."""
        lines: list[str] = []
        goes_on = True
        for item in items:
            if isinstance(item, str):
                lines.append(item)
                continue
            self._write_out(lines)
            lines = []
            if isinstance(item, threading.Event):
                item.set()
            else:
                goes_on = False
        self._write_out(lines)
        return goes_on

    def _write_out(self, lines: list[str]) -> None:
        missing = self.dropped - self._reported
        if missing:
            self._reported += missing
            lines.append(f"{missing} log lines were dropped here: {self._max_lines} were already waiting.")
        if not lines:
            return
        try:
            self._write(lines)
        except Exception as exc:  # noqa: BLE001  # a frontier: the log itself cannot be told
            self.failed += len(lines)
            self._complain(exc)

    def _drained(self) -> list[_Item]:
        items: list[_Item] = []
        try:
            while len(items) < BATCH_LINES - 1:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return items

    def _complain(self, exc: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at < COMPLAIN_SECONDS or sys.stderr is None:
            return
        self._complained_at = now
        with contextlib.suppress(OSError, ValueError):  # stderr may be what failed, or closed
            sys.stderr.write(f"Writing the log {self._name} failed, {self.failed} lines so far: {exc!r}\n")
