"""Checks of single values, composed to the shape of a setting.

Check: (path, value) -> faults           none: the value is valid
boolean  text  whole(1)  seconds  duration(1)  one_of(…)  sequence_of(check)  table(required, optional)
"""

import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torngas_aio._masking import show_setting
from torngas_aio._names import did_you_mean, nearest
from torngas_aio.exception import ArgumentError, Fault
from torngas_aio.utils.hosts import parse_network
from torngas_aio.utils.narrowing import is_dict, is_list_or_tuple, is_mapping

__all__ = [
    "BLAMED",
    "Check",
    "also",
    "boolean",
    "brief",
    "dotted",
    "duration",
    "either",
    "fault",
    "finite",
    "first_of",
    "mapping",
    "mapping_of",
    "misspelt",
    "network",
    "one_of",
    "positive",
    "regular_expression",
    "require",
    "seconds",
    "secret",
    "secret_versions",
    "sequence_of",
    "table",
    "text",
    "whole",
]

Check = Callable[[str, object], Iterable[Fault]]
"""A function from the path of a setting and its value to its faults."""

_BEYOND = 2**63
BRIEF_SECONDS = 600
TEN_YEARS = 10 * 365 * 24 * 3600
SECRET_KEYS = ("cookie_secret", "secret_key", "PASSWD", "PASSWORD")


BLAMED: Any = object()
"""A placeholder for a value whose shape has been reported as faulty."""


def fault(path: str, value: object, problem: str) -> Fault:
    """Return a fault of the setting at *path*; the message omits the value of a secret and cuts a long one."""
    if any(f"[{key!r}]" in path for key in SECRET_KEYS):
        return Fault(f"{path}: {problem}", path=path)
    shown = show_setting(value)
    return Fault(f"{path} = {shown if len(shown) <= 80 else shown[:77] + '...'}: {problem}", path=path)


