"""Where the server listens: addresses, unix sockets, TLS, and what may be reached from elsewhere.

Begin with `bind`.
"""

import contextlib
import errno
import socket
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torngas_aio.exception import ConfigError
from torngas_aio.http.tls import load_certificate
from torngas_aio.http.unix_sockets import UNIX_MODE, UnixListener
from torngas_aio.utils.addresses import is_loopback

__all__ = [
    "LOOPBACK",
    "addresses_of",
    "bind",
    "bind_for_workers",
    "bind_unix",
    "is_reachable",
    "tls_context",
]

LOOPBACK = "127.0.0.1"
DEFAULT_BACKLOG = 1024


def bind(
    port: int,
    address: str | None,
    *,
    ipv4_only: bool = True,
    backlog: int = DEFAULT_BACKLOG,
    reuse_port: bool = False,
) -> list[socket.socket]:
    """Return listening sockets, one for each address that *address* stands for.

    Args:
        port: 0 takes a free one, the same for all.
        address: Address or host name; empty or None: every interface.

    Raises:
        ConfigError: The port is in use, forbidden, no port at all, or no address of this machine.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(
            f"Cannot listen on port {port}: give --port a number from 0 to 65535; 0 takes a free one.", code="TGA801"
        )
    family = socket.AF_INET if ipv4_only and ":" not in (address or "") else socket.AF_UNSPEC
    try:
        found = socket.getaddrinfo(address or None, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
        return _bind_all(port, dict.fromkeys(found), backlog, reuse_port)
    except OSError as exc:
        raise ConfigError(f"Cannot listen on {address or '*'}:{port}: {_reason(exc)}", code="TGA801") from exc


def bind_for_workers(
    port: int, address: str | None, workers: int, *, ipv4_only: bool = True, backlog: int = DEFAULT_BACKLOG
) -> list[list[socket.socket]]:
    """Return listening sockets for each worker, all on one port, between which the system spreads connections.

    Where it does not (elsewhere than on Linux), the workers share the same ones, and the quickest accepts.

    Raises:
        ConfigError: As `bind`; also when another server that shares its port the same way has it.
    """
    first = bind(port, address, ipv4_only=ipv4_only, backlog=backlog)  # refused where the port is in use
    if sys.platform != "linux":
        return [first] * workers
    port = first[0].getsockname()[1]
    for each in first:
        each.close()
    return [bind(port, address, ipv4_only=ipv4_only, backlog=backlog, reuse_port=True) for _ in range(workers)]


def bind_unix(path: str, *, backlog: int = DEFAULT_BACKLOG, mode: int = UNIX_MODE) -> socket.socket:
    """Return a listening unix socket at *path*; one that a dead server left there is replaced.

    Raises:
        ConfigError: A live server listens there, or the path cannot be used.
    """
    return UnixListener(path, backlog=backlog, mode=mode).socket


def tls_context(certfile: str, keyfile: str | None = None) -> ssl.SSLContext:
    """Return a server's TLS context for the PEM files.

    Raises:
        ConfigError: A file is missing, is not PEM, or the key does not fit the certificate or is encrypted.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    for option, path in (("certfile", certfile), ("keyfile", keyfile)):
        if path and not Path(path).is_file():
            raise ConfigError(f"--{option}={path}: no such file.", code="TGA801")
    try:
        load_certificate(context, certfile, keyfile)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        given = f"--certfile={certfile}" + (f" --keyfile={keyfile}" if keyfile else "")
        raise ConfigError(
            f"{given}: {exc}. Both must be PEM, and the key that of the certificate.",
            code="TGA801",
        ) from exc
    return context


def addresses_of(sockets: list[socket.socket], *, is_tls: bool = False) -> list[str]:
    """Return where each of *sockets* can be reached: a URL, or `unix:` and the path."""
    scheme = "https" if is_tls else "http"
    found = []
    for each in sockets:
        name: Any = each.getsockname()
        if each.family == socket.AF_INET6:
            found.append(f"{scheme}://[{name[0]}]:{name[1]}/")
        elif each.family == socket.AF_INET:
            found.append(f"{scheme}://{name[0]}:{name[1]}/")
        else:
            found.append(f"unix:{name}")
    return found


def is_reachable(sockets: list[socket.socket]) -> bool:
    """Whether other machines can reach one of *sockets*."""
    return any(
        each.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(each.getsockname()[0]) for each in sockets
    )


def _bind_all(port: int, places: Iterable[Any], backlog: int, reuse_port: bool) -> list[socket.socket]:
    """Sockets at all of *places*, on one port; none is left open when one of them fails."""
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        for family, kind, protocol, _, where in places:
            each = opened.enter_context(socket.socket(family, kind, protocol))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind((where[0], port, *where[2:]))
            each.listen(backlog)
            each.setblocking(False)
            port = each.getsockname()[1]  # the free one that 0 took serves the other families too
            sockets.append(each)
        opened.pop_all()
    return sockets


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use. Stop what listens there, or give another --port."
    if error.errno == errno.EACCES:
        return "this needs a privilege. Give a --port of 1024 or more."
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{error.strerror or error}. Give an --address of this machine."
    return f"{error.strerror or error}."
