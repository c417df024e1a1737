"""The built-in response to a failed request, built from the handler's state.

DEBUG on    source, locals, request, pipeline, routes tried     built in a worker thread; only for this machine or
                                                                a host in ALLOWED_HOSTS, else as without DEBUG
DEBUG off   404.html, error.html of the template directory, else a short page, problem details or text
"""

# pyright: reportPrivateUsage=false

import functools
import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, TracebackType
from typing import Any

import anyio.to_thread
from tornado.web import HTTPError

from torngas_aio.errorpage import ErrorAnswer, public_detail, render_error, render_error_template, wants_html
from torngas_aio.errorpage.report import ErrorInfo
from torngas_aio.exception import TemplateNotFound, error_headers
from torngas_aio.handler.rendering import loader_key
from torngas_aio.handler.response import ADDED_BY_THE_SERVER, ResponseHandler
from torngas_aio.http.request import Request
from torngas_aio.pipeline import Hook
from torngas_aio.settings_manager import settings
from torngas_aio.utils.hosts import LOCAL_HOSTS, Networks, is_host_allowed, parse_host

__all__ = ["hook_headers", "reason_of", "set_error_headers", "write_error_page"]

logger = logging.getLogger("torngas_aio.handler")

_LOOPBACK = Networks(["127.0.0.0/8", "::1"])


_CONTENT_HEADERS = frozenset({"Etag", "Last-Modified", "Cache-Control", "Expires", "Accept-Ranges", "Location"})


def hook_headers(handler: ResponseHandler) -> dict[str, str]:
    """Return the headers of response hooks that also apply to an error page, because the hooks do not run again.

    Examples are those of CORS and security. The request has failed after its response hooks, such as in its commit.
    """
    fields = handler._fields if handler._full_headers is None else handler._full_headers
    names = [name for name in fields if name not in ADDED_BY_THE_SERVER]
    return {name: fields[name] for name in names[handler._run.field_count :] if _applies_to_errors(name, fields[name])}


def _applies_to_errors(name: str, value: str) -> bool:
    if name in _CONTENT_HEADERS or (name.startswith("Content-") and not name.startswith("Content-Security-Policy")):
        return False
    return value.isascii() and value.isprintable()  # any other value may be the cause of the failure


def set_error_headers(handler: ResponseHandler, exc_info: ErrorInfo) -> None:
    """Set the headers of an error of ours, such as `Retry-After`; *exc_info* as in `write_error_page`."""
    seen: set[str] = set()
    for name, value in error_headers(exc_info[1] if exc_info else None):
        (handler.add_header if name.lower() in seen else handler.set_header)(name, value)
        seen.add(name.lower())


def reason_of(kwargs: dict[str, Any]) -> str | None:
    """Return the reason phrase for `send_error`: the error's own, else the given one; None for the standard's."""
    exc_info = kwargs.get("exc_info")
    error = exc_info[1] if exc_info else None
    given: str | None = kwargs.get("reason")
    return error.reason if isinstance(error, HTTPError) and error.reason else given


async def write_error_page(handler: ResponseHandler, status: int, exc_info: ErrorInfo) -> None:
    """Write the built-in response to an error of *handler*.

    Args:
        exc_info: The error in the form of `sys.exc_info()`, None if none was raised.
    """
    answer = await _error_answer(handler, status, exc_info, handler._error_accept())
    handler.set_header("Content-Type", answer.content_type)
    for name, value in answer.headers.items():
        handler.set_header(name, value)
    handler.write(answer.body)


async def _error_answer(handler: ResponseHandler, status: int, exc_info: ErrorInfo, accept: str) -> ErrorAnswer:
    if handler._is_debug and _may_show_debug(handler.request):
        return await anyio.to_thread.run_sync(_debug_answer, handler, status, exc_info, accept)
    if wants_html(accept):
        render = functools.partial(_render, handler)
        detail = public_detail(exc_info)
        own_page = await render_error_template(render, status=status, reason=handler._reason, detail=detail)
        if own_page is not None:
            return own_page
    return render_error(handler=handler, status=status, reason=handler._reason, exc_info=exc_info, accept=accept)


def _may_show_debug(request: Request) -> bool:
    """Return whether the debug page may be shown: to this machine by a local name, or for a host in ALLOWED_HOSTS.

    The client must be this machine, because other machines can reach a server that listens on all addresses. The name
    must be a local one, because a web page can reach this machine under any name that its owner points at it (DNS
    rebinding).
    """
    host = parse_host(request.host or "")
    if host is None:
        return False
    if is_host_allowed(host, (name for name in settings.ALLOWED_HOSTS if name.strip() != "*")):
        return True
    if request.remote_ip in _LOOPBACK and is_host_allowed(host, LOCAL_HOSTS):
        return True
    logger.warning(
        "The debug page is shown to this machine and to hosts named in ALLOWED_HOSTS only, not at %r to %s.",
        host.name,
        request.remote_ip,
    )
    return False


async def _render(handler: ResponseHandler, name: str, values: Mapping[str, object]) -> bytes:
    """Render an error page of the project; a missing template is remembered."""
    absent = handler.application.absent_pages
    key = (loader_key(handler), name)
    if key in absent:
        raise TemplateNotFound(f"No template {name!r}.")
    try:
        page: bytes = await handler._render_plain(name, dict(values))
    except TemplateNotFound as exc:
        if name in str(exc):
            absent.add(key)
        raise
    return page


def _debug_answer(handler: ResponseHandler, status: int, exc_info: ErrorInfo, accept: str) -> ErrorAnswer:
    application = handler.application
    hooks = list(application.pipeline.describe(handler._run.stages))
    is_unrouted = status == 404 and hasattr(handler, "_error_status")  # set by ErrorHandler
    return render_error(
        handler=handler,
        status=status,
        reason=handler._reason,
        exc_info=exc_info,
        is_debug=True,
        accept=accept,
        failed_at=_failed_at(handler, hooks, exc_info),
        pipeline_text=_pipeline_of(handler, hooks),
        routes_tried=application.wildcard_router.candidates(handler.request.path) if is_unrouted else None,
        settings_view=settings.as_dict(),
    )


def _pipeline_of(handler: ResponseHandler, hooks: Sequence[Hook]) -> list[str]:
    """Return one line for each hook, in order, with the handler's method in its place."""
    lines = [_line(hook.stage, hook) for hook in hooks]
    before = sum(hook.stage in {"init", "call", "request"} for hook in hooks)
    lines.insert(before, _line("handler", _method_of(handler)))
    return lines


def _failed_at(handler: ResponseHandler, hooks: Sequence[Hook], exc_info: ErrorInfo) -> str | None:
    """Return the line of the hook or the handler's method in the traceback; None if neither is in it."""
    codes = set(_codes_of(exc_info[2] if exc_info else None))
    for hook in hooks:
        if _code_of(hook.call) in codes:
            return _line(hook.stage, hook)
    method = getattr(type(handler), str(handler.request.method).lower(), None)
    return _line("handler", _method_of(handler)) if _code_of(method) in codes else None


def _line(stage: str, name: object) -> str:
    return f"{stage:<10} {name}"


def _method_of(handler: ResponseHandler) -> str:
    kind = type(handler)
    return f"{kind.__module__}.{kind.__qualname__}.{str(handler.request.method).lower()}"


def _codes_of(traceback: TracebackType | None) -> Iterator[CodeType | None]:
    while traceback is not None:
        yield traceback.tb_frame.f_code
        traceback = traceback.tb_next


def _code_of(function: Any) -> object:
    """Return the code object of *function* without decorators; if there is none, a value unequal to any code."""
    found: object = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", function)
    return found
