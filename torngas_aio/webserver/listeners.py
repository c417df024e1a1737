"""Where one server listens: bound as options and settings say, or given; closed and cleaned up with it.

    MANAGEMENT = "127.0.0.1:9100"    `/-/...` is answered there only, and nothing else is
                 "unix:/run/x.sock"  the same by path, for one process

With `--workers` each of them listens on the management port, and any answers for all. Begin with `Listeners.open`.
"""

import itertools
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from tornado.options import options

from torngas_aio.exception import ConfigError
from torngas_aio.http.systemd import inherited_sockets
from torngas_aio.http.unix_sockets import UnixListener
from torngas_aio.settings_manager import settings
from torngas_aio.utils.addresses import is_loopback, parse_listener
from torngas_aio.webserver.options import was_given, workers_wanted
from torngas_aio.webserver.sockets import (
    DEFAULT_BACKLOG,
    LOOPBACK,
    addresses_of,
    bind,
    bind_for_workers,
)

__all__ = ["BIND_ARGUMENTS", "Listeners", "ManagementListener"]

_PREFIX = "/-/"

BIND_ARGUMENTS = ("backlog", "reuse_port")
"""Arguments of `Server.load_httpserver` that are the sockets', not the HTTP server's."""


class Listeners:
    """The listening sockets of one server.

    Attributes:
        sockets: All of them; for several workers, those of the first.
        by_worker: A list for each worker; empty where all share `sockets`.
    """

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self.sockets = list(sockets)
        self.by_worker: list[list[socket.socket]] = []
        self._unix: UnixListener | None = None

    @classmethod
    def open(cls, **arguments: Any) -> "Listeners":
        """Take what systemd has opened, else bind what `--unix_socket`, or `--address` and `--port`, ask for.

        Args:
            arguments: Those of `BIND_ARGUMENTS`.

        Raises:
            ConfigError: The address cannot be listened on.
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
        """Return the owner of *sockets*, which this process was started with."""
        listeners = cls(sockets)
        for each in listeners.sockets:
            each.setblocking(False)
            if options.unix_socket and each.getsockname() == options.unix_socket:
                listeners._unix = UnixListener.adopted(options.unix_socket, each)
        return listeners

    def groups(self, workers: int) -> list[list[socket.socket]]:
        """Return the sockets for each of *workers*."""
        return self.by_worker or [self.sockets] * workers

    def addresses(self, *, is_tls: bool) -> list[str]:
        """Return where the server can be reached: URLs, or `unix:` and a path."""
        return addresses_of(self.sockets, is_tls=is_tls)

    def close(self) -> None:
        """Close every socket; the file of a unix socket goes too, unless another server has the path now."""
        for each in (*self.sockets, *itertools.chain.from_iterable(self.by_worker)):
            each.close()
        self.sockets, self.by_worker = [], []
        if self._unix is not None:
            self._unix.remove()
            self._unix = None


class ManagementListener:
    """The listening sockets that MANAGEMENT asks for.

    Attributes:
        sockets: Empty where MANAGEMENT is.

    Args:
        setting: MANAGEMENT's value.
        is_shared: Other workers listen on the same port.

    Raises:
        ConfigError: It is no address, or cannot be listened on; a path cannot be shared.
    """

    def __init__(self, setting: str = "", *, is_shared: bool = False) -> None:
        self.sockets: list[socket.socket] = []
        self._unix: UnixListener | None = None
        self._name: str | int = ""
        if not setting:
            return
        where = parse_listener(setting)
        if isinstance(where, tuple):
            host, self._name = where
            self.sockets = bind(self._name, host, reuse_port=is_shared)
        elif is_shared:
            raise ConfigError(f"MANAGEMENT = {setting!r}: workers cannot share a path. Write host:port.", code="TGA801")
        else:
            self._name = where
            self._unix = UnixListener(where, backlog=DEFAULT_BACKLOG)
            self.sockets = [self._unix.socket]

    def guarded(self, serve: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], Coroutine[Any, Any, None]]:
        """Return *serve*, which answers a request, with 404 for what came by the wrong listener."""
        known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # by connection

        def serve_guarded(request: Any) -> Coroutine[Any, Any, None]:
            connection = request.server_connection
            is_management = known.get(connection)
            if is_management is None:
                is_management = known[connection] = self._is_of(request)
            if request.path.startswith(_PREFIX) is not is_management:
                return _refuse(request)
            request.is_management = is_management
            return serve(request)

        return serve_guarded

    def _is_of(self, request: Any) -> bool:
        transport = getattr(request.server_connection, "transport", None)
        name = (
            request.connection.stream.socket.getsockname()
            if transport is None
            else transport.get_extra_info("sockname")
        )
        return bool((name[1] if isinstance(name, tuple) else name) == self._name)

    def close(self) -> None:
        """Close the sockets; the file of a path goes, too."""
        for each in self.sockets:
            each.close()
        if self._unix is not None:
            self._unix.remove()
        self.sockets, self._unix = [], None


def _address() -> str | None:
    """The address to bind; without any settings, one that only this machine reaches."""
    address: str = options.address
    if settings.is_built_in and not is_loopback(address):
        return LOOPBACK
    return address if settings.IPV4_ONLY or was_given("address") else None


async def _refuse(request: Any) -> None:
    fields = (("Content-Type", "text/plain; charset=UTF-8"), ("Connection", "close"))
    request.connection.respond(404, "Not Found", fields, b"404 Not Found\n", request.method == "HEAD")
