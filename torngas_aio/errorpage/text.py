"""The debug report as plain text and as JSON (RFC 9457 problem details)."""

from collections.abc import Iterator
from html import escape
from http import HTTPStatus

from torngas_aio._json import JsonObject
from torngas_aio.errorpage.masking import printable
from torngas_aio.errorpage.report import ErrorReport, ExceptionReport

__all__ = ["debug_problem", "debug_text", "problem", "short_html", "short_text"]
_WORDS = {
    400: "The request could not be understood.",
    401: "Please sign in first.",
    403: "You may not see this page.",
    404: "There is no page at this address.",
    405: "This address does not take that kind of request.",
    408: "The request took too long to arrive.",
    413: "What was sent is too large.",
    429: "Too many requests; please wait a moment.",
    500: "Something went wrong on our side.",
    502: "A server behind this one did not answer properly.",
    503: "The service is busy or being looked after; please try again soon.",
    504: "A server behind this one did not answer in time.",
}
_PROBLEM_WORDS = _WORDS | {403: "This is not allowed.", 404: "There is nothing at this address."}


def short_html(status: int, reason: str, reference: str, detail: str = "") -> str:
    """Return a short page.

    Args:
        reference: A request id, to find the error in the log; may be empty.
        detail: The error's public text; "": a sentence for the status.
    """
    words = detail or _WORDS.get(status, _WORDS[500] if status >= 500 else "")
    found = f"<p>Reference: <code>{escape(reference)}</code></p>" if reference else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{status} {escape(reason)}</title></head>"
        '<body><table align="center" width="90%"><tr><td align="center" valign="middle">'
        f'<font face="system-ui, sans-serif"><h1><font size="7">{status}</font><br>{escape(reason)}</h1>'
        f"<p>{escape(words)}</p>{found}</font></td></tr></table></body></html>\n"
    )


def short_text(status: int, reason: str, reference: str, detail: str = "") -> str:
    """Return the content of `short_html` as text."""
    suffix = f": {detail}" if detail else ""
    return f"{status} {reason}{suffix}{f' (reference: {reference})' if reference else ''}\n"


def problem(status: int, reason: str, detail: str, reference: str) -> JsonObject:
    """Return problem details. SPEC: RFC 9457 3.1; with `about:blank` the title is the status's phrase."""
    found: JsonObject = {"type": "about:blank", "title": reason, "status": status}
    words = (
        detail or _PROBLEM_WORDS.get(status) or (HTTPStatus(status).description if status in set(HTTPStatus) else "")
    )
    if words:
        found["detail"] = words
    if reference:
        found["request_id"] = reference
    return found


def debug_text(report: ErrorReport) -> str:
    """Return the report as text, for a terminal or a bug report."""
    return printable("\n".join(_lines(report)) + "\n")


def debug_problem(report: ErrorReport) -> JsonObject:
    """Return the report as problem details with additional debug members; without local values."""
    problem: JsonObject = {
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
        "inspected_at": report.inspected_at,
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
