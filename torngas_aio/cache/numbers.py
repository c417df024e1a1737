"""Numbers that several backends read the same way: options and counters.

Begin with `counted`.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from torngas_aio.exception import ConfigError
from torngas_aio.utils.kinds import Check
from torngas_aio.utils.numbers import parse_integer

__all__ = ["counted", "option"]

T = TypeVar("T")

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


def option(options: Mapping[str, Any], name: str, default: T, check: Check, owner: str) -> T:
    """Return OPTIONS[*name*] of the cache *owner*, which *check* has to accept; *default* where it is left out.

    Raises:
        ConfigError: *check* does not accept it.
    """
    found: T = options.get(name, default)
    ConfigError.gather(check(f"{owner}['OPTIONS'][{name!r}]", found), code="TGA103")
    return found
