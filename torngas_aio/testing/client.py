"""`TestClient`: an HTTP and WebSocket client for an application that runs in the test's event loop.

    test ── httpx2 ── socket ── HTTP server ── application
      └────────── context of the caller ──────────┘

The server listens on a free port of 127.0.0.1. Each request runs in a copy of its caller's context, so that
`settings.override` applies to it.
"""

import contextvars
import secrets
import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

import anyio.to_thread
import httpcore2  # noqa: F401  # pyright: ignore[reportUnusedImport]  httpx2 would import it, and read files, at its first client: in the loop
import httpx2
from tornado.netutil import bind_sockets

from torngas_aio.application import Application
from torngas_aio.checks import missing_secrets
from torngas_aio.context import error_sink
from torngas_aio.http.request import Request
from torngas_aio.i18n import load_translations
from torngas_aio.settings_manager import load_settings, settings
from torngas_aio.urlhelper import load_app_urls
from torngas_aio.utils.narrowing import is_group
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.building import add_own_routes
from torngas_aio.webserver.serving import serving

__all__ = ["TestClient", "listen", "made_application"]

GRACEFUL_SECONDS = 1.0
"""Timeout of requests in flight at the end of the test."""

_CONTEXT_HEADER = "x-torngas-test-context"


class TestClient(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` whose base is the application under test; use it with `async with`.

    Cookies, redirects (`follow_redirects=True`), streaming (`client.stream`) and sockets (`client.websocket`) are
    httpx2's.

    Args:
        app: An `Application`, or the name of a settings module, or a mapping of settings, to build one from.
        http_server: The HTTP server: "torngas_aio" or "tornado".
        raise_errors: Re-raise exceptions of handlers and hooks in the test (except `HTTPError` below 500), instead of
            returning the error page.
        server_options: Keywords for the HTTP server.
        options: Keywords for `httpx2.AsyncClient`.

    Attributes:
        application: The application under test.
        port: Its port.
        errors: Exceptions of handlers and hooks so far, in order.
    """

    __test__ = False

    def __init__(
        self,
        app: Application | str | Mapping[str, object],
        *,
        http_server: str = "torngas_aio",
        raise_errors: bool = False,
        server_options: Mapping[str, object] | None = None,
        **options: Any,
    ) -> None:
        options.setdefault("trust_env", False)
        options.setdefault("verify", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # no trusted CAs, no file access
        super().__init__(**options)
        self.errors: list[BaseException] = []
        self.raise_errors = raise_errors
        self._app = app
        self._http_server = http_server
        self._server_options = dict(server_options or {})
        self._contexts: dict[str, contextvars.Context] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        try:
            self.application = self._stack.enter_context(made_application(self._app))
            self._context = contextvars.copy_context()
            self._context.run(error_sink.set, self.errors)
            self.application.context_for = self._context_for
            self.port = await self._stack.enter_async_context(
                listen(self.application, self._http_server, self._server_options)
            )
            self.base_url = f"http://127.0.0.1:{self.port}"
            await super().__aenter__()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            await super().__aexit__(exc_type, exc_value, traceback)
        finally:
            await self._stack.aclose()

    async def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
        """Send one request; see `httpx2.AsyncClient.send`.

        Raises:
            Exception: An exception of the application, with `raise_errors`.
        """
        seen = len(self.errors)
        token = self._remember_context()
        request.headers[_CONTEXT_HEADER] = token
        try:
            response = await super().send(request, **kwargs)
        finally:
            self._contexts.pop(token, None)
        self._raise_since(seen)
        return response

    @asynccontextmanager
    async def websocket(self, url: httpx2.URL | str, **options: Any) -> AsyncGenerator[Any]:
        """Open a WebSocket; see `httpx2.AsyncClient.websocket`.

        Raises:
            WebSocketDisconnect: From `httpx2.websockets`: the server has closed it, with `code` and `reason`.
            WebSocketUpgradeError: From `httpx2.websockets`: the handshake was refused, with `response`.
            Exception: An exception of the application, with `raise_errors`.
        """
        seen = len(self.errors)
        failure: BaseException | None = None
        try:
            async with super().websocket(url, **options) as session:
                yield session
        except BaseExceptionGroup as group:  # of httpx2's tasks, around the one error of the block
            failure = group
            while is_group(failure) and len(failure.exceptions) == 1:
                failure = failure.exceptions[0]
        self._raise_since(seen, failure)
        if failure is not None:
            raise failure from None

    def _raise_since(self, seen: int, cause: BaseException | None = None) -> None:
        """Raise, with `raise_errors`, the first failure of the application beyond the first *seen* errors."""
        for error in self.errors[seen:] if self.raise_errors else ():
            if getattr(error, "status_code", 500) >= 500:
                raise error from (error.__cause__ or cause)

    def _remember_context(self) -> str:
        token = secrets.token_hex(8)
        context = contextvars.copy_context()
        context.run(error_sink.set, self.errors)
        self._contexts[token] = context
        return token

    def _context_for(self, request: Request) -> contextvars.Context:
        """Return a copy of the caller's context for a request of this client, of the server's for any other."""
        raw = request.raw_header(_CONTEXT_HEADER.encode())
        context = None if raw is None else self._contexts.get(raw.decode("latin-1"))
        if context is None:
            return self._context.copy()
        request.drop_header(_CONTEXT_HEADER.encode())
        return context.copy()


@contextmanager
def made_application(app: Application | str | Mapping[str, object]) -> Generator[Application]:
    """Yield *app*, or an application built from its settings, which are active while the block runs.

    With DEBUG on, missing secrets are generated, as at a server's start.
    """
    if isinstance(app, Application):
        yield app
        return
    values = load_settings(app) if isinstance(app, str) else app
    with (
        settings.override(**values),
        settings.override(**(missing_secrets(settings) if settings.DEBUG else {})),
    ):
        made = Application(
            load_app_urls(settings.INSTALLED_APPS),
            middlewares=settings.MIDDLEWARE_CLASSES,
            debug=settings.DEBUG,
            autoreload=False,
            **settings.TORNADO_CONF,
        )
        add_own_routes(made)
        yield made


@asynccontextmanager
async def listen(application: Application, http_server: str, options: Mapping[str, Any]) -> AsyncGenerator[int]:
    """Serve *application* by *http_server* in this loop and yield its port; shut down gracefully at the end.

    Translations are loaded first, as at a server's start.

    Raises:
        ConfigError: The server or the translations do not exist.
    """
    if settings.TRANSLATIONS:
        await anyio.to_thread.run_sync(load_translations, settings.TRANSLATIONS_CONF)
    trusted = {"trusted_proxies": settings.TRUSTED_PROXIES, "trusted_headers": settings.TRUSTED_PROXY_HEADERS}
    backend = make_backend(application, http_server, **{**trusted, **options})
    sockets = bind_sockets(0, "127.0.0.1")
    port: int = sockets[0].getsockname()[1]
    async with serving(application, backend, sockets, graceful_seconds=GRACEFUL_SECONDS):
        yield port
