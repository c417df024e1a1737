"""Type guards that narrow to containers of `object` or `Any`; `isinstance` leaves the item types unknown."""

import os
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, TypeGuard

__all__ = [
    "class_of",
    "is_dict",
    "is_group",
    "is_iterable",
    "is_list",
    "is_list_or_tuple",
    "is_mapping",
    "is_number",
    "is_path",
    "is_set",
]

class_of: Callable[[object], type[object]] = type
"""`type` with one argument; unlike `type`, comparing its result does not narrow the argument."""


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Return whether *value* is a mapping."""
    return isinstance(value, Mapping)


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """Return whether *value* is a dict."""
    return isinstance(value, dict)


def is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """Return whether *error* is a group of exceptions."""
    return isinstance(error, BaseExceptionGroup)


def is_iterable(value: object) -> TypeGuard[Iterable[object]]:
    """Return whether *value* is iterable."""
    return isinstance(value, Iterable)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Return whether *value* is a list."""
    return isinstance(value, list)


def is_list_or_tuple(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Return whether *value* is a list or a tuple."""
    return isinstance(value, list | tuple)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether *value* is an `int` or a `float`, regardless of its annotation."""
    return isinstance(value, int | float)


def is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether *value* is a path: a `str` or an `os.PathLike`."""
    return isinstance(value, str | os.PathLike)


def is_set(value: object) -> TypeGuard[Set[object]]:
    """Return whether *value* is a set or frozenset."""
    return isinstance(value, Set)
