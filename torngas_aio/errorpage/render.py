"""The response to a failed request: a page, a text or problem details, according to `Accept`.

DEBUG on    the whole report                              html  json  text
DEBUG off   the project's 404.html, 500.html, error.html  html
            else the status and a sentence                html  json  text
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tornado.web import RequestHandler

from torngas_aio import _json
from torngas_aio.errorpage.html import CONTENT_SECURITY_POLICY, debug_html
from torngas_aio.errorpage.report import ErrorInfo, report_of
from torngas_aio.errorpage.text import debug_problem, debug_text, problem, short_html, short_text
from torngas_aio.exception import HTTPError, InvalidJson, TemplateNotFound
from torngas_aio.logger.loggers import request_id_of
from torngas_aio.utils.narrowing import is_dict, is_list
from torngas_aio.utils.numbers import parse_quality

__all__ = [
    "ErrorAnswer",
    "preferred",
    "public_detail",
    "render_error",
    "render_error_template",
    "wants_html",
    "weight_of",
]


def preferred(accept: str, offers: Sequence[str]) -> str:
    """Return the offer with the highest weight in *accept*; the first offer if none is accepted or it is empty.

    The weight of an offer is that of the most specific matching range. SPEC: RFC 9110 12.5.1.
    """
    ranges = [weight_of(part) for part in accept[:4096].split(",") if part.strip()]
    best, weight = offers[0], 0.0
    for offer in offers:
        found = max((one for one in ranges if _fits(one[0], offer)), key=lambda one: _specificity(one[0]), default=None)
        if found is not None and found[1] > weight:
            best, weight = offer, found[1]
    return best


def weight_of(part: str) -> tuple[str, float]:
    """Return name and weight of one element of an Accept or Accept-Encoding field; the default weight is 1.0."""
    name, _, parameters = part.partition(";")
    weight = 1.0
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            weight = parse_quality(value.strip()) or 0.0
    return name.strip().lower(), weight


def _fits(range_: str, offer: str) -> bool:
    return range_ in {"*/*", offer} or (range_.endswith("/*") and offer.startswith(range_[:-1]))


def _specificity(range_: str) -> int:
    return 0 if range_ == "*/*" else 1 if range_.endswith("/*") else 2


logger = logging.getLogger("torngas_aio.errorpage")

_HTML = "text/html"
_PROBLEM = "application/problem+json"
_JSON = "application/json"
_TEXT = "text/plain"
_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}  # as for successful JSON responses
_OFFERS = (_HTML, _PROBLEM, _JSON, _TEXT)


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The body of an error response and its headers.

    Attributes:
        content_type: Value of `Content-Type`.
        headers: Additional headers.
    """

    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def render_error(
    *,
    handler: RequestHandler,
    status: int,
    reason: str,
    exc_info: ErrorInfo = None,
    is_debug: bool = False,
    accept: str = "",
    failed_at: str | None = None,
    pipeline_text: Sequence[str] = (),
    routes_tried: Iterable[object] | None = None,
    settings_view: Mapping[str, object] | None = None,
) -> ErrorAnswer:
    """Return the response to a failed request. Depends only on its arguments and never raises.

    Args:
        handler: The handler; its request is shown.
        exc_info: Result of `sys.exc_info()`; None for an error that was not raised.
        is_debug: Return the debug page.
        accept: The client's `Accept`; `application/problem+json` for handlers that always respond with JSON.
        failed_at: The hook or stage that failed, as it appears in a line of *pipeline_text*.
        pipeline_text: One line for each hook, in order.
        routes_tried: For a 404: objects with `pattern`, `handler_class` and `name`, most similar first.
        settings_view: Settings by name; secrets are masked here.
    """
    wanted = preferred(accept, _OFFERS)
    if is_debug:
        try:
            return _debug_answer(
                wanted,
                handler=handler,
                status=status,
                reason=reason,
                exc_info=exc_info,
                failed_at=failed_at,
                pipeline_text=pipeline_text,
                routes_tried=routes_tried,
                settings_view=settings_view or {},
            )
        except Exception:  # a boundary: an error page that fails must not hide the error
            logger.exception("The debug page could not be made; the short page is answered.")
    return _short_answer(wanted, handler, status, reason, exc_info)


