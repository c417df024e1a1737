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
from torngas_aio.asgi.request import build_request, client_of, set_target
from torngas_aio.asgi.socket import SocketExchange
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.http.application import answer
from torngas_aio.http.limits import MAX_BODY_BYTES, Limits
from torngas_aio.http.proxies import TrustedProxies
from torngas_aio.http.request import Request
from torngas_aio.http.target import check_line
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
        max_body_size: The largest request body in bytes; the response to larger ones is 413. A handler's class may
            set another limit, and a handler may call `request.connection.set_max_body_size`.
        body_timeout: Seconds for a whole body, then 408; 0 for no limit.
        body_rate_timeout: Seconds over which a body must average 240 bytes per second, else 408; 0 for no limit.

    Raises:
        ArgumentError: *application* is neither an `Application` nor a subclass of it.
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
    """An `Application` as an ASGI callable.

    XHEADERS, TRUSTED_PROXIES and TRUSTED_PROXY_HEADERS apply to the client address that the ASGI server reports.

    Attributes:
        application: The application that serves the requests.
        limits: Limits on request bodies.
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
            ValueError: The scope is neither HTTP, WebSocket nor lifespan.
        """
        kind = scope["type"]
        if self._context is None:  # the server's context, before any request has changed it
            self._context = contextvars.copy_context()
        if kind == "lifespan":
            # An ASGI server reports its stop after all connections have ended, but streams end only once notified.
            with _observed_signals(self._note_stop):
                await self._run_lifespan(receive, send)
        elif kind == "http":
            await self._serve(HTTPExchange(scope, receive, send, self.limits), scope)
        elif kind == "websocket":
            await self._serve(SocketExchange(scope, receive, send), scope)
        else:
            raise ValueError(f"ASGI scope {kind!r} is not served: http, websocket and lifespan are.")

    def _note_stop(self) -> None:
        self.application.is_stopping.set()  # read each time: a start creates a new event

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.application.startup()
                except BaseException as exc:  # raised to the server, it would mean that there is no lifespan
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
        request = build_request(scope, exchange)
        try:
            line = check_line(exchange.start_line, request.headers)
            HTTPServerRequest(start_line=line, headers=request.headers)  # Tornado's checks of the head
            if line.path != exchange.start_line.path:  # the target was an absolute URL
                set_target(request, line.path)
        except HTTPInputError as exc:
            await exchange.refuse(400, str(exc))
            return
        assert self._context is not None
        context_for = self.application.context_for
        context = self._context.copy() if context_for is None else context_for(request)
        loop = asyncio.get_running_loop()
        # Owned here: awaited, and cancelled with the server's own task.
        task = loop.create_task(_serve_request(self.application, request), context=context)
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
def _observed_signals(note: Callable[[], None]) -> Generator[None]:
    """Call *note* in the running loop on SIGTERM and SIGINT, if the server has handlers for these.

    The server's handlers are still called. Outside of the main thread, which receives the signals, this does nothing.
    """
    loop = asyncio.get_running_loop()
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(note)
        handlers[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, on_signal)
    try:
        yield
    finally:
        for each, former in handlers.items():
            if signal.getsignal(each) is on_signal:  # otherwise another handler was installed meanwhile
                signal.signal(each, former)


async def _serve_request(application: Application, request: Request) -> KeyboardInterrupt | None:
    """Serve *request*; return the interrupt to be raised after the response was sent, None for none."""
    try:
        await answer(application, request)
    except KeyboardInterrupt as exc:
        return exc
    return None


def _is_subclass(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Application)
