"""Where in a template an error happened: its file and line, not those of the Python made from it.

    Tornado   every generated line ends in a comment with template and line
    Mako      its modules carry a table of lines
    Jinja2    has put the template's own lines into the traceback already

Begin with `place_of_frame`.
"""

import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from torngas_aio.template._tornado_code import template_line

__all__ = ["TemplatePlace", "place_of_frame"]


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
        """The file's lines, empty when it cannot be read any more."""
        linecache.checkcache(str(self.path))
        return linecache.getlines(str(self.path))


def place_of_frame(frame: FrameType, line: int) -> TemplatePlace | None:
    """Return the template line behind *line* of *frame*, None when the frame is no template's."""
    names = frame.f_globals
    if "__jinja_exception__" in names:
        return TemplatePlace("Jinja2", Path(frame.f_code.co_filename), line)
    if "_tt_path_of" in names:
        return _tornado_place(names, line)
    if "_template_filename" in names and "_magic_number" in names:
        return _mako_place(names, line)
    return None


def _tornado_place(names: dict[str, Any], line: int) -> TemplatePlace | None:
    found = template_line(names["__loader__"].get_source(names["__name__"]), line)
    return None if found is None else TemplatePlace("Tornado", Path(names["_tt_path_of"](found[0])), found[1])


def _mako_place(names: dict[str, Any], line: int) -> TemplatePlace | None:
    mako: Any = sys.modules.get("mako.template")
    if mako is None:
        return None
    info = mako._get_module_info(names["__name__"])
    lines = mako.ModuleInfo.get_module_source_metadata(info.code, full_line_map=True)["full_line_map"]
    at = lines[min(line, len(lines)) - 1] if lines else 1
    return TemplatePlace("Mako", Path(names["_template_filename"]), at)
