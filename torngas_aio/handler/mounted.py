"""`MountHandler`: runs an ASGI application behind the hooks, guards and access log of its route.

    hooks > guards > method ── scope ──► application(scope, receive, send)
    handshake > websocket.connect > websocket.accept > 101 > messages one at a time

For the application's requests and responses see `mounted_exchange`. SPEC: ASGI 3.0, HTTP and WebSocket 2.5.
"""

# pyright: reportPrivateUsage=false

import posixpath
import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import unquote

from tornado.web import HTTPError

from torngas_aio._compat.tornado import cross_origin_fault
from torngas_aio.handler.mounted_exchange import HTTPExchange, Running, SocketExchange
from torngas_aio.handler.websocket import WebSocketHandler

__all__ = ["MountHandler"]

_VERSIONS = {"version": "3.0", "spec_version": "2.5"}
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class MountHandler(WebSocketHandler):
    """The handler that a `mount` adds to the URL table.

    Attributes:
        mount: The key of the running application in `application.mounts`.
    """

    use_etag = False
    _reads_body = False  # the application receives it in parts

    def initialize(self, mount: Any, root: re.Pattern[str]) -> None:
        """Store the route's keywords.

        Args:
            mount: The key of the running application in `application.mounts`.
            root: Matches the part of the path under which the application is mounted.
        """
        self.mount = mount
        self._root = root
        self._exchange: Any = None
        self.max_body_size = mount.max_body_size

    @property
    def is_socket(self) -> bool:  # type: ignore[override]  # depends on the request here
        """Whether this is the handshake of a WebSocket."""
        return self.request.method == "GET" and self.request.headers.get("Upgrade", "").lower() == "websocket"

    async def get(self, *args: str, **kwargs: str) -> None:
        if self.is_socket:
            self._check_path()
            await super().get(*args, **kwargs)
        else:
            await self._answer()

    async def _answer(self, *_: str, **__: str) -> None:
        self._check_path()
        if self.max_body_size is not None:
            self.request.connection.set_max_body_size(self.max_body_size)
        self._exchange = HTTPExchange(self)
        await self._exchange.run(self._application())

    head = post = put = patch = delete = options = _answer

    def check_xsrf_cookie(self) -> None:
        """Leave tokens to the application, which has its own; `_check_origin` refuses other sites."""

    def _check_origin(self) -> None:  # before any hook, independent of `cross_origin_protection`
        if self.mount.allows_cross_site:
            return
        error = cross_origin_fault(self)
        if error is not None:
            raise HTTPError(403, "%s", error)

    def _check_path(self) -> None:
        """Refuse a path that HTTP modules, which see it undecoded, may match differently from the application.

        Raises:
            HTTPError: 400: decoded or normalized, the path matches other patterns of ROUTE_MODULES.
        """
        pipeline = self.application.pipeline
        sent = self.request.path
        if not pipeline.has_patterns or ("%" not in sent and "/." not in sent and "//" not in sent):
            return
        decoded = unquote(sent)
        normal = posixpath.normpath(decoded).replace("//", "/") + ("/" if decoded.endswith("/") else "")
        mask = pipeline.mask_of(sent)
        if any(pipeline.mask_of(each) != mask for each in (decoded, normal)):
            raise HTTPError(400, "The path %r is encoded in an unusual way", sent)

    def _application(self) -> Running:
        running = self.application.mounts.get(self.mount)
        if running is None:
            raise RuntimeError(
                f"{self.mount!r} was added after the application was made: put it into the handlers of Application()."
            )
        return cast(Running, running)

    def scope_for(self, state: dict[str, object]) -> dict[str, object]:
        """Return the ASGI scope of the request, with a copy of the lifespan's *state*."""
        request = self.request
        kind = "websocket" if self.is_socket else "http"
        scheme = {"http": "ws", "https": "wss"}[request.protocol] if kind == "websocket" else request.protocol
        match = self._root.match(request.path)
        root = request.root_path + (match[0] if match else "")
        path = request.root_path + request.path
        host, _, port = request.host.rpartition(":")
        has_port = bool(host) and port.isascii() and port.isdigit()
        scope: dict[str, object] = {
            "type": kind,
            "asgi": _VERSIONS,
            "http_version": request.version.removeprefix("HTTP/"),
            "scheme": scheme,
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "root_path": unquote(root),
            "query_string": request.query.encode("latin-1"),
            "headers": [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in self._sent_fields()],
            "client": (request.remote_ip, 0) if request.remote_ip else None,
            "server": (host, int(port[:5])) if has_port else (request.host, _PORTS[scheme]),
            "state": dict(state),
            "torngas_aio.handler": self,
        }
        if kind == "http":
            return {**scope, "method": request.method, "extensions": {}}
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        names = [name.strip() for name in offered if name.strip()]
        return {**scope, "subprotocols": names, "extensions": {"websocket.http.response": {}}}

    def _sent_fields(self) -> Iterator[tuple[str, str]]:
        return (pair for pair in self.request.headers.get_all() if pair[0] != "Transfer-Encoding")

    # ---------------------------------------------------------------- sockets

    def get_websocket_protocol(self) -> Any:
        handshake = super().get_websocket_protocol()
        return handshake and _Handshake(handshake)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Return the protocol that the application has accepted."""
        return self._exchange.subprotocol if self._exchange.subprotocol in subprotocols else None

    def open(self, *args: str, **kwargs: str) -> None:
        """Notify the application that its socket is open."""
        self._exchange.is_open.set_result(None)

    async def on_message(self, message: str | bytes) -> None:
        """Pass *message* to the application; return when it has received it."""
        await self._exchange.give(message)

    def on_close(self) -> None:
        """Notify the application that the client has gone, also of a plain request."""
        if self._exchange is not None:
            self._exchange.leave()


class _Handshake:
    """A valid handshake, checked by Tornado's `get`, that the application accepts or refuses."""

    def __init__(self, handshake: object) -> None:
        self._handshake = handshake

    async def accept_connection(self, handler: MountHandler) -> None:
        """Serve the socket until it closes and the application has ended."""
        handler.ws_connection = None  # until the socket is open
        running = handler._application()
        handler._exchange = SocketExchange(handler)
        await handler._exchange.run(running, self._handshake)
