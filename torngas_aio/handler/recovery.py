"""The response to a request that failed, was cancelled or has lost its client.

error       exception hooks > error page, which replaces a response whose head has not been sent
unsent      a response with an invalid head: error page > plain text > connection aborted
cancelled   a bare 503 if nothing was sent yet > endcall hooks
closed      the connection is aborted; nothing is awaited any more
"""

# pyright: reportPrivateUsage=false

import asyncio
import functools
import logging
from contextlib import suppress

from tornado import httputil
from tornado.iostream import StreamClosedError
from tornado.web import Finish, HTTPError

from torngas_aio import exception
from torngas_aio._cleanup import close_safely
from torngas_aio._unawaited import note_unawaited
from torngas_aio.context import error_sink
from torngas_aio.exception import BaseError
from torngas_aio.handler.lifecycle import ENDED
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.handler.sending import log_response, run_afterwards
from torngas_aio.http.base import BodyError, ClientGone
from torngas_aio.http.response import refuse
from torngas_aio.logger import OutageLog, outage_key

__all__ = ["answer_error", "answer_unsent", "cut_off", "give_up", "report_error"]

logger = logging.getLogger("torngas_aio.handler")
_outages = OutageLog(logger)

_AFTERWARDS_SECONDS = 5.0
"""How long the endcall hooks of a cancelled request may take."""


async def answer_error(handler: ResponseHandler, exc: BaseException, *, may_replace: bool = False) -> None:
    """Run the exception hooks for *exc* and respond to it, unless a response is settled already.

    Args:
        may_replace: The error was raised by the completion of the response, which it replaces.
    """
    if isinstance(exc, (ClientGone, StreamClosedError)):
        logger.debug("The client left %s.", handler._request_summary())
        await _end_without_answer(handler)
    elif isinstance(exc, Finish):
        if not handler._response_state.is_finished:
            handler.finish(*exc.args)
    else:
        exc = handler._error = _as_http_error(exc)
        note_unawaited(exc, handler.request.unawaited)
        if may_replace and not handler._response_state.is_sent:
            handler._response_state = handler._response_state.after["reopen"]
        await report_error(handler, exc)
        if handler._response_state.is_finished:
            return
        if handler._response_state.has_head:
            _log_cut(handler, exc)
            log_response(handler)
            await _end_without_answer(handler)
        else:
            _send_error_page(handler, exc)


def _log_cut(handler: ResponseHandler, exc: BaseException) -> None:
    text, outage = "%s failed after its header was sent: the connection is cut.", outage_key(exc)
    if outage is None:
        logger.error(text, handler._request_summary())
    else:  # clients of streams reconnect repeatedly
        _outages.report(outage, text, handler._request_summary())


async def answer_unsent(handler: ResponseHandler, exc: BaseException) -> None:
    """Replace a response whose head is invalid by an error page, else by a plain text."""
    handler._failed_sends += 1
    handler._new_cookie = None  # a cookie may be the invalid part
    if handler._failed_sends == 1 or handler._response_state.has_head:
        await answer_error(handler, exc, may_replace=True)
    elif handler._failed_sends == 2:
        logger.error("The error page of %s could not be sent.", type(handler).__qualname__, exc_info=exc)
        _respond_plainly(handler, 500)
    else:
        await _end_without_answer(handler)


async def report_error(handler: ResponseHandler, exc: BaseException) -> None:
    """Run the exception hooks, then log the error unless a hook has responded or ended the stage."""
    handler._note_interrupt(exc)
    if not handler._response_state.is_finished and not handler._response_state.has_head:
        handler._write_buffer = []
        handler._deferred = None
    sink = error_sink.get()
    if sink is not None:
        sink.append(exc)
    was_finished = handler._response_state.is_finished
    if handler._run.stages.exception and await handler._run.exception(handler, (type(exc), exc, exc.__traceback__)):
        return
    if was_finished or not handler._response_state.is_finished:
        _log_error(handler, exc)


def cut_off(handler: ResponseHandler) -> None:
    """Abort the connection if its response is incomplete: nothing more can be sent."""
    handler._response_state = handler._response_state.after["release"]
    handler._deferred = None
    connection = handler.request.connection
    if not connection.is_finished:
        connection.abort()


