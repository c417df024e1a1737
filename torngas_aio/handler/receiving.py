"""How the body of a request gets to its handler: at once, into a temporary file, or part by part."""

# pyright: reportPrivateUsage=false

import asyncio
from collections.abc import Awaitable
from typing import Any

from torngas_aio.context import scope_of
from torngas_aio.handler.completing import COMPLETED
from torngas_aio.handler.lifecycle import RECEIVING, RUNNING
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.http.spool import Spool
from torngas_aio.utils.numbers import parse_whole

__all__ = ["arrived", "receive", "take_body"]


def take_body(handler: ResponseHandler, body: Any, *, limit: int | None, spools: bool) -> Awaitable[None]:
    """Read *body* for the method, unless the handler takes it part by part; to be awaited.

    PERF: no coroutine for a body that has arrived (benchmarks, form).

    Args:
        limit: The largest body in bytes; None: the server's.
        spools: Keep a large one in a temporary file.

    Raises:
        BodyError: It is too large, broken, or did not arrive in time.
        ClientGone: The client left before all of it had arrived.
    """
    if limit is not None:
        handler.request.connection.set_max_body_size(limit)
    if handler._stream_request_body:
        return COMPLETED
    if spools:
        return _spool(handler, body)
    if body.is_complete:
        handler.request.body = body.data
        return COMPLETED
    return _read(handler, body)


async def receive(handler: ResponseHandler) -> None:
    """Hand the body to `data_received`, part by part; raises as `take_body`."""
    body = handler.request.connection.body
    while chunk := await arrived(handler, body.read_chunk()):
        result = handler.data_received(chunk)
        if result is not None:
            await result


async def _read(handler: ResponseHandler, body: Any) -> None:
    handler.request.body = await arrived(handler, body.read_all())


async def _spool(handler: ResponseHandler, body: Any) -> None:
    request = handler.request
    headers = request.header_view
    is_unpacked = headers.get("X-Consumed-Content-Encoding", "")  # to more bytes than were announced, or to fewer
    spool = Spool(announced=0 if is_unpacked else parse_whole(headers.get("Content-Length", "")) or 0)
    scope_of(request).add(Spool, spool, close=spool.aclose, close_now=spool.close_now)
    while chunk := await arrived(handler, body.read_chunk()):
        await spool.write(chunk)
    await request.take_spool(spool)


async def arrived(handler: ResponseHandler, reading: Awaitable[bytes]) -> bytes:
    """Return what *reading* gives; the time until then is the client's, and does not count."""
    handler._method_phase = RECEIVING
    try:
        return await reading
    finally:
        if handler._method_phase is RECEIVING:
            handler._method_phase = RUNNING
        handler._counted_from = asyncio.get_running_loop().time()
