"""Tables and file positions, as text. Begin with `table`."""

import inspect
from collections.abc import Sequence
from typing import Any

from torngas_aio._project_errors import shortened

__all__ = ["place_of", "table"]


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
