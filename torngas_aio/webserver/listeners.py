"""The listening sockets of one server: bound according to options and settings, inherited, or passed by the caller."""

import contextlib
import errno
import itertools
import socket
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tornado.options import options

from torngas_aio.exception import ConfigError
from torngas_aio.http.systemd import inherited_sockets
from torngas_aio.http.tls import load_certificate
from torngas_aio.http.unix_sockets import DEFAULT_BACKLOG, UnixListener
from torngas_aio.settings_manager import settings
from torngas_aio.utils.hosts import is_loopback
from torngas_aio.utils.narrowing import is_list_or_tuple
from torngas_aio.webserver.options import was_given, workers_wanted

__all__ = [
    "BIND_ARGUMENTS",
    "LOOPBACK",
    "Listeners",
    "addresses_of",
    "bind",
    "bind_for_workers",
    "is_reachable",
    "name_of",
    "open_sockets",
    "refuse_taken",
    "tls_context",
]

LOOPBACK = "127.0.0.1"

BIND_ARGUMENTS = ("backlog", "reuse_port")
"""Arguments of `Server.load_httpserver` for the sockets, not for the HTTP server."""


class Listeners:
    """The listening sockets of one server.

    Attributes:
        sockets: All sockets; with several workers, those of the first.
        by_worker: A list for each worker; empty if all share `sockets`.
    """

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self.sockets = list(sockets)
        self.by_worker: list[list[socket.socket]] = []
        self._unix: UnixListener | None = None

    @classmethod
    def open(cls, **arguments: Any) -> "Listeners":
        """Use the sockets passed by systemd, else bind `--unix_socket`, or `--address` and `--port`.

        Args:
            arguments: Any of `BIND_ARGUMENTS`.

        Raises:
            ConfigError: The address cannot be bound.
        """
        if found := inherited_sockets():
            return cls.inherited(found)
        listeners = cls()
        if options.unix_socket:
            arguments.pop("reuse_port", None)
            arguments.setdefault("backlog", DEFAULT_BACKLOG)
            listeners._unix = UnixListener(options.unix_socket, **arguments)
            listeners.sockets = [listeners._unix.socket]
            return listeners
        address, workers = _address(), workers_wanted()
        arguments["ipv4_only"] = settings.IPV4_ONLY
        if workers == 1 or arguments.get("reuse_port"):
            listeners.sockets = bind(options.port, address, **arguments)
        else:
            arguments.pop("reuse_port", None)
            listeners.by_worker = bind_for_workers(options.port, address, workers, **arguments)
            listeners.sockets = listeners.by_worker[0]
        return listeners

    @classmethod
    def inherited(cls, sockets: Iterable[socket.socket]) -> "Listeners":
        """Return an owner of *sockets*, which this process has inherited."""
        listeners = cls(sockets)
        for each in listeners.sockets:
            each.setblocking(False)
            if options.unix_socket and each.getsockname() == options.unix_socket:
                listeners._unix = UnixListener.adopted(options.unix_socket, each)
        return listeners

    def take(self, name: str | int) -> list[socket.socket]:
        """Remove and return the sockets bound to the port or path *name*.

        Returns [] if no socket would be left.
        """
        found = [each for each in self.sockets if name_of(each.getsockname()) == name]
        if len(found) == len(self.sockets):
            return []
        self.sockets = [each for each in self.sockets if each not in found]
        return found

    def groups(self, workers: int) -> list[list[socket.socket]]:
        """Return the sockets for each of *workers*."""
        return self.by_worker or [self.sockets] * workers

    def addresses(self, *, is_tls: bool) -> list[str]:
        """Return the server's addresses: URLs, or `unix:` and a path."""
        return addresses_of(self.sockets, is_tls=is_tls)

    def close(self) -> None:
        """Close all sockets; delete the file of a Unix socket unless another server has taken over the path."""
        for each in (*self.sockets, *itertools.chain.from_iterable(self.by_worker)):
            each.close()
        self.sockets, self.by_worker = [], []
        if self._unix is not None:
            self._unix.remove()
            self._unix = None


