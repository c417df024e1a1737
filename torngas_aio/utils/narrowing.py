"""Checks of a value's class after which a type checker knows what it holds; `isinstance` leaves that unknown."""

from collections.abc import Mapping, Set
from typing import TypeGuard

__all__ = ["is_dict", "is_list", "is_list_or_tuple", "is_mapping", "is_number", "is_set"]


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Return whether *value* is a mapping, of whatever."""
    return isinstance(value, Mapping)


def is_dict(value: object) -> TypeGuard[dict[object, object]]:
    """Return whether *value* is a dict, of whatever."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Return whether *value* is a list, of whatever."""
    return isinstance(value, list)


def is_list_or_tuple(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Return whether *value* is a list or a tuple, of whatever."""
    return isinstance(value, list | tuple)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether *value*, whatever its annotation says, is an `int` or a `float`."""
    return isinstance(value, int | float)


def is_set(value: object) -> TypeGuard[Set[object]]:
    """Return whether *value* is a set or frozenset, of whatever."""
    return isinstance(value, Set)
