"""Passing a settled response to the server.

    lean     one call, `Exchange.respond`: status, fields and body in one write
    general  Tornado's transforms, then `write_headers`, `write`, `finish`: for streams, compression and
             code that has accessed `handler._headers`

Both send the same bytes for the same response. Afterwards endcall hooks, `on_finish` and `complete_finish` run.
"""

# pyright: reportPrivateUsage=false

import functools
import logging
from collections.abc import Coroutine
from typing import Any

from tornado import httputil
from tornado.web import RequestHandler

from torngas_aio._cleanup import is_imposed
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.http.response import BODILESS, check_length
from torngas_aio.logger import OutageLog

__all__ = ["allowed_methods", "log_response", "refuse_body", "run_afterwards", "send_last", "send_part"]

logger = logging.getLogger("torngas_aio.handler")
_outages = OutageLog(logger)

_REPRESENTATION = ("Content-Encoding", "Content-Language", "Content-Type")
_HASHED_METHODS = ("GET", "HEAD")

_NOT_ALLOWED = 405


def allowed_methods(handler_class: type[RequestHandler]) -> tuple[str, ...]:
    """Return the methods that *handler_class* implements; to others Tornado's base class responds with 405."""
    return _allowed_methods(handler_class)  # type: ignore[arg-type]  # classes are hashable


@functools.lru_cache(1024)
def _allowed_methods(handler_class: type[RequestHandler]) -> tuple[str, ...]:
    unimplemented = RequestHandler.get
    return tuple(
        name for name in handler_class.SUPPORTED_METHODS if getattr(handler_class, name.lower()) is not unimplemented
    )


def send_last(handler: ResponseHandler) -> bool:
    """Pass the rest of the response to the server, which ends the exchange.

    Returns:
        Whether the transport's buffer is below its high-water mark; False also if unknown.

    Raises:
        TypeError: A response hook has put something other than bytes into the body.
    """
    state = handler._response_state
    if state.is_sent:
        return False
    request = handler.request
    is_drained = False
    if not state.has_head:
        _complete_headers(handler)
    if state.has_head or handler._full_headers is not None or handler._transforms:
        handler._send_part(include_footers=True)
        request.connection.finish()
        state = handler._response_state
    else:
        try:
            body = b"".join(handler._write_buffer)  # PERF: no call
        except TypeError as exc:
            raise _part_error(handler) from exc
        is_lean = handler._new_cookie is None and not handler._added
        fields = handler._fields.items() if is_lean else handler._all_fields()  # PERF: no call for most
        is_drained = request.connection.respond(
            handler._status_code, handler._reason, fields, body, request.method == "HEAD"
        )
        # Not before: if the head is invalid, the response stays open for an error page.
        handler._write_buffer = []
    handler._response_state = state.after["send"]
    log_response(handler)
    return is_drained


def send_part(handler: ResponseHandler, include_footers: bool) -> Any:
    """Send the buffer the general way: through Tornado's transforms and `HTTPConnection` methods.

    Returns:
        The result of the connection's `write`; None if it was not called.

    Raises:
        HTTPOutputError: A header cannot be sent, or the body contradicts Content-Length.
        TypeError: As `send_last`.
    """
    connection = handler.request.connection
    try:
        chunk = b"".join(handler._write_buffer)
    except TypeError as exc:
        raise _part_error(handler) from exc
    is_head = handler.request.method == "HEAD"
    if handler._response_state.has_head:
        handler._write_buffer = []
        for transform in handler._transforms:
            chunk = transform.transform_chunk(chunk, include_footers)
        return connection.write(chunk) if chunk and not is_head else None
    status = handler._status_code
    try:
        headers = handler._headers
        for transform in handler._transforms:
            status, headers, chunk = transform.transform_first_chunk(status, headers, chunk, include_footers)
        cookies: dict[str, Any] = handler._new_cookie or {}
        for cookie in cookies.values():
            headers.add("Set-Cookie", cookie.OutputString(None))
    except httputil.HTTPInputError as exc:  # HTTPHeaders reports them as a client's error
        raise httputil.HTTPOutputError(str(exc)) from exc
    check_length(status, headers.get("Content-Length"), chunk, is_head=is_head, is_whole=include_footers)
    start_line = httputil.ResponseStartLine("", status, handler._reason)
    connection.write_headers(start_line, headers, b"" if is_head else chunk)
    handler._response_state = handler._response_state.after["begin"]
    handler._write_buffer = []
    return None


