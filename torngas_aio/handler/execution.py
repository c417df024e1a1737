"""The execution of one request by its handler: hooks, method, response, errors.

before the method  origin > hooks before the body > body > xsrf > other request hooks > prepare, on_prepare
the method         get/post/...
complete           see `completing`
on error           exception hooks > error page > complete, see `recovery`
always             the request's resources are closed
"""

# pyright: reportPrivateUsage=false

import asyncio
import logging
import math
from collections.abc import Awaitable, Coroutine, Generator
from inspect import isawaitable, unwrap
from types import CoroutineType

from torngas_aio._cleanup import is_imposed
from torngas_aio.handler.completing import Completion, complete_once, plan_next_turn
from torngas_aio.handler.lifecycle import INTERRUPTED, LATE, RETURNED, RUNNING, WATCHED
from torngas_aio.handler.receiving import receive, take_body
from torngas_aio.handler.recovery import answer_error, give_up
from torngas_aio.handler.sending import allowed_methods
from torngas_aio.handler.time_limit import convert_late_error, set_timer, uncancel
from torngas_aio.handler.web import BaseHandler
from torngas_aio.http.body import NO_BODY
from torngas_aio.pipeline import HookCall, PipelineRun
from torngas_aio.routing import Resolved
from torngas_aio.utils.narrowing import class_of

__all__ = ["Watched", "run_handler"]

logger = logging.getLogger("torngas_aio.handler")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def run_handler(  # noqa: C901, PLR0912  PERF: one coroutine for the whole run
    handler: BaseHandler,
    run: PipelineRun,
    resolved: Resolved,
    error: BaseException | None = None,
) -> None:
    """Respond to the request of *handler*, whatever its code raises, including BaseExceptions.

    Args:
        run: The request's pass through the pipeline.
        resolved: The result of the look-up, with the route's arguments.
        error: An exception of a call hook, handled instead of running the method.

    Raises:
        CancelledError: The request's task was cancelled.
        KeyboardInterrupt: The request's code raised it; raised again after the response.
    """
    handler._run = run
    try:
        try:
            if error is not None:
                raise error
            before_method = _start(handler, resolved)
            if before_method is not None:
                await before_method
            if not handler._response_state.is_finished:  # otherwise a hook, or `prepare`, has responded
                waits_for = _begin_method(handler)
                if waits_for is not None:
                    value = await waits_for
                    if value is not None:
                        _take_result(handler, value)
                        value = None  # a returned coroutine is collected now, so that the response becomes a 500
            if not handler._auto_finish and not handler._response_state.is_finished:
                await _wait_until_finished(handler)
            if handler._method_phase is LATE:  # the method has caught the cancellation by its time limit
                uncancel()
            handler._method_phase = RETURNED
            if handler._completion is not None:  # it may still replace the response by an error page
                await complete_once(handler, drains=False)
            if not handler._response_state.is_finished or handler._response_state is INTERRUPTED:
                handler.finish()
        except BaseException as exc:  # the request's boundary: turned into a response and logged
            failure = exc if handler._method_phase is not LATE else convert_late_error(exc, handler._time_limit())
            if is_imposed(failure):
                raise
            handler._method_phase = RETURNED
            await answer_error(handler, failure, may_replace=handler._response_state is INTERRUPTED)
        if handler._response_state.is_pending or handler._completion is not None:  # still to be sent or ended
            await complete_once(handler, drains=False)
    except (asyncio.CancelledError, GeneratorExit) as exc:
        await give_up(handler, exc)
        raise
    finally:
        if handler._timer is not None:
            handler._timer.cancel()
        request = handler.request
        if request.scope is not None:
            request.scope.has_failed = handler._error is not None
            await request.scope.aclose()
        request.handler = None  # breaks a reference cycle
    if handler._interrupt is not None:
        raise handler._interrupt


def _start(handler: BaseHandler, resolved: Resolved) -> Coroutine[object, None, object] | None:
    """Set the time limit and the route's arguments; return a coroutine of what precedes the method, None for nothing.

    Raises:
        HTTPError: The handler lacks the method, or the arguments cannot be decoded.
    """
    request = handler.request
    connection = request.connection
    seconds = handler.request_timeout
    if seconds is None:  # PERF: same as `_time_limit`, without the call
        seconds = handler.application.request_timeout
    if seconds and seconds < getattr(connection, "swept_from", math.inf):  # longer limits are checked by the sweep
        set_timer(handler, handler._check_time_limit, seconds)
    if handler.cancel_on_disconnect:
        handler._task = asyncio.current_task()
    if request.method not in handler.SUPPORTED_METHODS:
        raise handler._not_allowed()
    if resolved.path_args or resolved.path_kwargs:
        handler._take_arguments(resolved)
    else:
        handler.path_args, handler.path_kwargs = [], {}
    stages = handler._run.stages
    if (
        handler._has_prepare_step
        or request.method not in _SAFE_METHODS
        or connection.body is not NO_BODY
        or stages.before_body
    ):
        return _prepare(handler)
    return handler._run.request(handler, stages.request) if stages.request else None  # PERF: one coroutine less


