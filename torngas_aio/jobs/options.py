"""The options of `job`: defaults and checks."""

import inspect
import string
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from torngas_aio._names import did_you_mean
from torngas_aio.exception import Fault
from torngas_aio.jobs.arguments import VARIADIC
from torngas_aio.jobs.registry import jobs
from torngas_aio.jobs.schedules import CATCH_UP_SECONDS, Schedule, check_cron, check_zone
from torngas_aio.settings_manager import settings
from torngas_aio.utils.kinds import Check, boolean, duration, either, fault, text, whole

__all__ = ["OPTIONS", "JobOptions", "option_faults", "schedule_of"]


class JobOptions(TypedDict, total=False):
    """The options of `job`; see there for their meaning."""

    name: str | None
    alias: str
    queue: str
    retries: int
    timeout: float | None
    result_ttl: float
    outbox: bool
    key: str | None
    key_ttl: float
    cron: str | None
    tz: str | None
    every: float | None
    catch_up: float | None


def _label(most: int) -> Check:
    """Return a check for a name that appears in logs, keys and command lines."""

    def check(path: str, value: object) -> Iterator[Fault]:
        if not (isinstance(value, str) and 0 < len(value) <= most and value.isprintable() and value == value.strip()):
            yield fault(path, value, f"must be text of 1 to {most} printable characters.")

    return check


def _queue(path: str, value: object) -> Iterator[Fault]:
    yield from _label(100)(path, value)
    if isinstance(value, str) and "," in value:
        yield fault(path, value, "`worker --queues` has commas between names: leave them out.")


def _alias(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is an entry of JOBS; before the settings are loaded, `Job.enqueue` reports a wrong alias."""
    if not isinstance(value, str):
        yield from text(path, value)
    elif settings.is_loaded and value not in jobs:
        yield fault(path, value, f"JOBS has no such entry.{did_you_mean(value, jobs)}")


OPTIONS: dict[str, tuple[object, Check]] = {
    "name": (None, either(None, _label(200))),
    "alias": ("default", _alias),
    "queue": ("default", _queue),
    "retries": (0, whole(0)),
    "timeout": (None, either(None, duration(0.001))),
    "result_ttl": (0.0, duration(0)),
    "outbox": (False, boolean),
    "key": (None, either(None, text)),
    "key_ttl": (7 * 24 * 3600.0, duration(1)),
    "cron": (None, either(None, check_cron)),
    "tz": (None, either(None, check_zone)),
    "every": (None, either(None, duration(1))),
    "catch_up": (None, either(None, duration(0))),
}
"""The options of `job`, each with default and check."""


def option_faults(chosen: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> Iterator[str]:
    """Yield a sentence for each of the options *chosen* that is invalid for a function with these *parameters*."""
    unknown = [name for name in chosen if name not in OPTIONS]
    yield from (f"there is no option {name!r}.{did_you_mean(name, OPTIONS)}" for name in unknown)
    for name, (_, check) in OPTIONS.items():
        yield from check(name, chosen[name])
    if "key" in parameters:  # a keyword of `enqueue`
        yield "a parameter cannot be called 'key'."
    if isinstance(chosen["key"], str):
        yield from _key_faults(chosen["key"], parameters)
    if chosen["cron"] is not None and chosen["every"] is not None:
        yield "write cron= or every=, not both."
    elif chosen["cron"] is not None or chosen["every"] is not None:
        if any(each.default is each.empty and each.kind not in VARIADIC for each in parameters.values()):
            yield "it has a schedule, so its parameters need defaults."
    elif chosen["tz"] is not None or chosen["catch_up"] is not None:
        yield "tz= and catch_up= go with cron= or every=."


def schedule_of(chosen: Mapping[str, Any]) -> Schedule | None:
    """Return the schedule defined by the options *chosen*, None if they define none."""
    if chosen["cron"] is None and chosen["every"] is None:
        return None
    late = CATCH_UP_SECONDS if chosen["catch_up"] is None else chosen["catch_up"]
    return Schedule(chosen["cron"] or "", ZoneInfo(chosen["tz"] or "UTC"), float(chosen["every"] or 0), late)


def _key_faults(key: str, parameters: Collection[str]) -> Iterator[str]:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(key) if name is not None]
    except ValueError as exc:
        names, problem = [], f"{exc}"
    else:
        problem = ", ".join(f"there is no parameter {name!r}" for name in names if name not in parameters)
    if not key or problem:
        yield f"key={key!r:.100}: {problem or 'it is empty'}. Write parameters in braces, such as 'mail:{{user_id}}'."