def refuse_body(handler: ResponseHandler) -> None:
    """Raise if a body was written for a status that forbids one.

    Raises:
        RuntimeError: There is a body.
    """
    if handler._status_code in BODILESS and any(handler._write_buffer):
        raise RuntimeError(f"Cannot send body with status code HTTP{handler._status_code}")


def log_response(handler: ResponseHandler) -> None:
    """Let the application log a response that was sent or abandoned."""
    try:
        handler.application.log_request(handler)
    except BaseException as exc:  # a boundary: the project's `log_function`; the response has been sent
        handler._note_interrupt(exc)
        logger.exception("log_request() failed.")


def run_afterwards(handler: ResponseHandler) -> Coroutine[object, None, object]:
    """Run the endcall hooks, `on_finish` and `complete_finish`, once, after the response was sent or abandoned."""
    handler._response_state = handler._response_state.after["end"]
    if handler._has_finish_hooks:
        return _run_finish_hooks(handler)
    return handler._run.endcall(handler)  # PERF: one coroutine less (benchmarks, middlewares)


async def _run_finish_hooks(handler: ResponseHandler) -> None:
    if handler._run.stages.endcall:
        await handler._run.endcall(handler)
    try:
        handler.on_finish()
        result = handler.complete_finish()
        if result is not None:
            await result
    except BaseException as exc:  # a boundary: the response has been sent, an error page is impossible
        if is_imposed(exc):
            raise
        handler._note_interrupt(exc)
        _outages.report_error(exc, "complete_finish() or on_finish() of %s failed.", type(handler).__qualname__)


def _complete_headers(handler: ResponseHandler) -> None:
    """Add the headers that depend on the complete response: ETag, Content-Length."""
    wants_etag = handler.application.use_etag if handler.use_etag is None else handler.use_etag
    if (wants_etag or handler._has_own_etag) and handler._status_code == 200:
        _add_etag(handler)
    hooked = handler._run.stages.response
    status = handler._status_code
    # SPEC: RFC 9110 15.5.6
    if status == _NOT_ALLOWED and not handler._has_header("Allow"):
        allowed = ", ".join(allowed_methods(type(handler)))
        handler._while_changing(functools.partial(handler.set_header, "Allow", allowed))
    if status in BODILESS:
        if hooked:
            handler._write_buffer = []  # drop what hooks append to every body
        refuse_body(handler)
        if handler._full_headers is None and not handler._added:
            pop = handler._fields.pop  # PERF: -1.5 us (benchmarks, static-304)
            for name in _REPRESENTATION:
                pop(name, None)
        else:
            handler._while_changing(functools.partial(_clear_representation, handler))
    elif (
        handler._full_headers is None
        and not handler._transforms
        and not (hooked and "Content-Length" in handler._fields)
    ):
        return  # PERF: the server sets Content-Length
    elif not handler._has_header("Content-Length") or (hooked and handler.request.method != "HEAD"):
        # A length set before the response hooks ran may be wrong now.
        length = sum(map(len, handler._write_buffer))
        handler._while_changing(functools.partial(handler.set_header, "Content-Length", length))


def _part_error(handler: ResponseHandler) -> TypeError:
    parts: list[Any] = handler._write_buffer
    kinds = {type(part).__name__ for part in parts if not isinstance(part, bytes)}
    return TypeError(f"A response hook put a {', '.join(sorted(kinds))} into `chunk`, which holds bytes: write b'...'.")


def _clear_representation(handler: ResponseHandler) -> None:
    for name in _REPRESENTATION:
        handler.clear_header(name)


def _add_etag(handler: ResponseHandler) -> None:
    if handler.request.method not in _HASHED_METHODS or handler._has_header("Etag"):
        return

    def change() -> None:
        handler.set_etag_header()
        if handler.check_etag_header():
            handler._write_buffer = []
            handler.set_status(304)

    handler._while_changing(change)