async def _prepare(handler: BaseHandler) -> None:
    """Do everything that precedes the method, until a step has finished the response."""
    request = handler.request
    body = request.connection.body
    is_unsafe = request.method not in _SAFE_METHODS
    reads_body = handler._reads_body
    if (is_unsafe or body is not NO_BODY) and not _has_answer(handler):
        reads_body = handler._stream_request_body = False  # a 405 will follow, the body is not needed
    if is_unsafe:
        handler._check_origin()
    stages = handler._run.stages
    has_ended = bool(stages.before_body) and await _run_before_body(handler, stages.before_body)
    if handler._response_state.is_finished:
        return
    if (
        body is not NO_BODY
        and reads_body
        and (reading := take_body(handler, body, limit=handler.max_body_size, spools=handler.spool_body)) is not None
    ):
        await reading
    if is_unsafe and reads_body and handler.application.settings.get("xsrf_cookies"):
        handler.check_xsrf_cookie()  # the token may be a field of the body
    if stages.request and not has_ended:
        await handler._run.request(handler, stages.request)
    if handler._has_prepare_step and not handler._response_state.is_finished:
        if handler._overrides_prepare:
            await _await_if_needed(handler.prepare())
        await _await_if_needed(handler.on_prepare())
    if handler._stream_request_body and not handler._response_state.is_finished:
        await receive(handler)


def _has_answer(handler: BaseHandler) -> bool:
    """Return whether the class has the request's method, or a `prepare` that may respond instead."""
    return handler._has_prepare_step or handler.request.method in allowed_methods(type(handler))


async def _run_before_body(handler: BaseHandler, hooks: tuple[HookCall, ...]) -> bool:
    """Run the part of the request stage that needs no body; return whether it has ended the stage."""
    request = handler.request
    request.is_body_ahead = True
    try:
        return await handler._run.request(handler, hooks)
    finally:
        request.is_body_ahead = False


def _begin_method(handler: BaseHandler) -> Awaitable[object] | None:
    """Call the method; return an awaitable for its remainder, None if it has returned."""
    result = handler._call_method()
    if handler._run.stages.awaits_after_method and hasattr(result, "send"):
        return _watch(handler, result)
    if result is not None and class_of(result) is not CoroutineType and not isawaitable(result):
        _take_result(handler, result)
        return None
    waits_for: Awaitable[object] | None = result
    return waits_for


def _watch(handler: BaseHandler, method: Coroutine[object, object, object]) -> "Watched | None":
    """Run the coroutine *method* to its first wait; return an awaitable for the rest, None if it has returned."""
    handler._method_phase = WATCHED
    try:
        waits_for = method.send(None)
    except StopIteration as stop:
        if stop.value is not None:
            _take_result(handler, stop.value)
        return None
    return Watched(handler, method, waits_for)


class Watched:
    """An awaitable for the rest of a request's method that acts on each suspension of it.

    A response that the method has finished without awaiting it is completed during the suspension.
    PERF: asking the loop for its next turn at each `finish()` instead costs 1 us a request (benchmarks, middlewares).

    Args:
        method: The method's coroutine.
        waits_for: The result of its `send(None)`.
    """

    __slots__ = ("_handler", "_method", "_waits_for")

    def __init__(self, handler: BaseHandler, method: Coroutine[object, object, object], waits_for: object) -> None:
        self._handler = handler
        self._method = method
        self._waits_for = waits_for

    def __await__(self) -> Generator[object, object, object]:
        handler, method, waits_for = self._handler, self._method, self._waits_for
        try:
            while True:
                if handler._response_state.is_pending:
                    plan_next_turn(handler)
                try:
                    sent = yield waits_for
                except GeneratorExit:
                    method.close()
                    raise
                except BaseException as exc:  # noqa: BLE001  a cancellation, or an error of the awaited object
                    waits_for = method.throw(exc)
                else:
                    waits_for = method.send(sent)
        except StopIteration as stop:
            return stop.value


def _take_result(handler: BaseHandler, value: object) -> None:
    """Use the method's return value; a `Completion` need not be awaited and is ignored."""
    if isinstance(value, Completion) or handler._use_result(value) or not handler._is_debug:
        return
    method = getattr(handler, str(handler.request.method).lower())
    code = getattr(unwrap(method), "__code__", None)
    place = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
    logger.warning(
        "%s%s returned %.80r, which is dropped. Answer with self.write() or self.finish(); a method of an "
        "ApiHandler that has written nothing answers with what it returns.",
        method.__qualname__, place, value,
    )  # fmt: skip


async def _wait_until_finished(handler: BaseHandler) -> None:
    """Wait for a later `finish()` by other code, or until the client leaves."""
    if handler._method_phase is WATCHED:
        handler._method_phase = RUNNING
    handler._task = None
    handler._finish_waiter = asyncio.get_running_loop().create_future()
    await handler._finish_waiter


async def _await_if_needed(result: Awaitable[object] | None) -> object:
    return result if result is None else await result
