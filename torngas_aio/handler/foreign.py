"""Requests for handlers of plain Tornado, and for other delegates of its interface.

    request ─► feed_delegate ─► headers_received, data_received, finish ─► make_foreign_handler ─► Tornado's own run

Only the call hooks apply to these requests; they have run before.
"""

# pyright: reportPrivateUsage=false

import logging
from collections.abc import Awaitable, Callable
from http.client import responses
from typing import Any

from tornado import web
from tornado.httputil import HTTPInputError, HTTPMessageDelegate, RequestStartLine

from torngas_aio._cleanup import is_imposed
from torngas_aio._compat.tornado import answer_exception, has_header, wrap_execution
from torngas_aio.context import scope_of
from torngas_aio.handler.sending import allowed_methods
from torngas_aio.http.base import BodyError, ClientGone
from torngas_aio.http.request import Request

__all__ = ["feed_delegate", "make_foreign_handler"]

logger = logging.getLogger("torngas_aio.application")


async def feed_delegate(delegate: HTTPMessageDelegate, request: Request, handler_class: Any) -> None:
    """Pass the request to a delegate of Tornado's interface, including its body.

    Args:
        handler_class: The handler behind the delegate, for its `max_body_size`; None if unknown.
    """
    connection = request.connection
    limit = getattr(handler_class, "max_body_size", None)
    if limit is not None:
        connection.set_max_body_size(limit)
    try:
        line = RequestStartLine(request.method or "", request.uri or "", request.version)
        await _await_result(delegate.headers_received(line, request.headers))
        if not _refuses(handler_class, line.method):
            while chunk := await connection.body.read_chunk():
                await _await_result(delegate.data_received(chunk))
        delegate.finish()
    except ClientGone:
        delegate.on_connection_close()
        await scope_of(request).aclose()
    except BaseException as exc:
        if is_imposed(exc):
            raise
        status = exc.status if isinstance(exc, BodyError) else 400 if isinstance(exc, HTTPInputError) else 500
        if status == 500:
            logger.exception("A request to a foreign handler failed: %r", request)
        delegate.on_connection_close()
        if not connection.is_finished:
            connection.respond(status, responses[status], (("Connection", "close"),), b"", False)
        await scope_of(request).aclose()
        if isinstance(exc, KeyboardInterrupt):
            raise


def make_foreign_handler(target_class: type[web.RequestHandler], *args: Any, **kwargs: Any) -> web.RequestHandler:
    """Return a plain Tornado handler with our `Allow` header; the request's resources close when its method returns."""
    handler = target_class(*args, **kwargs)
    set_status = handler.set_status

    def set_status_and_allow(status_code: int, reason: str | None = None) -> None:
        set_status(status_code, reason)
        if status_code == 405 and not has_header(handler, "Allow"):
            handler.set_header("Allow", ", ".join(allowed_methods(target_class)))

    async def execute_and_close(execute: Callable[..., Awaitable[None]], *args: Any, **kwargs: Any) -> None:
        try:
            await execute(*args, **kwargs)
        except BaseException as exc:  # Tornado's `_execute` handles only `Exception`
            if is_imposed(exc):
                raise
            answer_exception(handler, exc)
            if isinstance(exc, KeyboardInterrupt):
                raise
        finally:
            await scope_of(handler.request).aclose()

    wrap_execution(handler, execute_and_close)
    handler.set_status = set_status_and_allow  # type: ignore[method-assign]
    return handler


def _refuses(handler_class: type[web.RequestHandler] | None, method: str) -> bool:
    """Return whether a plain Tornado handler responds with 405 without needing the body."""
    return (
        handler_class is not None
        and handler_class.prepare is web.RequestHandler.prepare
        and method not in allowed_methods(handler_class)
    )


async def _await_result(result: Any) -> None:
    if result is not None:
        await result
