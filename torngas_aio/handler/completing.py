"""When a response is completed: at once, when awaited, at the next turn of the loop, or at the end.

    complete   deferred body > response hooks > resources are settled > bytes are sent
    afterwards endcall hooks > on_finish > complete_finish

`finish()` fixes the response when it is called. If nothing must be awaited before the bytes are sent, they are sent
in that call. Otherwise the first of these completes it: the caller that awaits the `Completion`, the next turn of the
loop when the method suspends, or `execution.run_handler` when the method has returned. For the states see `lifecycle`.
"""

# pyright: reportPrivateUsage=false

import asyncio
import functools
import logging
from collections.abc import Awaitable, Coroutine, Generator, Iterator
from typing import Any

from torngas_aio._cleanup import is_imposed
from torngas_aio.context import Outcome, RequestScope
from torngas_aio.exception import Unawaited
from torngas_aio.handler.lifecycle import ANY_TASK, FLUSHING, RETURNED, SENT, WATCHED
from torngas_aio.handler.recovery import answer_error, answer_unsent
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.handler.sending import refuse_body, run_afterwards

__all__ = [
    "COMPLETED",
    "Completion",
    "answers_unawaited",
    "complete_once",
    "has_left",
    "has_work",
    "plan",
    "plan_next_turn",
    "run_response_stage",
    "settle",
    "take_unawaited",
]

logger = logging.getLogger("torngas_aio.handler")

_NOTHING: Iterator[object] = iter(())


class Completion(Awaitable[None]):
    """A response, or a part of it, being completed; returned by `finish()`, `render()`, `flush()` and similar methods.

    Awaiting it, once or several times, completes the response in the caller's task. Otherwise the response is completed
    when the handler next yields to the loop, or returns.
    """

    __slots__ = ("_handler",)

    def __init__(self, handler: ResponseHandler) -> None:
        self._handler = handler

    def __await__(self) -> Generator[object, None, None]:
        return complete_once(self._handler, drains=True).__await__()


class _Completed(Completion):
    """A response that has been sent, with no hook to run after it.

    PERF: one shared instance: no object and no coroutine for each response (benchmarks, plain).
    """

    __slots__ = ()

    def __init__(self) -> None:
        """Skip the base class: it belongs to no handler."""

    def __await__(self) -> Iterator[Any]:  # type: ignore[override]  # an empty iterator: nothing to await
        return _NOTHING


COMPLETED: Completion = _Completed()


def has_work(handler: ResponseHandler) -> bool:
    """Return whether something must be done before the first byte is sent."""
    if handler._deferred is not None or (handler._run.stages.response and not handler._run.has_responded):
        return True
    request = handler.request
    scope = request.scope
    return (scope is not None and scope.must_settle) or request.unawaited is not None


def take_unawaited(handler: ResponseHandler, error: Unawaited) -> bool:
    """Record *error*, a coroutine that was not awaited, for a 500 response; return False if it is only to be logged.

    The response is 500 in DEBUG and with ATOMIC_REQUESTS, unless the request has already failed or its head was sent.
    """
    request = handler.request
    if handler._error is not None or handler._response_state.has_head or not answers_unawaited(handler):
        return False
    earlier = request.unawaited
    if earlier is None:
        request.unawaited = error
    elif str(error) not in str(earlier):
        earlier.args = (f"{earlier}\n{error}",)
    return True


def answers_unawaited(handler: ResponseHandler) -> bool:
    """Return whether an un-awaited coroutine fails the request; an un-awaited finish then waits for the method."""
    if handler._status_code == 101:  # the method returns only when the socket closes
        return False
    scope = handler.request.scope
    return handler.application.is_debug or (scope is not None and scope.waits_for_method)


def plan(handler: ResponseHandler) -> None:
    """Schedule the completion for the next turn of the loop, unless it happens before."""
    if handler._method_phase is not WATCHED and handler._method_phase is not RETURNED:
        plan_next_turn(handler)


def plan_next_turn(handler: ResponseHandler) -> None:
    """Do the same as `plan` when the method is watched and is about to wait."""
    if handler._response_state is SENT and handler._status_code == 101:
        return  # the endcall hooks run when the socket closes
    if handler._next_turn is None and handler._completion is None:
        handler._next_turn = asyncio.get_running_loop().call_soon(_on_next_turn, handler)


