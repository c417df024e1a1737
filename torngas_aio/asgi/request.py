"""Conversion of an ASGI scope to a `Request`."""

import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from tornado.httputil import RequestStartLine

from torngas_aio.http.proxies import Peer, TrustedProxies
from torngas_aio.http.request import Request
from torngas_aio.utils.hosts import parse_address

__all__ = ["build_request", "client_of", "set_target", "start_line_of"]

_SAFE = "/!$&'()*+,;=:@~-._"  # SPEC: RFC 3986 3.3, characters that need no escape in a path

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

_HANDSHAKE = (
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
)


def build_request(scope: Mapping[str, Any], connection: object) -> Request:
    """Return the request of *scope*, with the path relative to its root path."""
    headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
    if scope["type"] == "websocket":
        headers = _handshake(headers, scope.get("subprotocols") or ())
    request = Request(start_line_of(scope), headers, connection, connection)
    root = _root_of(scope)
    if root:
        request.root_path = root
        request.uri = root + request.uri
    return request


def set_target(request: Request, target: str) -> None:
    """Set the target of *request* to *target*, a path and query with or without the root path."""
    path, mark, request.query = target.partition("?")
    request.path = _below(request.root_path, path)
    request.uri = request.root_path + request.path + mark + request.query


def _below(root: str, path: str) -> str:
    """Return the part of *path* after *root*; *path* itself if it does not begin with it."""
    if not root:
        return path
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :] or "/"
    # SPEC: RFC 3986 6.2.2: a client may encode the same path differently
    depth = root.count("/") + 1
    segments = path.split("/", depth)
    is_below = unquote_to_bytes("/".join(segments[:depth])) == unquote_to_bytes(root)
    return "/" + "".join(segments[depth:]) if is_below else path


def _root_of(scope: Mapping[str, Any]) -> str:
    root = quote((scope.get("root_path") or "").rstrip("/"), safe=_SAFE)
    return root if not root or root.startswith("/") else f"/{root}"


def client_of(scope: Mapping[str, Any], proxies: TrustedProxies | None = None) -> Peer:
    """Return the client of *scope*, or the one named by a trusted proxy; "0.0.0.0" if the address is not an IP address.

    A zone is only valid with a link-local address; `::1%x` comes from a header that the server trusts.

    Args:
        proxies: Proxies that are trusted in addition to those of the ASGI server.
    """
    scheme: str = scope.get("scheme", "http")
    protocol = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    client: Any = scope.get("client")
    server: Any = scope.get("server")
    text, mark, _ = str(client[0]).partition("%") if client else ("", "", "")
    address = parse_address(text)
    if address is not None and (not mark or address.is_link_local):
        peer = Peer.of_socket((str(address), client[1]), _FAMILIES[address.version], protocol)
    else:
        # SPEC: ASGI 3.0: `server` is a path and None for a unix socket; granian writes a port, and a client of "".
        is_unix = not text and bool(server) and (server[1] is None or str(server[0]).startswith("/"))
        peer = Peer.of_socket("", socket.AF_UNIX if is_unix else None, protocol)
    if proxies is None:
        return peer
    return proxies.client_of_fields(peer, ((bytes(name).lower(), bytes(value)) for name, value in scope["headers"]))


def _handshake(headers: list[tuple[bytes, bytes]], subprotocols: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return *headers* with those of a handshake that Tornado's handler expects; over HTTP/2 they are absent."""
    given = {name for name, _ in headers}
    offered = [(b"sec-websocket-protocol", name.encode("latin-1")) for name in subprotocols]
    made = [pair for pair in (*_HANDSHAKE, *offered) if pair[0] not in given]
    # Compression is done by the server: a handler that negotiated it would compress a second time.
    return [pair for pair in headers if pair[0] != b"sec-websocket-extensions"] + made


def start_line_of(scope: Mapping[str, Any]) -> RequestStartLine:
    """Return method, target and version; the target is relative to the scope's root path."""
    raw = scope.get("raw_path")
    path = bytes(raw).decode("latin-1").partition("?")[0] if raw else quote(scope["path"], safe=_SAFE)
    path = _below(_root_of(scope), path)
    query = bytes(scope.get("query_string", b"")).decode("latin-1")
    target = f"{path}?{query}" if query else path
    version = "HTTP/1.0" if scope.get("http_version") == "1.0" else "HTTP/1.1"
    return RequestStartLine(scope.get("method", "GET"), target, version)
