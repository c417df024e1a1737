"""Checks of one value: networks, numbers, secrets."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.checks.test_shapes import faults_of
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.utils.hosts import Networks
from torngas_aio.utils.kinds import (
    Check,
    duration,
    fault,
    finite,
    first_of,
    mapping,
    positive,
    regular_expression,
    secret,
    whole,
)


@pytest.mark.parametrize(
    "entries",
    [("10.0.0.1",), ["10.0.0.0/8", "::1"], ["::ffff:10.0.0.0/104"], ["2001:db8::/32", "0.0.0.0/0"], [], False],
)
def test_what_the_whitelist_takes_passes(entries: Any) -> None:
    """The check and the decorator read an entry with the same function."""
    assert faults_of(WHITELIST=entries) == []
    assert repr(Networks(entries or ()))


@pytest.mark.parametrize(
    "entry", ["10.0.0.1/8", "x", "", "10.0.0.0/33", "::1%lo", " ::1", "10.0.0.1/255.0.0.0", "1.2.3", "fe80::1/10"]
)
def test_what_the_whitelist_refuses_is_a_fault(entry: str) -> None:
    (fault,) = faults_of(WHITELIST=[entry])
    assert fault.startswith(f"WHITELIST[0] = {entry!r}: must be")
    with pytest.raises(ConfigError):
        Networks([entry])


@pytest.mark.parametrize(
    ("check", "value", "problem"),
    [
        (positive, 0, "0: must be a finite number above 0."),
        (positive, float("inf"), "inf: must be a finite number above 0."),
        (positive, 10**400, "1000"),
        (finite, -1, "-1: must be a finite number, 0 or more."),
        (finite, False, "False: must be a finite number, 0 or more."),
        (duration(1), float("nan"), "nan: must be a number of seconds from 1 to 315360000."),
        (duration(1), 0.5, "0.5: must be"),
        (duration(0), 10**5000, "<int>: must be"),
        (duration(0), True, "True: must be"),
        (whole(1), 2**63, "9223372036854775808: must be a whole number below 9223372036854775808."),
        (whole(1), 10**5000, "<int>: must be a whole number below 9223372036854775808."),
        (secret, {"a": "b"}, "{'a': 'b'}: must be a string, not dict."),
        (mapping, 10**5000, "<int>: must be a dict."),
        (regular_expression, "(" * 5000, "no regular expression"),
    ],
    ids=itertools.count(),
)
def test_what_cannot_be_used_is_a_fault(check: Check, value: Any, problem: str) -> None:
    """Numbers that no clock, store or text can hold are told as any others."""
    (fault,) = check("X", value)
    assert problem in fault


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (positive, 1e308),
        (positive, 10**300),
        (finite, 0),
        (finite, 0.0),
        (duration(1), 1),
        (whole(0), 2**63 - 1),
        (secret, b"x"),
    ],
)
def test_what_can_be_used_is_none(check: Check, value: Any) -> None:
    assert list(check("X", value)) == []


@pytest.mark.parametrize(("value", "told"), [("x", "above 0"), (3, "even"), (4, "")])
def test_only_the_first_kind_that_is_not_met_is_told(value: object, told: str) -> None:
    def even(path: str, value: Any) -> Iterator[Fault]:
        if value % 2:
            yield fault(path, value, "must be even.")

    found = list(first_of(positive, even)("A", value))
    assert len(found) == bool(told)
    assert all(told in each for each in found)
