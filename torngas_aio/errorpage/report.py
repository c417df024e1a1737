"""The content of a debug page about one error, as plain text values.

    exception ── cause, context, members of a group     ExceptionReport
                     └── frames: source, locals          FrameReport
    request, settings, pipeline, routes                  ErrorReport

All values are masked and cut here, so that HTML, text and JSON cannot show more than the report contains.
"""

import functools
import itertools
import linecache
import platform
import site
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote_plus

import tornado
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from torngas_aio._version import __version__
from torngas_aio.errorpage.masking import MASK, Showing, is_secret, mask_text
from torngas_aio.exception import TemplateSyntaxError
from torngas_aio.template.position import TemplatePlace, place_of_frame
from torngas_aio.utils.narrowing import is_group, is_list

__all__ = [
    "ErrorInfo",
    "ErrorReport",
    "ExceptionReport",
    "FrameReport",
    "SourceLine",
    "frame_of_place",
    "frames_of",
    "items_of_request",
    "masked_url",
    "report_of",
]
ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None
"""The result of `sys.exc_info()`; None for an error that was not raised."""

_AROUND = 6
_MAX_LOCALS = 40
_OUTER, _INNER = 15, 45


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of source.

    Attributes:
        span: Start and end column of the failed expression, in characters; None on other lines.
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
        omitted: Number of frames omitted between this one and the next.
    """

    file: str
    line: int
    function: str
    kind: str
    source: list[SourceLine]
    local_names: list[tuple[str, str]]
    omitted: int = 0


def frames_of(traceback: TracebackType | None, showing: Showing) -> list[FrameReport]:
    """Return the frames, innermost first; of more than 60, the 45 innermost and the 15 outermost."""
    entries: list[TracebackType] = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    omitted = max(0, len(entries) - _OUTER - _INNER)
    kept = entries if not omitted else entries[:_OUTER] + entries[-_INNER:]
    reports: list[FrameReport] = []
    # Innermost first, so that the time budget goes to the most relevant values.
    for index, entry in enumerate(reversed(kept)):
        reports.append(_frame(entry, showing, omitted if omitted and index == _INNER - 1 else 0))
    return reports


def frame_of_place(file: str, line: int, kind: str) -> FrameReport:
    """Return a frame for a line without a call, such as that of a syntax error."""
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
    """Return whether a name is internal to a template engine or to Python."""
    return name.startswith(("__", "_tt_", "@")) or (kind == "template" and name in _ENGINE_NAMES)


_ENGINE_NAMES = frozenset({"context", "cycler", "dict", "joiner", "lipsum", "namespace", "pageargs", "range"})


def _place(entry: TracebackType) -> TemplatePlace | None:
    try:
        return place_of_frame(entry.tb_frame, entry.tb_lineno)
    except Exception:  # noqa: BLE001 - a boundary: reads private tables of other libraries
        return None


def _source(lines: list[str], line: int, span: tuple[int, int] | None) -> list[SourceLine]:
    first = max(1, line - _AROUND)
    found = [text.rstrip("\r\n")[:500] for text in lines[first - 1 : line + _AROUND]]
    masked = mask_text("\n".join(found)).split("\n")  # at once: a value may span several lines
    source: list[SourceLine] = []
    for number, (text, shown) in enumerate(zip(found, masked, strict=False), first):  # found may be empty
        is_marked = number == line and shown == text  # masking changes the columns
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


_MAX_EXCEPTIONS = 12
Items = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ExceptionReport:
    """One exception of the chain.

    Attributes:
        kind: Its class, with the module unless it is a builtin.
        message: Its message, masked.
        relation: Its relation to the previous one on the page; empty for the first.
        frames: Innermost first.
        notes: The notes added by `add_note`.
    """

    kind: str
    message: str
    relation: str
    frames: list[FrameReport]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The whole content of a debug page. Pairs are name and text, masked but not escaped.

    Attributes:
        inspected_at: URL of the request in the inspector; "" if it is not recorded.
    """

    status: int
    reason: str
    title: str
    detail: str
    method: str
    url: str
    failed_at: str | None
    exceptions: list[ExceptionReport] = field(default_factory=list[ExceptionReport])
    request: dict[str, Items] = field(default_factory=dict[str, Items])
    settings: Items = field(default_factory=list[tuple[str, str]])
    pipeline: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    routes: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    versions: str = ""
    inspected_at: str = ""


