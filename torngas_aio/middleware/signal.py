"""A middleware that sends a signal at each stage of a request. `torngas_aio.signal` lists them."""

from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from torngas_aio.signal import call_finished, call_started, handler_render, handler_response, handler_started

__all__ = ["SignalMiddleware"]

_Clear = Callable[[], None]


class SignalMiddleware:
    """A middleware that sends the signals of `torngas_aio.signal` at each stage of a request.

    An error in a receiver is an error of the stage: before the response it leads to a 500.
    Return values of receivers are ignored; they end neither a stage nor the request.
    """

    async def process_call(self, request: HTTPServerRequest, clear: _Clear) -> None:
        await call_started.send(HTTPServerRequest, request=request)

    async def process_request(self, handler: RequestHandler, clear: _Clear) -> None:
        await handler_started.send(type(handler), handler=handler)

    async def process_render(self, handler: RequestHandler, clear: _Clear, template_name: str, **kwargs: Any) -> None:
        await handler_render.send(type(handler), handler=handler, template_name=template_name, namespace=kwargs)

    async def process_response(self, handler: RequestHandler, clear: _Clear, chunk: list[bytes]) -> None:
        await handler_response.send(type(handler), handler=handler, chunk=chunk)

    async def process_endcall(self, handler: RequestHandler, clear: _Clear) -> None:
        await call_finished.send(type(handler), handler=handler)