def name_of(address: object) -> object:
    """Return the port of a socket's *address*; for a Unix socket its path."""
    return address[1] if is_list_or_tuple(address) else address


def _address() -> str | None:
    """Return the address to bind; without a settings module, a loopback address."""
    address: str = options.address
    if settings.is_built_in and not is_loopback(address):
        return LOOPBACK
    return address if settings.IPV4_ONLY or was_given("address") else None


def bind(
    port: int,
    address: str | None,
    *,
    ipv4_only: bool = True,
    backlog: int = DEFAULT_BACKLOG,
    reuse_port: bool = False,
) -> list[socket.socket]:
    """Return listening sockets, one for each address that *address* resolves to.

    Args:
        port: 0: a free port, the same for all.
        address: Address or host name; empty or None: every interface.

    Raises:
        ConfigError: The port is in use, forbidden or out of range, or the address is not one of this machine.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(
            f"Cannot listen on port {port}: give --port a number from 0 to 65535; 0 takes a free one.", code="TGA801"
        )
    try:
        return open_sockets(port, address, ipv4_only=ipv4_only, backlog=backlog, reuse_port=reuse_port)
    except OSError as exc:
        raise ConfigError(f"Cannot listen on {address or '*'}:{port}: {_reason(exc)}", code="TGA801") from exc


def refuse_taken(port: int, address: str) -> None:
    """Raise if *port* is in use; a worker would notice only after loading the whole project.

    Raises:
        ConfigError: The port is in use.
    """
    try:
        for each in open_sockets(port, address, backlog=0):
            each.close()
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:  # other errors are left to the worker, which knows the settings (IPV4_ONLY)
            raise ConfigError(f"Cannot listen on {address}:{port}: {_reason(exc)}", code="TGA801") from exc


def bind_for_workers(
    port: int, address: str | None, workers: int, *, ipv4_only: bool = True, backlog: int = DEFAULT_BACKLOG
) -> list[list[socket.socket]]:
    """Return listening sockets for each worker, all on one port; the kernel distributes connections (SO_REUSEPORT).

    On systems other than Linux, which do not distribute, all workers share the same sockets.

    Raises:
        ConfigError: As `bind`; also if another server with SO_REUSEPORT uses the port.
    """
    first = bind(port, address, ipv4_only=ipv4_only, backlog=backlog)  # without SO_REUSEPORT: fails on a port in use
    if sys.platform != "linux":
        return [first] * workers
    port = first[0].getsockname()[1]
    for each in first:
        each.close()
    return [bind(port, address, ipv4_only=ipv4_only, backlog=backlog, reuse_port=True) for _ in range(workers)]


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
    """Return the address of each of *sockets*: a URL, or `unix:` and the path."""
    scheme = "https" if is_tls else "http"
    found: list[str] = []
    for each in sockets:
        name = each.getsockname()
        if each.family == socket.AF_INET6:
            found.append(f"{scheme}://[{name[0]}]:{name[1]}/")
        elif each.family == socket.AF_INET:
            found.append(f"{scheme}://{name[0]}:{name[1]}/")
        else:
            found.append(f"unix:{name}")
    return found


def is_reachable(sockets: list[socket.socket]) -> bool:
    """Return whether other machines can reach one of *sockets*."""
    return any(
        each.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(each.getsockname()[0]) for each in sockets
    )


def open_sockets(
    port: int, address: str | None, *, ipv4_only: bool = True, backlog: int = DEFAULT_BACKLOG, reuse_port: bool = False
) -> list[socket.socket]:
    """Bind as `bind`, but raise OSError; on an error all sockets are closed. With `backlog=0` none listens."""
    wanted = socket.AF_INET if ipv4_only and ":" not in (address or "") else socket.AF_UNSPEC
    found = socket.getaddrinfo(address or None, port, wanted, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            each = opened.enter_context(socket.socket(family, kind, protocol))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind((where[0], port, *where[2:]))
            if backlog:
                each.listen(backlog)
            each.setblocking(False)
            port = each.getsockname()[1]  # a free port chosen for 0 is used for the other families too
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