def wants_html(accept: str) -> bool:
    """Return whether `render_error` would choose HTML for this `Accept`."""
    return preferred(accept, _OFFERS) == _HTML


async def render_error_template(
    render: Callable[[str, Mapping[str, Any]], Awaitable[bytes]],
    *,
    status: int,
    reason: str,
    reference: str = "",
    detail: str = "",
) -> ErrorAnswer | None:
    """Return the project's page for *status*; None if there is none or its rendering fails.

    Tries `404.html` (by status), then `error.html`, in the template directory. Their values are `status`,
    `status_code`, `reason`, `detail` (the error's public text, or "") and `request_id`.

    Args:
        render: Renders a template with values; raises `TemplateNotFound` if it does not exist.
    """
    values = {"status": status, "status_code": status, "reason": reason, "request_id": reference, "detail": detail}
    for name in (f"{status}.html", "error.html"):
        try:
            return ErrorAnswer("text/html; charset=UTF-8", await render(name, values))
        except TemplateNotFound as exc:
            if repr(name) not in str(exc):  # the page exists, but a template that it references does not
                logger.exception("Error page %r failed; the built-in page is answered.", name)
                return None
        except Exception:  # a boundary: the error is logged, the visitor gets the built-in page
            logger.exception("Error page %r failed; the built-in page is answered.", name)
            return None
    return None


def _debug_answer(wanted: str, *, status: int, reason: str, exc_info: ErrorInfo, **details: Any) -> ErrorAnswer:
    report = report_of(status=status, reason=reason, exc_info=exc_info, **details)
    if wanted == _TEXT:
        return ErrorAnswer("text/plain; charset=UTF-8", debug_text(report).encode())
    if wanted in {_PROBLEM, _JSON}:
        found = debug_problem(report)
        found.pop("detail", None)
        found |= problem(status, reason, public_detail(exc_info), "") | _members(exc_info)  # as with DEBUG off
        return ErrorAnswer(_PROBLEM, _json.dumps(_without_surrogates(found)), _NO_SNIFFING)
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return ErrorAnswer("text/html; charset=UTF-8", debug_html(report).encode(), headers)


def _short_answer(wanted: str, handler: RequestHandler, status: int, reason: str, exc_info: ErrorInfo) -> ErrorAnswer:
    reference = _reference(handler, status)
    detail = public_detail(exc_info)
    if wanted == _TEXT:
        return ErrorAnswer("text/plain; charset=UTF-8", short_text(status, reason, reference, detail).encode())
    if wanted in {_PROBLEM, _JSON}:
        found = problem(status, reason, detail, reference) | _members(exc_info)
        return ErrorAnswer(_PROBLEM, _json.dumps(found), _NO_SNIFFING)
    return ErrorAnswer("text/html; charset=UTF-8", short_html(status, reason, reference, detail).encode())


def public_detail(exc_info: ErrorInfo) -> str:
    """Return the public text of an error, unescaped; "" for errors whose message is not public."""
    error = exc_info[1] if exc_info else None
    for found in (error, getattr(error, "__cause__", None)):
        if isinstance(found, InvalidJson):
            return str(found)
        if isinstance(found, HTTPError):
            return found.public_text
    return ""


def _members(exc_info: ErrorInfo) -> _json.JsonObject:
    return dict(getattr(exc_info[1] if exc_info else None, "problem_members", {}))


def _reference(handler: RequestHandler, status: int) -> str:
    """Return the request id, which finds the error in the log; "" for client errors, which need none."""
    return request_id_of(handler.request) if status >= 500 else ""


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if is_list(value):
        return [_without_surrogates(item) for item in value]
    if is_dict(value):
        return {name: _without_surrogates(item) for name, item in value.items()}
    return value
