"""The task that answers one request, in a context of its own, and what an error of the application leads to."""

import asyncio
import logging

from torngas_aio.http.exchange import HTTPExchange
from torngas_aio.http.request import Request
from torngas_aio.http.request_parser import PlainHead
from torngas_aio.http.server_state import ServerState

__all__ = ["start_request"]

logger = logging.getLogger("torngas_aio.http")


def start_request(server_state: ServerState, connection: object, exchange: HTTPExchange, head: PlainHead) -> None:
    """Start answering a request, in a task that *server_state* keeps until it ends."""
    request = Request((head.method, head.target, head.version), head.raw, exchange, connection)
    if head.length:
        request.about_body = head.about_body
        if exchange.body.unpacks:
            request.note_unpacking()
    context_for = server_state.context_for
    context = server_state.context.copy() if context_for is None else context_for(request)
    task = server_state.loop.create_task(_answer(server_state, request, exchange), context=context)
    server_state.running[request] = task


async def _answer(server_state: ServerState, request: Request, exchange: HTTPExchange) -> None:
    try:
        await server_state.serve(request)
    except (asyncio.CancelledError, GeneratorExit):
        exchange.abort()
        raise
    except KeyboardInterrupt:
        exchange.refuse(500, "The application failed.")
        raise
    except BaseException:  # a boundary: an application's error must not reach the loop
        logger.exception("The application failed to answer a request.")
        exchange.refuse(500, "The application failed.")
    finally:
        server_state.running.pop(request, None)
        if server_state.resting is not None:  # PERF: no call for it: -0.05 us a request (benchmarks, plain)
            server_state.notice_rest()
