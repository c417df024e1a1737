"""The known name that a misspelt one was perhaps meant to be, for messages. Begin with `did_you_mean`."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: object, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the one of *known* that is most like *name*, None where none is.

    Args:
        likeness: From 0 to 1; names that are less alike do not count.
    """
    return next(iter(difflib.get_close_matches(str(name), list(known), 1, likeness)), None)


def did_you_mean(name: object, known: Iterable[str], otherwise: str = "", likeness: float = 0.6) -> str:
    """Return ` Did you mean 'near'?`, to follow a sentence about *name*; *otherwise* where nothing known is like it."""
    near = nearest(name, known, likeness)
    return otherwise if near is None else f" Did you mean {near!r}?"
