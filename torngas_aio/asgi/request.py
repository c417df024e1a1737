"""An ASGI scope as a `Request`.

Begin with `made_request`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tornado.httputil import RequestStartLine

from torngas_aio.http.request import Request

__all__ = ["made_request", "start_line_of"]

_SAFE = "/!$&'()*+,;=:@~-._"  # SPEC: RFC 3986 3.3, what a path may hold unescaped

_HANDSHAKE = (
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
)


def made_request(scope: Mapping[str, Any], connection: Any) -> Request:
    """Return the request that *scope* describes, below its root path."""
    headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
    if scope["type"] == "websocket":
        headers = _handshake(headers)
    return Request(start_line_of(scope), headers, connection, connection)


def _handshake(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return *headers* as Tornado's handler expects them; over HTTP/2 there is no handshake."""
    given = {name for name, _ in headers}
    made = [pair for pair in _HANDSHAKE if pair[0] not in given]
    # Compression is the server's: a handler that agreed to it would compress once more.
    return [pair for pair in headers if pair[0] != b"sec-websocket-extensions"] + made


def start_line_of(scope: Mapping[str, Any]) -> RequestStartLine:
    """Return method, target and version; the target is relative to the scope's root path."""
    raw = scope.get("raw_path")
    path = bytes(raw).decode("latin-1").partition("?")[0] if raw else quote(scope["path"], safe=_SAFE)
    root = quote(scope.get("root_path", "").rstrip("/"), safe=_SAFE)
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :] or "/"
    query = bytes(scope.get("query_string", b"")).decode("latin-1")
    target = f"{path}?{query}" if query else path
    version = "HTTP/1.0" if scope.get("http_version") == "1.0" else "HTTP/1.1"
    return RequestStartLine(scope.get("method", "GET"), target, version)
