"""Have the files behind a compiled template changed?

Begin with `FileWatch`.
"""

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FileWatch"]


class FileWatch:
    """The state of some files at one moment.

    Args:
        paths: The template's own file, those it extends and those it includes.
    """

    __slots__ = ("_seen",)

    def __init__(self, paths: Iterable[Path]) -> None:
        self._seen = tuple((os.fspath(path), _stamp(os.fspath(path))) for path in paths)

    def __add__(self, other: "FileWatch") -> "FileWatch":
        both = FileWatch(())
        both._seen = self._seen + other._seen
        return both

    def has_changed(self) -> bool:
        """Whether any of the files was changed, replaced or removed since."""
        return any(_stamp(path) != stamp for path, stamp in self._seen)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - PERF: a third of Path.stat(), at each load
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
