"""When a log file turns, in every `when`, zone and season."""

import os
import time
import zoneinfo
from collections.abc import Iterator
from datetime import datetime

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.logger.sharedfile import Period


@pytest.fixture
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def local(text: str) -> float:
    return time.mktime(datetime.fromisoformat(text).timetuple())


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York"], indirect=True)
@pytest.mark.parametrize(
    ("when", "interval", "moment", "start", "stamp"),
    [
        ("S", 1, "2026-11-22T21:51:06", "2026-11-22T21:51:06", "2026-11-22_21-51-06"),
        ("M", 1, "2026-11-22T21:51:06", "2026-11-22T21:51:00", "2026-11-22_21-51"),
        ("h", 1, "2026-11-22T21:51:06", "2026-11-22T21:00:00", "2026-11-22_21"),
        ("midnight", 1, "2026-11-22T21:51:06", "2026-11-22T00:00:00", "2026-11-22"),
        ("D", 1, "2026-11-22T00:00:00", "2026-11-22T00:00:00", "2026-11-22"),
        ("W0", 1, "2026-11-22T21:51:06", "2026-11-16T00:00:00", "2026-11-16"),
        ("W6", 1, "2026-11-22T21:51:06", "2026-11-22T00:00:00", "2026-11-22"),
        ("w2", 1, "2026-11-24T21:51:06", "2026-11-18T00:00:00", "2026-11-18"),
    ],
)
def test_a_period_begins_at_local_time(
    zone: str, when: str, interval: int, moment: str, start: str, stamp: str
) -> None:
    period = Period(when, interval)
    assert period.start_of(local(moment)) == local(start)
    assert period.stamp(local(start)) == stamp


@pytest.mark.parametrize("zone", ["America/New_York"], indirect=True)
def test_a_day_of_23_or_25_hours_is_one_period(zone: str) -> None:
    period = Period("midnight")
    for day, after in (("2026-03-08", "2026-03-09"), ("2026-11-01", "2026-11-02")):
        start = local(f"{day}T00:00:00")
        assert {period.start_of(start + hour * 3600) for hour in (0, 1, 2, 3, 12, 22)} == {start}
        assert period.start_of(local(f"{after}T00:00:00")) == local(f"{after}T00:00:00")


YEAR = range(1767225600, 1767225600 + 366 * 86400, 86400)
PERIODS = [("H", 1), ("H", 5), ("H", 6), ("H", 12), ("H", 24), ("M", 30), ("midnight", 1), ("D", 3), ("W0", 1)]


def check_a_year(step: int) -> None:
    """The year 2026 day by day, and the days around each time change in steps of *step* seconds."""
    offsets = {day: time.localtime(day).tm_gmtoff for day in (*YEAR, YEAR[-1] + 86400)}
    changes = [day for day in YEAR if offsets[day] != offsets[day + 86400]]
    near = {moment for day in changes for moment in range(day - 86400, day + 2 * 86400, step)}
    for when, interval in PERIODS:
        period = Period(when, interval)
        last = 0
        for moment in sorted({*YEAR, *near}):
            start = period.start_of(moment)
            assert last <= start <= moment
            assert period.start_of(start) == start
            last = start


@pytest.mark.parametrize(
    "zone",
    [
        "UTC",
        "Africa/Cairo",  # at midnight
        "Africa/Casablanca",  # backwards for Ramadan
        "America/Havana",
        "America/New_York",
        "America/Nuuk",
        "America/St_Johns",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",  # by half an hour
        "Europe/Berlin",
        "Pacific/Chatham",
    ],
    indirect=True,
)
def test_the_start_of_a_period_is_in_that_period(zone: str) -> None:
    check_a_year(1800)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("zone", [""], indirect=True)
def test_the_start_of_a_period_is_in_that_period_in_every_zone(zone: str) -> None:
    for name in sorted(zoneinfo.available_timezones()):
        os.environ["TZ"] = name
        time.tzset()
        check_a_year(900)


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe"], indirect=True)
@pytest.mark.parametrize("interval", [1, 6, 12, 24])
def test_hours_follow_the_local_clock_over_a_time_change(zone: str, interval: int) -> None:
    period = Period("H", interval)
    for moment in range(YEAR[0], YEAR[-1], 3600 * 5):
        start = time.localtime(period.start_of(moment))
        assert start.tm_hour % interval == 0 or start.tm_isdst != time.localtime(moment - 86400).tm_isdst
        assert start.tm_yday == time.localtime(moment).tm_yday


@pytest.mark.parametrize("zone", ["UTC"], indirect=True)
@pytest.mark.parametrize(("when", "seconds"), [("S", 1), ("M", 60), ("H", 3600), ("D", 86400), ("W3", 7 * 86400)])
def test_an_interval_makes_periods_of_that_many_units(zone: str, when: str, seconds: int) -> None:
    period = Period(when, 3)
    first = period.start_of(1_800_000_000)
    assert period.start_of(first) == first
    assert period.start_of(first + 3 * seconds - 1) == first
    assert period.start_of(first + 3 * seconds) == first + 3 * seconds
    assert period.start_of(first - 1) == first - 3 * seconds


@pytest.mark.parametrize(("when", "interval"), [("X", 1), ("W7", 1), ("W", 1), ("S", 0), ("S", -1), ("S", 1.5)])
def test_what_is_no_period_is_refused(when: str, interval: int) -> None:
    with pytest.raises(ConfigError, match="log file"):
        Period(when, interval)


def test_a_true_is_no_interval() -> None:
    with pytest.raises(ConfigError, match="every True periods"):
        Period("S", True)
