"""Log lines of a known outage: the first at once, then one a second with a count, no traceback.

    report(key, message)    first of its key   ──► written
                            within the second  ──► counted
                            after it           ──► "message (857 more in the last second)"

Begin with `OutageLog.report`.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable
from contextvars import Context
from dataclasses import dataclass

__all__ = ["OutageLog"]

_MOST_KEYS = 256  # reports under further keys share one, so that keys made of messages cannot fill the memory


@dataclass(slots=True)
class _Report:
    written_at: float
    message: str
    count: int = 0


class OutageLog:
    """Reports of outages, limited to one line a key and second. May be used from several threads.

    What was counted is written with the next report, or, in a running loop, when the second is over.

    Args:
        logger: Gets the lines.
        level: Their level; ERROR by default.
        seconds: The pause between two lines of one key; 1 by default.
        clock: Monotonic seconds.
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
        """Log *message*, or count it when a line of *key* was written within the last second.

        Args:
            key: Tells outages apart, such as the alias and the address of what is down.
            message: A complete sentence, formatted with *args* as in `logging`; the last one of a key is written.
        """
        text = message % args if args else message
        now = self._clock()
        with self._lock:
            if key not in self._reports and len(self._reports) >= _MOST_KEYS:
                self._forget_ended(now)
                key = key if len(self._reports) < _MOST_KEYS else None
            known = self._reports.get(key)
            if known is not None and now - known.written_at < self._seconds:
                known.count += 1
                known.message = text
                if known.count == 1:
                    self._write_later(key, known.written_at + self._seconds - now)
                return
            self._reports[key] = _Report(now, text)
        self._write(text, 0 if known is None else known.count)

    def _write(self, text: str, count: int) -> None:
        more = f" ({count} more like it within the last {self._seconds:g} s)" if count else ""
        self._logger.log(self._level, "%s%s", text, more)

    def _write_later(self, key: Hashable, seconds: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a thread: the next report tells
        loop.call_later(seconds, self._write_counted, key, context=Context())

    def _write_counted(self, key: Hashable) -> None:
        with self._lock:
            known = self._reports.get(key)
            if known is None or not known.count:
                return
            count, known.count, known.written_at = known.count - 1, 0, self._clock()
        self._write(known.message, count)

    def _forget_ended(self, now: float) -> None:
        for key, known in list(self._reports.items()):
            if now - known.written_at >= self._seconds and not known.count:
                del self._reports[key]
