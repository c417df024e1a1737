"""The frames of a traceback: source around the line, the expression that failed, the local names.

A frame of a template shows the template's lines. Begin with `frames_of`.
"""

import functools
import itertools
import linecache
import site
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from torngas_aio.errorpage.masking import Showing, mask_text
from torngas_aio.template.position import TemplatePlace, place_of_frame

__all__ = ["FrameReport", "SourceLine", "frame_of_place", "frames_of"]

_AROUND = 6
_MAX_LOCALS = 40
_OUTER, _INNER = 15, 45


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of source.

    Attributes:
        span: Start and end of the expression that failed, in characters; None on other lines.
    """

    number: int
    text: str
    is_current: bool
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class FrameReport:
    """One call of a traceback.

    Attributes:
        kind: `project`, `library` or `template`.
        omitted: How many frames were left out between this one and the next.
    """

    file: str
    line: int
    function: str
    kind: str
    source: list[SourceLine]
    local_names: list[tuple[str, str]]
    omitted: int = 0


def frames_of(traceback: TracebackType | None, showing: Showing) -> list[FrameReport]:
    """Return the frames, innermost first; of very many, the outermost and the innermost."""
    entries: list[TracebackType] = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    omitted = max(0, len(entries) - _OUTER - _INNER)
    kept = entries if not omitted else entries[:_OUTER] + entries[-_INNER:]
    reports = []
    # Innermost first, so that the budget for showing values is spent where it matters.
    for index, entry in enumerate(reversed(kept)):
        reports.append(_frame(entry, showing, omitted if omitted and index == _INNER - 1 else 0))
    return reports


def frame_of_place(file: str, line: int, kind: str) -> FrameReport:
    """Return a frame for a line that no call reached: where a file does not parse."""
    linecache.checkcache(file)
    return FrameReport(file, line, "", kind or _kind(file), _source(linecache.getlines(file), line, None), [])


def _frame(entry: TracebackType, showing: Showing, omitted: int) -> FrameReport:
    frame, line = entry.tb_frame, entry.tb_lineno
    place = _place(entry)
    if place is not None:
        source, file, line, kind = _source(place.source, place.line, None), str(place.path), place.line, "template"
    else:
        file = frame.f_code.co_filename
        lines = linecache.getlines(file, frame.f_globals)
        source, kind = _source(lines, line, _span(entry, lines)), _kind(file)
    shown = {name: value for name, value in frame.f_locals.items() if not _is_noise(name, kind)}
    names = showing.items(dict(itertools.islice(shown.items(), _MAX_LOCALS)))
    return FrameReport(file, line, frame.f_code.co_name, kind, source, names, omitted)


def _is_noise(name: str, kind: str) -> bool:
    """Whether a name is the machinery's: of template engines, or Python's own."""
    return name.startswith(("__", "_tt_", "@")) or (kind == "template" and name in _ENGINE_NAMES)


_ENGINE_NAMES = frozenset({"context", "cycler", "dict", "joiner", "lipsum", "namespace", "pageargs", "range"})


def _place(entry: TracebackType) -> TemplatePlace | None:
    try:
        return place_of_frame(entry.tb_frame, entry.tb_lineno)
    except Exception:  # noqa: BLE001 - reads other libraries' tables; the page must come without them too
        return None


def _source(lines: list[str], line: int, span: tuple[int, int] | None) -> list[SourceLine]:
    first = max(1, line - _AROUND)
    found = [text.rstrip("\r\n")[:500] for text in lines[first - 1 : line + _AROUND]]
    masked = mask_text("\n".join(found)).split("\n")  # together: a value may go on over several lines
    source = []
    for number, (text, shown) in enumerate(zip(found, masked, strict=False), first):  # found may be empty
        is_marked = number == line and shown == text  # masking moves the characters that the span counts
        source.append(SourceLine(number, shown, number == line, span if is_marked else None))
    return source


def _span(entry: TracebackType, lines: list[str]) -> tuple[int, int] | None:
    positions = next(itertools.islice(entry.tb_frame.f_code.co_positions(), entry.tb_lasti // 2, None), None)
    if positions is None or not 0 < entry.tb_lineno <= len(lines):
        return None
    line, end_line, start, end = positions
    if line != entry.tb_lineno or start is None or end is None or line is None:
        return None
    raw = lines[line - 1].rstrip("\r\n").encode()
    stop = end if end_line == line else len(raw)
    return len(raw[:start].decode(errors="replace")), len(raw[:stop].decode(errors="replace"))


@functools.cache
def _library_roots() -> tuple[str, ...]:
    package = str(Path(__file__).parent.parent)
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (package, *(path for path in {*paths, *site.getsitepackages()} if path), "<")


def _kind(file: str) -> str:
    return "library" if file.startswith(_library_roots()) else "project"
