"""Rate-limited log lines about outages: the first at once, then one a second with a count, without traceback.

    report(key, message)    first of its key   ──► written
                            within the second  ──► counted
                            after it           ──► "message (857 more like it within the last 1 s)"

From the third line of an outage on, the pause doubles, up to eight seconds. An outage ends after twice its pause
without a report.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable
from contextvars import Context
from dataclasses import dataclass

from torngas_aio.exception import PoolExhausted, Unavailable

__all__ = ["DEGRADED_SECONDS", "OutageLog", "outage_key"]

DEGRADED_SECONDS = 10.0
"""Pause between log lines about requests that are served despite an outage."""

_MOST_KEYS = 256  # further keys share one report: bounds memory if keys are made from messages
_LONGEST_PAUSE = 8  # as a multiple of the first pause


def outage_key(error: BaseException) -> Hashable | None:
    """Return a key that identifies the outage behind *error*; None if there is none."""
    # A message begins with the name of the service; the rest may contain seconds, which vary.
    is_outage = isinstance(error, Unavailable | PoolExhausted)
    return (type(error), str(error).partition(": ")[0]) if is_outage else None


@dataclass(slots=True)
class _Report:
    """The state of one outage.

    Attributes:
        written_at: Time of its last line.
        message: The last reported message.
        pause: Seconds from the last line to the next.
        count: Number of reports since the last line.
        lines: Number of lines written.
    """

    written_at: float
    message: str
    pause: float
    count: int = 0
    lines: int = 1

    def written(self, now: float, message: str, longest: float) -> None:
        """Record that a line was written; from the third line on double the pause, up to *longest*."""
        self.written_at, self.message, self.count = now, message, 0
        self.lines += 1
        if self.lines > 2:
            self.pause = min(self.pause * 2, longest)


class OutageLog:
    """A log of outages, limited to one line a key and second, and fewer in a long outage. Thread-safe.

    Counted reports are written with the next report, or, in a running loop, when the pause is over.

    Args:
        logger: Receives the lines.
        level: Level of the lines; ERROR by default.
        seconds: Pause after the first and the second line of one key; 1 by default.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        logger: logging.Logger,
        level: int = logging.ERROR,
        seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._level = level
        self._seconds = seconds
        self._clock = clock
        self._reports: dict[Hashable, _Report] = {}
        self._lock = threading.Lock()

    def report(self, key: Hashable, message: str, *args: object) -> None:
        """Log *message*, or only count it during the pause after the last line of *key*.

        Args:
            key: Identifies the outage, such as alias and address of the service.
            message: A complete sentence, formatted with *args* as in `logging`; after a pause the last one is written.
        """
        text = message % args if args else message
        now = self._clock()
        with self._lock:
            if key not in self._reports and len(self._reports) >= _MOST_KEYS:
                self._forget_ended(now)
                key = key if len(self._reports) < _MOST_KEYS else None
            known = self._reports.get(key)
            if known is not None and now - known.written_at < known.pause:
                known.count += 1
                known.message = text
                if known.count == 1:
                    self._write_later(key, known.written_at + known.pause - now)
                return
            count, pause = (0, 0.0) if known is None else (known.count, known.pause)
            if known is None or now - known.written_at >= 2 * pause:  # another outage
                self._reports[key] = _Report(now, text, self._seconds)
            else:
                known.written(now, text, self._seconds * _LONGEST_PAUSE)
        self._write(text, count, pause)

    def report_error(self, error: BaseException, message: str, *args: object) -> None:
        """Log *error*, which the caller does not re-raise: an outage as in `report`, any other with its traceback.

        Args:
            message: A complete sentence, formatted with *args*; for an outage the text of *error* follows.
        """
        key = outage_key(error)
        if key is not None:
            text = message % args if args else message
            self.report((text, key), "%s %s", text, error)
        else:
            self._logger.log(self._level, message, *args, exc_info=error)

    def _write(self, text: str, count: int, pause: float) -> None:
        more = f" ({count} more like it within the last {pause:g} s)" if count else ""
        self._logger.log(self._level, "%s%s", text, more)

    def _write_later(self, key: Hashable, seconds: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a thread: the count is written with the next report
        loop.call_later(seconds, self._write_counted, key, context=Context())

    def _write_counted(self, key: Hashable) -> None:
        with self._lock:
            known = self._reports.get(key)
            if known is None or not known.count:
                return
            text, count, pause = known.message, known.count - 1, known.pause
            known.written(self._clock(), text, self._seconds * _LONGEST_PAUSE)
        self._write(text, count, pause)

    def _forget_ended(self, now: float) -> None:
        for key, known in list(self._reports.items()):
            if now - known.written_at >= known.pause and not known.count:
                del self._reports[key]
