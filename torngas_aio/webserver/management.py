"""The management listener: an address of its own for everything under `/-/`.

    MANAGEMENT = "127.0.0.1:9100"    `/-/...` is answered there only, and nothing else is
                 "unix:/run/x.sock"  the same by path, for one process

With `--workers` each of them listens on the port, and any answers for all. Begin with `ManagementListener`.
"""

import socket
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakKeyDictionary

from torngas_aio.exception import ConfigError
from torngas_aio.http.unix_sockets import UnixListener
from torngas_aio.utils.numbers import parse_whole
from torngas_aio.webserver.sockets import DEFAULT_BACKLOG, bind

__all__ = ["ManagementListener"]

_PREFIX = "/-/"
_UNIX = "unix:"


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
        self._name: str | int = setting.removeprefix(_UNIX)
        if setting.startswith(_UNIX) and setting != _UNIX:
            if is_shared:
                raise ConfigError(
                    f"MANAGEMENT = {setting!r}: workers cannot share a path. Write host:port.", code="TGA801"
                )
            self._unix = UnixListener(setting.removeprefix(_UNIX), backlog=DEFAULT_BACKLOG)
            self.sockets = [self._unix.socket]
        elif setting:
            host, _, port = setting.rpartition(":")
            number = parse_whole(port)
            if not host or not number:
                raise ConfigError(
                    f"MANAGEMENT = {setting!r}: write host:port, such as '127.0.0.1:9100', or unix: and a path.",
                    code="TGA801",
                )
            self._name = number
            self.sockets = bind(number, host.strip("[]"), reuse_port=is_shared)

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


async def _refuse(request: Any) -> None:
    fields = (("Content-Type", "text/plain; charset=UTF-8"), ("Connection", "close"))
    request.connection.respond(404, "Not Found", fields, b"404 Not Found\n", request.method == "HEAD")
