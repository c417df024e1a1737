"""The time limit of a request until its first byte: `request_timeout`.

The server periodically checks its running requests and cancels the task of one whose time is over; a limit shorter
than the interval of that sweep has a timer. The time in which the body arrives does not count.
"""

# pyright: reportPrivateUsage=false

import asyncio
import math
from collections.abc import Callable
from typing import Any

from tornado.web import HTTPError

from torngas_aio.handler.lifecycle import LATE, RECEIVING, RETURNED
from torngas_aio.handler.response import ResponseHandler

__all__ = ["check_time_limit", "convert_late_error", "set_timer", "uncancel"]

_Check = Callable[[asyncio.Task[Any], float], float]


def check_time_limit(handler: ResponseHandler, seconds: float | None, task: asyncio.Task[object], now: float) -> float:
    """Cancel *task* if the request's time is over and nothing was sent; return the time of the next check.

    Args:
        seconds: The time limit; None, 0: no limit.
        now: By the loop's clock, as the returned time.
    """
    if handler._method_phase is RETURNED or handler._response_state.has_head or not seconds:
        return math.inf
    if handler._method_phase is RECEIVING or not handler._next_time_check:
        handler._counted_from = now
    if now < handler._counted_from + seconds:
        return handler._counted_from + seconds
    handler._method_phase = LATE
    task.cancel()
    return math.inf


def set_timer(handler: ResponseHandler, check: _Check, seconds: float) -> None:
    """Let a timer, not the server's sweep, call *check* after *seconds* and at each time that it returns."""
    handler._next_time_check = math.inf
    task = asyncio.current_task()
    assert task is not None
    handler._timer = asyncio.get_running_loop().call_later(seconds, _on_time, handler, check, task)


def uncancel() -> int:
    """Undo one cancellation of the current task; return how many remain."""
    task = asyncio.current_task()
    return 0 if task is None else task.uncancel()


def convert_late_error(exc: BaseException, seconds: float | None) -> BaseException:
    """Return the 503 for a cancellation by `check_time_limit`; any other exception unchanged.

    The task then counts as not cancelled, unless other code has cancelled it too.
    """
    remaining = uncancel()
    if remaining or not isinstance(exc, asyncio.CancelledError):
        return exc
    error = HTTPError(503, "The request took more than %g s.", seconds)
    error.__cause__ = exc
    return error


def _on_time(handler: ResponseHandler, check: _Check, task: asyncio.Task[object]) -> None:
    loop = asyncio.get_running_loop()
    again = check(task, loop.time())
    handler._timer = loop.call_at(again, _on_time, handler, check, task) if again < math.inf else None
