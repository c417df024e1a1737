"""Reading a request's body for its handler: at once, into a temporary file, or in parts."""

# pyright: reportPrivateUsage=false

import asyncio
from collections.abc import Awaitable
from typing import Any

from torngas_aio.context import scope_of
from torngas_aio.handler.lifecycle import RECEIVING, RUNNING
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.http.spool import Spool
from torngas_aio.utils.numbers import parse_whole

__all__ = ["receive", "take_body", "wait_for_client"]


def take_body(handler: ResponseHandler, body: Any, *, limit: int | None, spools: bool) -> Awaitable[None] | None:
    """Read *body* for the method, unless the handler reads it in parts; return an awaitable, or None if it is done.

    PERF: no coroutine if the body has arrived already (benchmarks, form).

    Args:
        limit: The largest body in bytes; None: the server's limit.
        spools: Keep a large body in a temporary file.

    Raises:
        BodyError: It is too large, malformed, or did not arrive in time.
        ClientGone: The client left before the end of the body.
    """
    if limit is not None:
        handler.request.connection.set_max_body_size(limit)
    if handler._stream_request_body:
        return None
    if spools:
        return _spool(handler, body)
    if body.is_complete:
        handler.request.body = body.data
        return None
    return _read(handler, body)


async def receive(handler: ResponseHandler) -> None:
    """Pass the body to `data_received` in parts; raises as `take_body`."""
    body = handler.request.connection.body
    while chunk := await wait_for_client(handler, body.read_chunk()):
        result = handler.data_received(chunk)
        if result is not None:
            await result


async def _read(handler: ResponseHandler, body: Any) -> None:
    handler.request.body = await wait_for_client(handler, body.read_all())


async def _spool(handler: ResponseHandler, body: Any) -> None:
    request = handler.request
    headers = request.header_view
    is_unpacked = headers.get("X-Consumed-Content-Encoding", "")  # Content-Length is then not the size of the body
    spool = Spool(announced=0 if is_unpacked else parse_whole(headers.get("Content-Length", "")) or 0)
    scope_of(request).add(Spool, spool, close=spool.aclose, close_now=spool.close_now)
    while chunk := await wait_for_client(handler, body.read_chunk()):
        await spool.write(chunk)
    await request.take_spool(spool)


async def wait_for_client(handler: ResponseHandler, reading: Awaitable[bytes]) -> bytes:
    """Return the result of *reading*; the time until then does not count for the time limit."""
    handler._method_phase = RECEIVING
    try:
        return await reading
    finally:
        if handler._method_phase is RECEIVING:
            handler._method_phase = RUNNING
        handler._counted_from = asyncio.get_running_loop().time()