def complete_once(handler: ResponseHandler, *, drains: bool) -> Coroutine[object, None, None]:
    """Return a coroutine that completes everything pending: itself, or by waiting for the task that already does.

    Args:
        drains: Finally wait until the transport's buffer is below its high-water mark.
    """
    if handler._completion is None and handler._hooks_owner is None:
        return _complete(handler, drains=drains)
    return _join_completion(handler, drains=drains)


def run_response_stage(handler: ResponseHandler) -> Coroutine[object, None, None]:
    """Run the steps before the first byte; an error becomes the response, on which the remaining steps run."""
    stage = _response_stage(handler, handler._hooks_owner)
    # While a method still runs, only the hooks may change the response.
    handler._hooks_owner = ANY_TASK if handler._method_phase is RETURNED else stage
    return stage


async def _response_stage(handler: ResponseHandler, outer: Any) -> None:
    request = handler.request
    run = handler._run
    try:
        if request.unawaited is not None:
            _raise_unawaited(handler)
        while (deferred := handler._deferred) is not None:  # an override may defer to the base class
            handler._deferred = None
            await deferred()
            handler._makes_error_page = False
        if run.stages.response:
            refuse_body(handler)
            await run.response(handler, handler._write_buffer)
        if request.unawaited is not None:  # created by a template or a response hook
            _raise_unawaited(handler)
        scope = request.scope
        if scope is not None and scope.must_settle:
            await handler._settle(scope)
    except BaseException as exc:  # the request's boundary: turned into a response and logged
        if is_imposed(exc):
            handler._response_state = handler._response_state.after["interrupt"]
            raise
        handler._hooks_owner = outer
        await answer_error(handler, exc, may_replace=True)
    finally:
        handler._hooks_owner = outer


async def settle(handler: ResponseHandler, scope: RequestScope) -> None:
    """Settle the request's resources: transactions, then the session."""
    await scope.settle(Outcome(handler, handler._error, handler._method_phase is RETURNED))


def _raise_unawaited(handler: ResponseHandler) -> None:
    request = handler.request
    error, request.unawaited = request.unawaited, None
    assert error is not None
    if handler._error is None and answers_unawaited(handler):
        raise error
    logger.error("%s", error)


def _on_next_turn(handler: ResponseHandler) -> None:
    handler._next_turn = None
    if not handler._response_state.is_pending or handler._completion is not None or handler._hooks_owner is not None:
        return
    scope = handler.request.scope
    if (
        scope is not None
        and scope.waits_for_method
        and handler._response_state.is_finished
        and handler._method_phase is not RETURNED
    ):
        return  # ATOMIC_REQUESTS: `execution.run_handler` completes it when the method has returned
    # Owned by `run_handler`, which awaits it. A real task: timeouts and cancel scopes in hooks need one.
    handler._completion = asyncio.get_running_loop().create_task(_complete(handler))
    handler._completion.add_done_callback(functools.partial(_completion_ended, handler))


def _completion_ended(handler: ResponseHandler, completion: asyncio.Task[None]) -> None:
    handler._completion = None
    if not completion.cancelled() and completion.exception() is not None:
        logger.error("Completing a response failed.", exc_info=completion.exception())


async def _join_completion(handler: ResponseHandler, *, drains: bool) -> None:
    if handler._completion is None or handler._completion is asyncio.current_task() or handler._is_in_hook():
        drains = drains and handler._response_state.has_head  # else called by a hook: its caller completes
    else:
        await asyncio.shield(handler._completion)
        await _complete(handler, drains=False)
    if drains:
        await handler.request.connection.drained()


async def _complete(handler: ResponseHandler, *, drains: bool = False) -> None:
    """Do the next step of the response's state until nothing is pending."""
    if handler._next_turn is not None:
        handler._next_turn.cancel()
        handler._next_turn = None
    while (state := handler._response_state).is_pending:
        if state is SENT:
            await run_afterwards(handler)
        elif has_work(handler):
            await run_response_stage(handler)
        elif state is FLUSHING:
            handler._response_state = state.after["reopen"]  # an invalid head is not sent twice
            handler._send_part(include_footers=False)
        else:
            try:
                handler._is_drained = handler._send_last()
            except BaseException as exc:  # noqa: BLE001  the request's boundary: turned into a response and logged
                await answer_unsent(handler, exc)
    if drains and not handler._is_drained:
        await handler.request.connection.drained()


def has_left(written: Any) -> bool:
    """Return whether *written*, the result of a connection's `write`, is a future that has succeeded."""
    is_done = isinstance(written, asyncio.Future) and written.done() and not written.cancelled()
    return is_done and written.exception() is None
