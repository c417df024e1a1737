"""Handlers for `logging` that format in the caller's context and write from a background thread."""

import logging
import os
import sys
import threading
from typing import Any, TextIO

from torngas_aio.logger.background import FLUSH_SECONDS, MAX_BUFFER_BYTES, BackgroundWriter, encode_line
from torngas_aio.logger.formatters import LineFormatter
from torngas_aio.logger.sharedfile import Period, SharedLogFile

__all__ = ["BackgroundHandler", "BackgroundStreamHandler", "ProcessLogTimedFileHandler"]

_stream_lock = threading.Lock()  # the threads of several handlers share stderr


FORK_WAIT_SECONDS = 0.5


class _Fork:
    """Fork hooks that keep threads out of `stream.write`: the child's copy of the stream would stay locked forever."""

    def before(self) -> None:
        self._is_held = _stream_lock.acquire(timeout=FORK_WAIT_SECONDS)  # a write to a pipe may be blocked

    def after_in_parent(self) -> None:
        if self._is_held:
            _stream_lock.release()

    def after_in_child(self) -> None:
        global _stream_lock  # noqa: PLW0603  # one stderr, one lock
        _stream_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    _fork = _Fork()
    os.register_at_fork(before=_fork.before, after_in_parent=_fork.after_in_parent, after_in_child=_fork.after_in_child)


class BackgroundHandler(logging.Handler):
    """A handler whose lines are written by a `BackgroundWriter`.

    Attributes:
        writer: The writer; None if the caller writes.

    Args:
        buffer_bytes: Buffer size; 0: no buffer, the caller writes.
        is_stderr: Whether the lines go to stderr.
    """

    def __init__(self, name: str, buffer_bytes: int = MAX_BUFFER_BYTES, *, is_stderr: bool = False) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self.writer = (
            BackgroundWriter(self.write_lines, name=name, max_bytes=buffer_bytes, note=self._note, is_stderr=is_stderr)
            if buffer_bytes
            else None
        )

    @property
    def dropped(self) -> int:
        """Number of lines dropped because the buffer was full."""
        return self.writer.dropped if self.writer else 0

    @property
    def failed(self) -> int:
        """Number of lines that could not be written, for instance to a full disk."""
        return self.writer.failed if self.writer else 0

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the lock of `logging.Handler`: a thread that waits for space must not block the loop.
        found: Any = self.filter(record)  # Python 3.12 and later: may be a replacement record
        if found:
            self.emit(found if isinstance(found, logging.LogRecord) else record)
        return bool(found)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if self.writer:
                self.writer.put(line, record.levelno)
            else:
                self.write_lines(encode_line(line))
        except Exception:  # noqa: BLE001  # a boundary: logging must not fail the caller
            self.handleError(record)

    def write_lines(self, data: bytes) -> None:
        """Write *data*, whole lines in UTF-8; called in the writer's thread, may block."""
        raise NotImplementedError

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        if self.writer:
            self.writer.flush(seconds)

    def close(self) -> None:
        self.stop()

    def stop(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Close, and return whether everything was written within *seconds*."""
        is_written = self.writer.close(seconds) if self.writer else True
        super().close()
        return is_written

    def _note(self, text: str) -> str:
        return self.format(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None))


class ProcessLogTimedFileHandler(BackgroundHandler):
    """A log file that several processes write and rotate together; no line is lost or torn.

    The names of the arguments are those of `logging.handlers.TimedRotatingFileHandler`.

    Args:
        filename: The path; a missing directory is created.
        when: Unit of the rotation: `S M H D midnight W0`-`W6`; the name of a rotated file ends in its date.
        interval: Number of these units per file.
        backupCount: Number of rotated files to keep; 0: all.
        maxBytes: Size in bytes at which to rotate, instead of by time; 0: rotate by time.
        buffer_bytes: Buffer size; 0: no buffer, the caller writes.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        when: str = "midnight",
        interval: int = 1,
        backupCount: int = 0,  # noqa: N803  # `logging`'s name
        *,
        maxBytes: int = 0,  # noqa: N803  # `logging`'s name
        buffer_bytes: int = MAX_BUFFER_BYTES,
    ) -> None:
        period = None if maxBytes else Period(when, interval)
        self._file = SharedLogFile(filename, period, max_bytes=maxBytes, backups=backupCount)
        self.baseFilename = str(self._file.path)
        super().__init__(self.baseFilename, buffer_bytes)

    def write_lines(self, data: bytes) -> None:
        self._file.write(data)

    def stop(self, seconds: float = FLUSH_SECONDS) -> bool:
        is_written = super().stop(seconds)
        if is_written:  # otherwise the thread still uses it
            self._file.close()
        return is_written


class BackgroundStreamHandler(BackgroundHandler):
    """A handler for a stream, by default stderr; a reader that stops reading cannot block the loop.

    Attributes:
        is_terminal: Whether the stream supports colours: a terminal, and neither `NO_COLOR` nor `TERM=dumb` is set.
    """

    def __init__(self, stream: TextIO | None = None, buffer_bytes: int = MAX_BUFFER_BYTES) -> None:
        self._stream = stream
        target = stream or sys.stderr
        is_tty = target is not None and target.isatty()
        self.is_terminal = is_tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        super().__init__("stderr" if stream is None else str(stream), buffer_bytes, is_stderr=stream is None)
        self.setFormatter(LineFormatter(is_coloured=self.is_terminal))

    def write_lines(self, data: bytes) -> None:
        stream = self._stream or sys.stderr  # looked up each time, since it may be replaced
        if stream is not None:
            with _stream_lock:
                stream.write(data.decode())
                stream.flush()
