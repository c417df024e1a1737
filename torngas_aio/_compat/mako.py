"""The source lines of a Mako template's generated module."""

import sys
from typing import Any

__all__ = ["template_line"]


def template_line(module: str, line: int) -> int | None:
    """Return the template's line for *line* of the generated *module*; None if Mako is not in use."""
    mako: Any = sys.modules.get("mako.template")
    if mako is None:
        return None
    info = mako._get_module_info(module)
    lines = mako.ModuleInfo.get_module_source_metadata(info.code, full_line_map=True)["full_line_map"]
    return int(lines[min(line, len(lines)) - 1]) if lines else 1