def report_of(
    *,
    handler: RequestHandler,
    status: int,
    reason: str,
    exc_info: ErrorInfo,
    failed_at: str | None,
    pipeline_text: Sequence[str],
    routes_tried: Iterable[Any] | None,
    settings_view: Mapping[str, Any],
) -> ErrorReport:
    """Return the report; see `render_error` for the arguments."""
    showing = Showing()
    # If no route matched, the routes tried are shown instead of a traceback of framework code.
    error = exc_info[1] if exc_info and routes_tried is None else None
    exceptions = _chain(error, showing) if error is not None else []
    request = handler.request
    return ErrorReport(
        status=status,
        reason=reason,
        title=exceptions[0].kind if exceptions and status >= 500 else f"{status} {reason}",
        detail=exceptions[0].message if exceptions else _PHRASES.get(status, ""),
        method=str(request.method),
        url=masked_url(request),
        failed_at=failed_at,
        exceptions=exceptions,
        request={"Route": _route_items(handler, showing), **items_of_request(request, showing)},
        settings=showing.items(settings_view),
        pipeline=_pipeline(pipeline_text, failed_at),
        routes=[_route(route) for route in routes_tried or ()],
        versions=f"torngas_aio {__version__} · Tornado {tornado.version} · Python {platform.python_version()}",
        inspected_at=getattr(request, "inspected_at", ""),
    )


_PHRASES = {status.value: status.description for status in HTTPStatus}


def _chain(error: BaseException, showing: Showing) -> list[ExceptionReport]:
    """Return *error* and the exceptions that it came from, each once; members of a group follow the group."""
    found: list[ExceptionReport] = []
    seen: set[int] = set()
    waiting: list[tuple[BaseException, str]] = [(error, "")]
    while waiting and len(found) < _MAX_EXCEPTIONS:
        current, relation = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        found.append(_exception(current, relation, showing))
        if is_group(current):
            waiting += [(member, "One of the group's exceptions:") for member in current.exceptions]
        if current.__cause__ is not None:
            waiting.append((current.__cause__, "It was raised from:"))
        elif current.__context__ is not None and not current.__suppress_context__:
            waiting.append((current.__context__, "It happened while this was being handled:"))
    return found


def _exception(error: BaseException, relation: str, showing: Showing) -> ExceptionReport:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    frames = frames_of(error.__traceback__, showing)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        is_template = isinstance(error, TemplateSyntaxError)
        frames.insert(0, frame_of_place(error.filename, error.lineno, "template" if is_template else ""))
    notes: object = getattr(error, "__notes__", None)
    shown = [showing.message(note) for note in notes[:10]] if is_list(notes) else []
    return ExceptionReport(name, showing.message(error), relation, frames, shown)


def items_of_request(request: HTTPServerRequest, showing: Showing, *, with_body: bool = True) -> dict[str, Items]:
    """Return the data of *request* by group, without empty groups.

    Args:
        with_body: Include the body arguments, which parses the body.
    """
    groups: dict[str, Items] = {
        "Query": _arguments(_parsed(request, "query_arguments"), showing),
        "Body": _arguments(_parsed(request, "body_arguments"), showing) if with_body else [],
        "Headers": [(name, _header(name, value)) for name, value in request.headers.get_all()],
        "Cookies": [(name, MASK) for name in _parsed(request, "cookies")],
        "Connection": [
            ("remote address", str(request.remote_ip)),
            ("protocol", f"{request.version} over {request.protocol}"),
            ("host", str(request.host)),
        ],
    }
    return {name: items for name, items in groups.items() if items}


def _route_items(handler: RequestHandler, showing: Showing) -> Items:
    return [
        ("handler", f"{type(handler).__module__}.{type(handler).__qualname__}"),
        *((str(number), showing.text(value)) for number, value in enumerate(getattr(handler, "path_args", ()), 1)),
        *showing.items(getattr(handler, "path_kwargs", None) or {}),
    ]


def _parsed(request: HTTPServerRequest, name: str) -> Any:
    try:
        return getattr(request, name) or {}
    except Exception:  # noqa: BLE001 - a boundary: an invalid query or body may be the error shown
        return {}


def _arguments(arguments: Mapping[str, Sequence[bytes]], showing: Showing) -> Items:
    texts = {name: [value.decode("utf-8", "replace") for value in values] for name, values in arguments.items()}
    return showing.items({name: values[0] if len(values) == 1 else values for name, values in texts.items()})


def _header(name: str, value: str) -> str:
    return MASK if is_secret(name) else Showing().text(value)[1:-1]


def masked_url(request: HTTPServerRequest) -> str:
    """Return path and query of *request*; values with secret names are masked."""
    if not request.query:
        return str(request.path)
    shown: list[str] = []
    for pair in request.query.split("&"):
        name, equals, value = pair.partition("=")
        shown.append(f"{name}{equals}{MASK if value and is_secret(unquote_plus(name)) else value}")
    return f"{request.path}?{'&'.join(shown)}"


def _pipeline(lines: Sequence[str], failed_at: str | None) -> list[tuple[str, bool]]:
    return [(line, bool(failed_at) and str(failed_at) in line) for line in lines]


def _route(route: object) -> tuple[str, str, str]:
    kind = getattr(route, "handler_class", None)
    where = "" if kind is None else f"{kind.__module__}.{kind.__qualname__}"
    return str(getattr(route, "pattern", route)), where, str(getattr(route, "name", None) or "")
