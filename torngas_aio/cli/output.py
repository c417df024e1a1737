"""Tables and file positions, as text. Begin with `table`."""

import contextlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["place_of", "shortened", "table"]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return *rows* under *header*, each column as wide as its widest cell; the last one as long as it is."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )


def place_of(function: Any) -> str:
    """Return file and line where *function* or a class is written; "?" where Python knows no source."""
    try:
        found = inspect.unwrap(function)
        path, line = inspect.getsourcefile(found), inspect.getsourcelines(found)[1]
    except (TypeError, OSError):
        return "?"
    return shortened(f"{path}:{line}")


def shortened(place: str) -> str:
    """Return *place* (a path and a line) relative to the current directory where it lies under it."""
    path, _, line = place.rpartition(":")
    with contextlib.suppress(ValueError):
        path = str(Path(path).relative_to(Path.cwd()))
    return f"{path}:{line}" if path else place
