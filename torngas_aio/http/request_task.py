"""The task that serves one request, in its own context, and the handling of the application's errors."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, NoReturn

from torngas_aio.http.exchange import HTTPExchange
from torngas_aio.http.request import Request
from torngas_aio.http.request_parser import PlainHead
from torngas_aio.http.server_state import ServerState

__all__ = ["start_request"]

logger = logging.getLogger("torngas_aio.http")


# Not on 3.12: before 3.12.5 `Task.get_coro()` of such a task crashes once it has ended (python/cpython#122332).
_AT_ONCE: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 13) else {}


def start_request(
    server_state: ServerState, connection: object, exchange: HTTPExchange, head: PlainHead, *, at_once: bool
) -> None:
    """Start serving a request, in a task that *server_state* owns until it ends.

    Args:
        at_once: Run the task eagerly up to its first wait (Python 3.13); must be False within another request's task.
    """
    request = Request((head.method, head.target, head.version), head.raw, exchange, connection)
    if head.length:
        request.about_body = head.about_body
        if head.is_gzipped and exchange.body.unpacks:
            request.note_unpacking()
    context_for = server_state.context_for
    context = server_state.context.copy() if context_for is None else context_for(request)
    loop = server_state.loop
    answering = _answer(server_state, request, exchange)
    if loop.get_task_factory() is not None:
        # `asyncio.eager_task_factory` runs the task at once: not in another request's task or a transport's callback
        loop.call_soon(_create_task, server_state, request, answering, context)
        return
    if not (at_once and _AT_ONCE):
        server_state.running[request] = loop.create_task(answering, context=context)
        return
    # PERF: most requests never wait: no turn of the loop and no task to schedule: -1 us (benchmarks, plain)
    try:
        task = asyncio.Task(answering, loop=loop, context=context, **_AT_ONCE)
    except (KeyboardInterrupt, SystemExit) as exc:
        loop.call_soon(_raise, exc)  # to end the loop; its transports would treat it as a connection error
        return
    if not task.done():
        server_state.running[request] = task


def _create_task(
    server_state: ServerState, request: Request, answering: Coroutine[object, None, None], context: Context
) -> None:
    task = server_state.loop.create_task(answering, context=context)
    if not task.done():
        server_state.running[request] = task


def _raise(exc: BaseException) -> NoReturn:
    raise exc


async def _answer(server_state: ServerState, request: Request, exchange: HTTPExchange) -> None:
    try:
        await server_state.serve(request)
    except (asyncio.CancelledError, GeneratorExit):
        exchange.abort()
        raise
    except KeyboardInterrupt:
        exchange.refuse(500, "The application failed.")
        raise
    except BaseException:  # an application's error must not reach the loop
        logger.exception("The application failed to respond to a request.")
        exchange.refuse(500, "The application failed.")
    finally:
        server_state.running.pop(request, None)
        if server_state.resting is not None:  # PERF: no call for it: -0.05 us a request (benchmarks, plain)
            server_state.notice_rest()
