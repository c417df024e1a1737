"""The template file and line of an error, in place of those of the generated Python; and the calls that rendered it.

    Tornado   every generated line ends in a comment with template and line
    Mako      its modules contain a table of lines
    Jinja2    rewrites tracebacks to the template's lines itself

If a page is rendered after its handler has returned, the traceback lacks the handler's lines. So `callers` records them
when the rendering is requested, and `add_callers` adds them when it fails.
"""

import linecache
import os
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from torngas_aio._compat import mako
from torngas_aio.template._tornado_code import template_line

__all__ = ["Callers", "TemplatePlace", "add_callers", "callers", "place_of_frame"]

Callers = list[tuple[CodeType, int]]
"""Code and line of calls, innermost first."""

_MAX_CALLERS = 5
_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"


@dataclass(frozen=True, slots=True)
class TemplatePlace:
    """One line of a template.

    Attributes:
        engine: `Tornado`, `Jinja2` or `Mako`.
        path: The template's file.
        line: Counted from 1.
    """

    engine: str
    path: Path
    line: int

    @property
    def source(self) -> list[str]:
        """The file's lines; empty if it can no longer be read."""
        linecache.checkcache(str(self.path))
        return linecache.getlines(str(self.path))


def place_of_frame(frame: FrameType, line: int) -> TemplatePlace | None:
    """Return the template line for *line* of *frame*; None if the frame does not belong to a template."""
    names = frame.f_globals
    if "__jinja_exception__" in names:
        return TemplatePlace("Jinja2", Path(frame.f_code.co_filename), line)
    if "_tt_path_of" in names:
        return _tornado_place(names, line)
    if "_template_filename" in names and "_magic_number" in names:
        return _mako_place(names, line)
    return None


def callers(frame: FrameType | None) -> Callers:
    """Return the project's calls that led to *frame*, up to the call by torngas_aio."""
    found: Callers = []
    while frame is not None and len(found) < _MAX_CALLERS and not frame.f_code.co_filename.startswith(_PACKAGE):
        found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return found


def add_callers(error: BaseException, found: Callers) -> None:
    """Add a note to *error* with the lines that rendered the template, for tracebacks and the debug page."""
    lines = ["The template was rendered from:"]
    for code, number in reversed(found):
        lines.append(f'  File "{code.co_filename}", line {number}, in {code.co_name}')
        if text := linecache.getline(code.co_filename, number).strip():
            lines.append(f"    {text}")
    if found:
        error.add_note("\n".join(lines))


def _tornado_place(names: dict[str, Any], line: int) -> TemplatePlace | None:
    found = template_line(names["__loader__"].get_source(names["__name__"]), line)
    return None if found is None else TemplatePlace("Tornado", Path(names["_tt_path_of"](found[0])), found[1])


def _mako_place(names: dict[str, Any], line: int) -> TemplatePlace | None:
    at = mako.template_line(names["__name__"], line)
    return None if at is None else TemplatePlace("Mako", Path(names["_template_filename"]), at)
