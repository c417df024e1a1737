"""Counts in nested dicts and lists, that add up. Begin with `add_counts`."""

from typing import Any

__all__ = ["add_counts"]


def add_counts(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Add each number of *more* to the one in its place in *into*; what *into* lacks is taken as it is.

    Numbers stand in dicts of dicts, or in lists that have the same length in both.
    """
    for key, value in more.items():
        known = into.get(key)
        if known is None:
            into[key] = value
        elif isinstance(value, dict):
            add_counts(known, value)
        elif isinstance(value, list):
            into[key] = [one + other for one, other in zip(known, value, strict=True)]
        else:
            into[key] = known + value
