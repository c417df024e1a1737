"""Numbers that several backends read the same way: options and counters.

Begin with `counted`.
"""

from collections.abc import Mapping
from typing import Any

from torngas_aio.exception import ConfigError
from torngas_aio.utils.numbers import parse_integer

__all__ = ["counted", "number_option", "whole_option"]

_COUNTED = 2**63
_MAX_DIGITS = 19


def counted(data: bytes, delta: int) -> int:
    """Return the decimal integer *data* plus *delta*.

    Raises:
        ValueError: It is no integer, or the sum is beyond 64 bits.
    """
    found = parse_integer(data, _MAX_DIGITS)
    if found is None:
        raise ValueError(f"The value is not an integer, so {delta} cannot be added to it.")
    number = found + delta
    if not -_COUNTED <= number < _COUNTED:
        raise ValueError(f"{number} is beyond 64 bits, the most that a counter holds as an integer.")
    return number


def whole_option(options: Mapping[str, Any], name: str, default: int, owner: str) -> int:
    """Return OPTIONS[*name*], a whole number from 0 up.

    Raises:
        ConfigError: It is something else.
    """
    number = number_option(options, name, default, owner)
    if number != int(number):
        raise ConfigError(f"{owner}['OPTIONS'][{name!r}] = {options[name]!r}: write a whole number.", code="TGA401")
    return int(number)


def number_option(options: Mapping[str, Any], name: str, default: float, owner: str) -> float:
    """Return OPTIONS[*name*], a number from 0 up.

    Raises:
        ConfigError: It is something else.
    """
    given = options.get(name, default)
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ConfigError(f"{owner}['OPTIONS'][{name!r}] = {given!r}: write a number from 0 up.", code="TGA401")
    return number
