"""The debug report as plain text and as JSON (RFC 9457 problem details).

Begin with `debug_text`.
"""

from collections.abc import Iterator
from typing import Any

from torngas_aio.errorpage.masking import printable
from torngas_aio.errorpage.report import ErrorReport, ExceptionReport

__all__ = ["debug_problem", "debug_text"]


def debug_text(report: ErrorReport) -> str:
    """Return the report as text, to be read in a terminal or pasted into a bug report."""
    return printable("\n".join(_lines(report)) + "\n")


def debug_problem(report: ErrorReport) -> dict[str, Any]:
    """Return the report as problem details, with what DEBUG adds; local values are left out."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": report.reason,
        "status": report.status,
        "detail": report.detail,
        "failed_at": report.failed_at,
        "exceptions": [
            {
                "type": error.kind,
                "message": error.message,
                "relation": error.relation,
                "traceback": [f"{frame.file}:{frame.line} {frame.function}" for frame in error.frames],
            }
            for error in report.exceptions
        ],
        "routes_tried": [pattern for pattern, _, _ in report.routes],
    }
    return {name: value for name, value in problem.items() if value or name == "status"}


def _lines(report: ErrorReport) -> Iterator[str]:
    yield f"{report.status} {report.reason}"
    yield f"{report.method} {report.url}"
    if report.failed_at:
        yield f"failed in: {report.failed_at}"
    for error in report.exceptions:
        yield ""
        yield from _exception_lines(error)
    if not report.exceptions and report.detail:
        yield report.detail
    for title, lines in (
        ("Routes tried, the nearest first", ["  ".join(filter(None, route)) for route in report.routes]),
        ("Pipeline", [f"{'>>' if failed else '  '} {line}" for line, failed in report.pipeline]),
        *((name, [f"{key}: {text}" for key, text in items]) for name, items in report.request.items()),
    ):
        if lines:
            yield from ("", title, *(f"  {line}" for line in lines))
    yield ""
    yield report.versions


def _exception_lines(error: ExceptionReport) -> Iterator[str]:
    if error.relation:
        yield error.relation
    yield f"{error.kind}: {error.message}"
    yield from error.notes
    for frame in error.frames:
        yield f"  {frame.file}:{frame.line} {frame.function}"
        yield from (f"      {line.text.strip()}" for line in frame.source if line.is_current)
        if frame.omitted:
            yield f"  ... {frame.omitted} frames left out"
