"""The ASGI callable: the same `Application` behind an ASGI server.

    lifespan    startup, shutdown of the application
    http        Request + HTTPExchange ─► application.serve_request
    websocket   Request + SocketExchange ─► application.serve_request ─► Tornado's WebSocketHandler

SPEC: ASGI 3.0, HTTP and WebSocket 2.5, lifespan 2.0.
"""

import asyncio
import contextlib
import contextvars
import logging
import signal
import threading
from collections.abc import Callable, Generator, MutableMapping
from types import FrameType
from typing import Any

from tornado.httputil import HTTPInputError, HTTPServerRequest

from torngas_aio._cleanup import is_imposed
from torngas_aio.application import Application
from torngas_aio.asgi.exchange import HTTPExchange, Receive, Send
from torngas_aio.asgi.request import aim, client_of, made_request
from torngas_aio.asgi.socket import SocketExchange
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.http.application import answer
from torngas_aio.http.limits import MAX_BODY_BYTES, Limits
from torngas_aio.http.proxies import TrustedProxies
from torngas_aio.http.request import Request
from torngas_aio.http.target import checked_line
from torngas_aio.settings_manager import settings
from torngas_aio.webserver import Server
from torngas_aio.webserver.building import application_secret_faults
from torngas_aio.webserver.serving import GRACEFUL_SECONDS

__all__ = ["AsgiApplication", "get_asgi_application"]

logger = logging.getLogger("torngas_aio.asgi")


def get_asgi_application(
    application: Application | type[Application] | None = None,
    *,
    max_body_size: int = MAX_BODY_BYTES,
    body_timeout: float = 0.0,
    body_rate_timeout: float = 10.0,
) -> "AsgiApplication":
    """Return *application* for an ASGI server.

    Args:
        application: An `Application` or a subclass; None builds the project's from its settings, as
            `runserver.py` does, without reading the command line.
        max_body_size: The largest request body in bytes; larger ones are answered 413. A handler's class may set
            its own, and a handler may call `request.connection.set_max_body_size`.
        body_timeout: Seconds for a whole body, then 408; 0 for no limit.
        body_rate_timeout: Seconds over which a body must bring 240 bytes a second, then 408; 0 for no limit.

    Raises:
        ArgumentError: Something else was given.
        ConfigError: The settings cannot work; every fault is listed.
    """
    if isinstance(application, Application):
        ConfigError.gather(application_secret_faults(application))
        return AsgiApplication(application, max_body_size, body_timeout, body_rate_timeout)
    if application is not None and not _is_subclass(application):
        raise ArgumentError(f"get_asgi_application({application!r}): an Application or a subclass of it was wanted.")
    server = Server()
    server.parse_command([], final=True)
    server.load_urls()
    return AsgiApplication(server.load_application(application), max_body_size, body_timeout, body_rate_timeout)


class AsgiApplication:
    """An `Application` as ASGI servers call it.

    XHEADERS, TRUSTED_PROXIES and TRUSTED_PROXY_HEADERS count for the client that the ASGI server names.

    Attributes:
        application: The application that answers.
        limits: Of request bodies.
    """

    def __init__(
        self,
        application: Application,
        max_body_size: int = MAX_BODY_BYTES,
        body_timeout: float = 0.0,
        body_rate_timeout: float = 10.0,
    ) -> None:
        self.application = application
        self.limits = Limits(
            max_body_size=max_body_size, body_timeout=body_timeout, body_rate_timeout=body_rate_timeout
        )
        self._context: contextvars.Context | None = None
        self._proxies: TrustedProxies | None = None
        if settings.XHEADERS:
            self._proxies = TrustedProxies(settings.TRUSTED_PROXIES, settings.TRUSTED_PROXY_HEADERS)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection; called by the ASGI server.

        Raises:
            ValueError: The server speaks of something that is neither HTTP, WebSocket nor lifespan.
        """
        kind = scope["type"]
        if self._context is None:  # the server's own, before any request has touched it
            self._context = contextvars.copy_context()
        if kind == "lifespan":
            # An ASGI server says that it stops when all connections have ended; streams end when they know of it.
            with _heard_signals(self._note_stop):
                await self._live(receive, send)
        elif kind == "http":
            await self._serve(HTTPExchange(scope, receive, send, self.limits), scope)
        elif kind == "websocket":
            await self._serve(SocketExchange(scope, receive, send), scope)
        else:
            raise ValueError(f"ASGI scope {kind!r} is not served: http, websocket and lifespan are.")

    def _note_stop(self) -> None:
        self.application.is_stopping.set()  # each start makes another event

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.application.startup()
                except BaseException as exc:  # one that passed would tell the server that there is no lifespan
                    if is_imposed(exc):
                        raise
                    logger.exception("The application did not start.")
                    await send({"type": "lifespan.startup.failed", "message": str(exc) or type(exc).__qualname__})
                    if isinstance(exc, KeyboardInterrupt):
                        raise
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                self._note_stop()
                await self.application.background.drain(GRACEFUL_SECONDS)
                await self.application.shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, exchange: HTTPExchange, scope: MutableMapping[str, object]) -> None:
        if self._proxies is not None:
            exchange.context = client_of(scope, self._proxies)
        request = made_request(scope, exchange)
        try:
            line = checked_line(exchange.start_line, request.headers)
            HTTPServerRequest(start_line=line, headers=request.headers)  # Tornado's checks of the head
            if line.path != exchange.start_line.path:  # it was a whole URL
                aim(request, line.path)
        except HTTPInputError as exc:
            await exchange.refuse(400, str(exc))
            return
        assert self._context is not None
        context_for = self.application.context_for
        context = self._context.copy() if context_for is None else context_for(request)
        loop = asyncio.get_running_loop()
        # Owned here: awaited, and cancelled with the server's own task.
        task = loop.create_task(_answered(self.application, request), context=context)
        try:
            interrupt = await exchange.run(task)
            if interrupt is not None:
                raise interrupt
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
                await exchange.send_last()


@contextlib.contextmanager
def _heard_signals(note: Callable[[], None]) -> Generator[None]:
    """Have *note* called in the running loop at SIGTERM and SIGINT, where the server has handlers for these.

    The server's handlers are called as ever; outside the main thread, which has no signals, nothing happens.
    """
    loop = asyncio.get_running_loop()
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}

    def hear(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(note)
        handlers[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, hear)
    try:
        yield
    finally:
        for each, former in handlers.items():
            if signal.getsignal(each) is hear:  # else another one has taken its place
                signal.signal(each, former)


async def _answered(application: Application, request: Request) -> KeyboardInterrupt | None:
    """Answer *request*; return the interrupt that is to be raised once the answer is sent, None for none."""
    try:
        await answer(application, request)
    except KeyboardInterrupt as exc:
        return exc
    return None


def _is_subclass(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Application)
