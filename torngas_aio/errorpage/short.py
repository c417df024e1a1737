"""What a visitor is told with DEBUG off: the status, its phrase, and nothing of the inside.

The page is laid out by attributes of HTML, without any style: a site's Content-Security-Policy would forbid that.
Begin with `short_html`.
"""

from html import escape
from http import HTTPStatus
from typing import Any

__all__ = ["problem", "short_html", "short_text"]

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


def short_html(status: int, reason: str, reference: str, detail: str = "") -> str:
    """Return a short page.

    Args:
        reference: A request id, which helps to find the error in the log; may be empty.
        detail: What the error says to the visitor; "" for a sentence that fits the status.
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
    """Return the same as text."""
    told = f": {detail}" if detail else ""
    return f"{status} {reason}{told}{f' (reference: {reference})' if reference else ''}\n"


def problem(status: int, reason: str, detail: str, reference: str) -> dict[str, Any]:
    """Return problem details. SPEC: RFC 9457 3.1; with `about:blank` the title is the status's phrase."""
    found: dict[str, Any] = {"type": "about:blank", "title": reason, "status": status}
    words = detail or (HTTPStatus(status).description if status in set(HTTPStatus) else "")
    if words:
        found["detail"] = words
    if reference:
        found["request_id"] = reference
    return found
