"""What `logging` sees: handlers that format in the caller's context and write from a thread of their own.

Begin with `ProcessLogTimedFileHandler`.
"""

import logging
import os
import sys
import threading
from typing import TextIO

from torngas_aio.logger.background import BackgroundWriter
from torngas_aio.logger.formatters import LineFormatter
from torngas_aio.logger.period import Period
from torngas_aio.logger.sharedfile import SharedLogFile

__all__ = ["BackgroundHandler", "BackgroundStreamHandler", "ProcessLogTimedFileHandler"]

QUEUE_LINES = 10_000

_stream_lock = threading.Lock()  # several handlers, each with its thread, share stderr


def _renew_lock() -> None:
    """In a forked child no thread is left that could release a lock held at the fork."""
    global _stream_lock  # noqa: PLW0603  # one stderr, one lock
    _stream_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class BackgroundHandler(logging.Handler):
    """A handler whose lines are written by a `BackgroundWriter`.

    Args:
        queue_lines: How many lines may wait for the thread; 0: written at once, by the caller.
    """

    def __init__(self, name: str, queue_lines: int = QUEUE_LINES) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self._writer = BackgroundWriter(self.write_lines, name=name, max_lines=queue_lines) if queue_lines else None

    @property
    def dropped(self) -> int:
        """How many lines were lost to a full queue."""
        return self._writer.dropped if self._writer else 0

    @property
    def failed(self) -> int:
        """How many lines could not be written, such as to a full disk."""
        return self._writer.failed if self._writer else 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if self._writer:
                self._writer.put(line)
            else:
                self.write_lines([line])
        except Exception:  # noqa: BLE001  # a frontier: a line must not break the program
            self.handleError(record)

    def write_lines(self, lines: list[str]) -> None:
        """Write *lines*; called by the thread, may block."""
        raise NotImplementedError

    def flush(self) -> None:
        if self._writer:
            self._writer.flush()

    def close(self) -> None:
        if self._writer:
            self._writer.close()
        super().close()


class ProcessLogTimedFileHandler(BackgroundHandler):
    """A log file that several processes write and turn together; no line is lost or torn.

    The names of the arguments are those of `logging.handlers.TimedRotatingFileHandler`.

    Args:
        filename: Its directory is made when it is missing.
        when: `S M H D midnight W0`-`W6`: when the file turns; a turned file ends in its date.
        interval: How many of those one file holds.
        backupCount: How many turned files are kept; 0: all.
        maxBytes: Turn by size instead of by time; 0: by time.
        queue_lines: How many lines may wait for the thread; 0: written at once, by the caller.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        when: str = "midnight",
        interval: int = 1,
        backupCount: int = 0,  # noqa: N803  # `logging`'s name
        *,
        maxBytes: int = 0,  # noqa: N803  # `logging`'s name
        queue_lines: int = QUEUE_LINES,
    ) -> None:
        period = None if maxBytes else Period(when, interval)
        self._file = SharedLogFile(filename, period, max_bytes=maxBytes, backups=backupCount)
        self.baseFilename = str(self._file.path)
        super().__init__(self.baseFilename, queue_lines)

    def write_lines(self, lines: list[str]) -> None:
        self._file.write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        super().close()
        self._file.close()


class BackgroundStreamHandler(BackgroundHandler):
    """Lines on a stream, by default on stderr; a reader that stands still cannot hold up the loop.

    Attributes:
        is_terminal: Whether the stream takes colours: a terminal, and neither `NO_COLOR` nor `TERM=dumb` is set.
    """

    def __init__(self, stream: TextIO | None = None, queue_lines: int = QUEUE_LINES) -> None:
        self._stream = stream
        target = stream or sys.stderr
        is_tty = target is not None and target.isatty()
        self.is_terminal = is_tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        super().__init__("stderr" if stream is None else str(stream), queue_lines)
        self.setFormatter(LineFormatter(is_coloured=self.is_terminal))

    def write_lines(self, lines: list[str]) -> None:
        stream = self._stream or sys.stderr  # looked up each time: it may have been replaced meanwhile
        if stream is not None:
            with _stream_lock:
                stream.write("\n".join(lines) + "\n")
                stream.flush()
