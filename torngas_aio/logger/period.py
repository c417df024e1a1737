"""When a log file turns: the stretch of time that one file holds. Arithmetic only, no files.

    when     S  M  H           every `interval` seconds, minutes, hours
             D  midnight       every `interval` days, at local midnight
             W0 … W6           every `interval` weeks, on that weekday (W0: Monday)

Two processes with the same settings always agree, since a period begins at a multiple of its length.
Begin with `Period.start_of`.
"""

import time
from datetime import date
from typing import Self

from torngas_aio.exception import ConfigError

__all__ = ["Period"]

_SECONDS = {"S": 1, "M": 60, "H": 3600}
_STAMPS = {"S": "%Y-%m-%d_%H-%M-%S", "M": "%Y-%m-%d_%H-%M", "H": "%Y-%m-%d_%H"}


class Period:
    """The periods of one `when` and `interval`.

    Raises:
        ConfigError: `when` is none of the above, or `interval` is no positive whole number.
    """

    def __init__(self, when: str = "midnight", interval: int = 1) -> None:
        self.when = when.upper()
        self.interval = interval
        is_week = len(self.when) == 2 and self.when[0] == "W" and self.when[1] in "0123456"
        if self.when not in {*_SECONDS, "D", "MIDNIGHT"} and not is_week:
            raise ConfigError(f"{when!r} is no time for a log file to turn. Write S, M, H, D, midnight or W0 to W6.")
        if type(interval) is not int or interval < 1:
            raise ConfigError(f"A log file cannot turn every {interval!r} periods. Write a whole number from 1.")
        self._weekday = int(self.when[1]) if is_week else None
        self._stamp = _STAMPS.get(self.when, "%Y-%m-%d")

    def start_of(self, moment: float) -> int:
        """Return when the period that holds *moment* began; both in seconds since the epoch."""
        if self.when in _SECONDS:
            length = _SECONDS[self.when] * self.interval
            offset = time.localtime(moment).tm_gmtoff if self.when == "H" else 0  # some zones are half an hour off
            return int((moment + offset) // length * length - offset)
        local = time.localtime(moment)
        day = self._first_day(date(local.tm_year, local.tm_mon, local.tm_mday).toordinal())
        first = date.fromordinal(max(day, 1))
        return int(time.mktime((first.year, first.month, first.day, 0, 0, 0, 0, 0, -1)))

    def stamp(self, start: float) -> str:
        """Return how the file of the period begun at *start* is marked, such as `2026-11-22`."""
        return time.strftime(self._stamp, time.localtime(start))

    def _first_day(self, day: int) -> int:
        if self._weekday is None:
            return day // self.interval * self.interval
        monday_first = day - 1 - self._weekday  # day 1 of the calendar was a Monday
        return monday_first // (7 * self.interval) * (7 * self.interval) + 1 + self._weekday

    @classmethod
    def by_size(cls) -> Self:
        """A period for files that turn by size: its stamp tells the second."""
        return cls("S")
