"""`TestClient`: talks HTTP and WebSocket to an application that runs beside the test.

    test ── httpx2 ── socket ── HTTP server ── application
      └────────── context of the caller ──────────┘

The server listens on a free port of 127.0.0.1, in the test's own loop. Each request runs in a copy of its
caller's context, so that `settings.override` reaches it. Begin with `TestClient`.
"""

import contextvars
import secrets
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import httpcore2  # noqa: F401  httpx2 would import it, and read files, at its first client: in the loop
import httpx2

from torngas_aio.application import Application
from torngas_aio.context import error_sink
from torngas_aio.http.request import Request
from torngas_aio.testing.server import listen, made_application

__all__ = ["TestClient"]

_CONTEXT_HEADER = "x-torngas-test-context"


class TestClient(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` whose base is the application under test; use it with `async with`.

    Cookies, redirects (`follow_redirects=True`), streaming (`client.stream`) and sockets (`client.websocket`) are
    httpx2's.

    Args:
        app: An `Application`, a settings module's name or a mapping of settings to build one from.
        http_server: "torngas_aio" or "tornado": which HTTP server listens.
        raise_errors: Raise in the test what a handler or hook raised (`HTTPError` under 500 aside), instead of
            returning the error page.
        server_options: Keywords for the HTTP server.
        options: Keywords for `httpx2.AsyncClient`.

    Attributes:
        application: The application under test.
        port: Where it listens.
        errors: What handlers and hooks raised so far, in order.
    """

    __test__ = False

    def __init__(
        self,
        app: Application | str | Mapping[str, Any],
        *,
        http_server: str = "torngas_aio",
        raise_errors: bool = False,
        server_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        options.setdefault("trust_env", False)
        options.setdefault("verify", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # trusts no one, and reads no files
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
            Exception: What the application raised, with `raise_errors`.
        """
        seen = len(self.errors)
        token = self._remember_context()
        request.headers[_CONTEXT_HEADER] = token
        try:
            response = await super().send(request, **kwargs)
        finally:
            self._contexts.pop(token, None)
        if self.raise_errors:
            for error in self.errors[seen:]:
                if getattr(error, "status_code", 500) >= 500:
                    raise error
        return response

    def _remember_context(self) -> str:
        token = secrets.token_hex(8)
        context = contextvars.copy_context()
        context.run(error_sink.set, self.errors)
        self._contexts[token] = context
        return token

    def _context_for(self, request: Request) -> contextvars.Context:
        """The caller's context for a request of this client; a fresh copy of the server's for any other."""
        raw = request.raw_header(_CONTEXT_HEADER.encode())
        context = None if raw is None else self._contexts.get(raw.decode("latin-1"))
        if context is None:
            return self._context.copy()
        request.drop_header(_CONTEXT_HEADER.encode())
        return context.copy()