async def give_up(handler: ResponseHandler, exc: BaseException) -> None:
    """End a request whose task was cancelled: hooks have a time limit, and every resource is closed."""
    if isinstance(exc, GeneratorExit):
        _abandon(handler)
        return
    if handler._next_turn is not None:
        handler._next_turn.cancel()
    completion = handler._completion
    if completion is not None and not completion.done():
        completion.cancel()
        await asyncio.wait([completion])
    handler._error = handler._error or exc
    connection = handler.request.connection
    if not handler._response_state.has_head and not connection.is_finished:
        handler._status_code, handler._reason = 503, "Service Unavailable"
        handler._response_state = handler._response_state.after["release"]
        refuse(connection, 503, is_head=handler.request.method == "HEAD")
        log_response(handler)
    elif not handler._response_state.is_sent:
        cut_off(handler)
    if handler._response_state is not ENDED:
        await close_safely("endcall hooks", functools.partial(run_afterwards, handler), _AFTERWARDS_SECONDS)


def _log_error(handler: ResponseHandler, exc: BaseException) -> None:
    try:
        handler.log_exception(type(exc), exc, exc.__traceback__)
    except BaseException as failure:  # a boundary: the client still needs a response
        handler._note_interrupt(failure)
        logger.exception("log_exception() of %s failed.", type(handler).__qualname__)


def _send_error_page(handler: ResponseHandler, exc: BaseException) -> None:
    if handler._makes_error_page:  # this error is the error page's own
        logger.error("The error page of %s failed.", type(handler).__qualname__)
        _respond_plainly(handler, 500)
        return
    try:
        handler.send_error(_status_of(exc), exc_info=(type(exc), exc, exc.__traceback__))
        handler._makes_error_page = handler._deferred is not None
    except BaseException as failure:  # a boundary: the client still needs a response
        handler._note_interrupt(failure)
        logger.exception("The error page of %s failed.", type(handler).__qualname__)
        if handler._response_state.has_head:
            cut_off(handler)
        else:
            _respond_plainly(handler, _status_of(exc))


def _respond_plainly(handler: ResponseHandler, status: int) -> None:
    """Settle a plain-text response with only the status."""
    handler._response_state = handler._response_state.after["reopen"]
    handler.clear()
    handler._deferred = None
    handler.set_status(status)
    handler.set_header("Content-Type", "text/plain; charset=UTF-8")
    handler.finish(f"{status} {handler._reason}\n")


async def _end_without_answer(handler: ResponseHandler) -> None:
    """Abort the connection and run the endcall hooks, if no response can be sent."""
    cut_off(handler)
    if handler._response_state is not ENDED:
        await run_afterwards(handler)


def _abandon(handler: ResponseHandler) -> None:
    """End a request whose coroutine is closed from outside: nothing can be awaited, so no response is sent."""
    if handler._next_turn is not None:
        handler._next_turn.cancel()
    with suppress(RuntimeError):  # the loop has been closed
        cut_off(handler)
    scope = handler.request.scope
    if scope is not None:
        scope.abandon()


def _as_http_error(exc: BaseException) -> BaseException:
    """Convert errors caused by the request itself to the matching HTTP error."""
    if isinstance(exc, httputil.HTTPInputError):
        error: HTTPError = exception.HTTPError(400, "%s", exc)  # the message is shown to the client
    elif isinstance(exc, BodyError):
        error = exception.HTTPError(exc.status, "%s", exc)
    elif isinstance(exc, BaseError) and _status_of(exc) < 500:
        error = HTTPError(_status_of(exc), "%s", exc)
    else:
        return exc
    error.__cause__ = exc
    return error.with_traceback(exc.__traceback__)


def _status_of(exc: BaseException) -> int:
    if isinstance(exc, HTTPError):
        return exc.status_code if 200 <= exc.status_code <= 999 else 500  # 1xx is not a final response
    if isinstance(exc, BaseError):
        return int(getattr(exc, "status_code", 500))
    return 500
