"""Where one server listens: bound as options and settings say, or given; closed and cleaned up with it.

Begin with `Listeners.open`.
"""

import itertools
import socket
from collections.abc import Iterable
from typing import Any

from tornado.options import options

from torngas_aio.http.systemd import inherited_sockets
from torngas_aio.http.unix_sockets import UnixListener
from torngas_aio.settings_manager import settings
from torngas_aio.utils.addresses import is_loopback
from torngas_aio.webserver.options import was_given, workers_wanted
from torngas_aio.webserver.sockets import (
    DEFAULT_BACKLOG,
    LOOPBACK,
    addresses_of,
    bind,
    bind_for_workers,
)

__all__ = ["BIND_ARGUMENTS", "Listeners"]

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


def _address() -> str | None:
    """The address to bind; without any settings, one that only this machine reaches."""
    address: str = options.address
    if settings.is_built_in and not is_loopback(address):
        return LOOPBACK
    return address if settings.IPV4_ONLY or was_given("address") else None