def boolean(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is True or False."""
    if not isinstance(value, bool):
        yield fault(path, value, "must be True or False.")


def text(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a string."""
    if not isinstance(value, str):
        yield fault(path, value, "must be a string.")


def dotted(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a full dotted path, or the class or function itself."""
    if isinstance(value, str):
        if not all(part.isidentifier() for part in value.split(".")):
            yield fault(path, value, "must be a full dotted path, such as 'package.module.Class'.")
    elif not callable(value):
        yield fault(path, value, "must be a full dotted path or a class.")


def secret(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a string or bytes."""
    if not isinstance(value, str | bytes):
        kind = "dict" if is_mapping(value) else type(value).__name__
        yield fault(path, value, f"must be a string, not {kind}.")


def secret_versions(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a string or bytes, or Tornado's dict of key versions."""
    for version in value.values() if is_dict(value) else (value,):
        yield from secret(path, version)


def mapping(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a dict or another mapping."""
    if not isinstance(value, Mapping):
        yield fault(path, value, "must be a dict.")


def network(*, takes_host_bits: bool) -> Check:
    """Return a check for an IP address or network, as parsed by `utils.hosts.parse_network`."""

    def check(path: str, value: object) -> Iterator[Fault]:
        try:
            parse_network(value, takes_host_bits=takes_host_bits)
        except ValueError as exc:
            reason = f" ({exc})" if isinstance(value, str) and "host bits" in str(exc) else ""
            yield fault(path, value, f"must be an IP address or network, such as '10.0.0.7' or '10.0.0.0/8'{reason}.")

    return check


def whole(least: int) -> Check:
    """Return a check for a whole number of at least *least*, within 64 bits."""

    def check(path: str, value: object) -> Iterator[Fault]:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            yield fault(path, value, f"must be a whole number of at least {least}.")
        elif value >= _BEYOND:
            yield fault(path, value, f"must be a whole number below {_BEYOND}.")

    return check


def positive(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a finite number above 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= sys.float_info.max:
        yield fault(path, value, "must be a finite number above 0.")


def first_of(*checks: Check) -> Check:
    """Return a check that runs *checks* in order up to the first with faults; later ones may rely on earlier ones."""

    def check(path: str, value: object) -> Iterable[Fault]:
        return next(filter(None, (list(each(path, value)) for each in checks)), ())

    return check


def _few_seconds(path: str, value: Any) -> Iterator[Fault]:
    if value > BRIEF_SECONDS:
        yield fault(path, value, f"must be at most {BRIEF_SECONDS}: these are seconds.")


brief = first_of(positive, _few_seconds)
"""A duration that a request may take: seconds, above 0, at most ten minutes."""


def finite(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a finite number, 0 or more."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= sys.float_info.max:
        yield fault(path, value, "must be a finite number, 0 or more.")


def seconds(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a number of seconds, 0 or more; infinity is accepted."""
    if value != math.inf and any(finite(path, value)):
        yield fault(path, value, "must be a number of seconds, 0 or more.")


def duration(least: float) -> Check:
    """Return a check for seconds from *least* to ten years, a range that all stores support."""

    def check(path: str, value: object) -> Iterator[Fault]:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= TEN_YEARS:
            yield fault(path, value, f"must be a number of seconds from {least:g} to {TEN_YEARS}.")

    return check


def require(*faults: Iterable[Fault]) -> None:
    """Raise if there are *faults*, which come from checks of a call's arguments.

    Raises:
        ArgumentError: There are faults; lists all of them.
    """
    if found := [each for several in faults for each in several]:
        raise ArgumentError(" ".join(found))


def one_of(*choices: object, fold: bool = False) -> Check:
    """Return a check for one of *choices*; with *fold* case-insensitive."""

    def folded(value: object) -> object:
        return value.upper() if fold and isinstance(value, str) else value

    def check(path: str, value: object) -> Iterator[Fault]:
        wanted = folded(value)
        if not any(wanted == folded(choice) and isinstance(wanted, type(choice)) for choice in choices):
            listed = ", ".join(repr(choice) for choice in choices)
            yield fault(path, value, f"must be one of {listed}.")

    return check


def either(literal: object, check: Check) -> Check:
    """Return a check for *literal* itself, or a value that *check* accepts."""

    def combined(path: str, value: object) -> Iterator[Fault]:
        if value is not literal:
            yield from also(f"{literal!r}", check(path, value))

    return combined


def also(alternative: str, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield *faults*, each with the *alternative* that is also valid."""
    for each in faults:
        yield each.with_(f"{each.removesuffix('.')}; or {alternative}.")


def sequence_of(check: Check) -> Check:
    """Return a check for a list or tuple, each item of which *check* accepts."""

    def combined(path: str, value: object) -> Iterator[Fault]:
        if isinstance(value, str):
            yield fault(path, value, f"must be a list or tuple; a tuple of one wants a comma: ({value!r},).")
        elif not is_list_or_tuple(value):
            yield fault(path, value, "must be a list or tuple.")
        else:
            for index, item in enumerate(value):
                yield from check(f"{path}[{index}]", item)

    return combined


def mapping_of(check: Check, key: Check = text) -> Check:
    """Return a check for a dict whose keys *key* accepts and whose values *check* accepts."""

    def combined(path: str, value: object) -> Iterator[Fault]:
        if not is_mapping(value):
            yield from mapping(path, value)
            return
        for name, item in value.items():
            yield from key(f"{path}[{name!r}]", name)
            yield from check(f"{path}[{name!r}]", item)

    return combined


def table(required: Mapping[str, Check], optional: Mapping[str, Check], *, is_closed: bool = False) -> Check:
    """Return a check for a dict with all keys of *required* and any of *optional*.

    Args:
        is_closed: Whether all other keys are faults; else only those similar to a known one.
    """
    known = {**required, **optional}

    def combined(path: str, value: object) -> Iterator[Fault]:
        if not is_mapping(value):
            yield from mapping(path, value)
            return
        for name in required:
            if name not in value:
                yield Fault(f"{path}[{name!r}] is missing.", path=f"{path}[{name!r}]")
        for key, item in value.items():
            if isinstance(key, str) and key in known:
                yield from known[key](f"{path}[{key!r}]", item)
            elif is_closed:
                hint = _hint(key, known)
                yield Fault(f"{path}[{key!r}]: no such key.{hint}", code="TGA102", path=f"{path}[{key!r}]")
        if not is_closed:
            for name, hint in misspelt(value, known):
                yield Fault(f"{path}[{name!r}]: no such key.{hint}", code="TGA102", path=f"{path}[{name!r}]")

    return combined


def regular_expression(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a regular expression that compiles."""
    if not isinstance(value, str):
        yield from text(path, value)
        return
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as exc:
        yield Fault(f"{path}: no regular expression: {exc}.", path=path)


def misspelt(names: Iterable[object], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of *names* that is not in *known* but similar to one of them, with a hint for the message."""
    known = list(known)
    for name in names:
        if isinstance(name, str) and name not in known:
            hint = did_you_mean(name, known, likeness=0.88)
            if hint:
                yield name, hint


def _hint(name: object, known: Iterable[str]) -> str:
    """Return a hint with the one of *known* most similar to *name*, ignoring case, else with all of them."""
    folded = {each.lower(): each for each in known}
    near = nearest(str(name).lower(), folded)
    return f" Known are {', '.join(known)}." if near is None else f" Did you mean {folded[near]!r}?"
