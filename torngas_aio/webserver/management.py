"""The management listener: a separate listener for `/-/...`.

    MANAGEMENT = "127.0.0.1:9100"    `/-/...` is served there only, and no other path is
                 "unix:/run/x.sock"  the same on a Unix socket

With `--workers` each worker listens on the management port, or on the parent's Unix socket, and can report for all.
"""

from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakKeyDictionary

from torngas_aio.exception import ConfigError
from torngas_aio.http.response import refuse
from torngas_aio.http.unix_sockets import DEFAULT_BACKLOG, UnixListener
from torngas_aio.http.worker import Worker
from torngas_aio.utils.hosts import parse_listener
from torngas_aio.webserver.listeners import Listeners, name_of, open_sockets

__all__ = ["ManagementListener"]

_PREFIX = "/-/"


class ManagementListener(Listeners):
    """The listening sockets of MANAGEMENT.

    Attributes:
        sockets: Empty if MANAGEMENT is empty.

    Args:
        setting: MANAGEMENT's value.
        among: Inherited sockets; after a renewal they include the management sockets.
        worker: This worker process, if others listen on the same port or path.
        named: Name of *setting* in error messages, such as a command line option; by default the setting.

    Raises:
        ConfigError: The address is invalid or cannot be bound.
    """

    def __init__(
        self, setting: str = "", *, among: Listeners | None = None, worker: Worker | None = None, named: str = ""
    ) -> None:
        super().__init__()
        self._name: str | int = ""
        if not setting:
            return
        where = parse_listener(setting, named)
        named = named or f"MANAGEMENT = {setting!r}"
        try:
            if isinstance(where, tuple):
                host, self._name = where
                self.sockets = among.take(self._name) if among else []
                self.sockets = self.sockets or (
                    # One socket per worker, bound only: if it listened, connections would wait until the worker serves.
                    open_sockets(self._name, host)
                    if worker is None
                    else open_sockets(self._name, host, backlog=0, reuse_port=True)
                )
                return
            if worker is not None:
                self.sockets = [worker.listen_at(where)]
            elif found := among.take(where) if among else []:
                self.sockets, self._unix = found, UnixListener.adopted(where, found[0])
            else:
                self._unix = UnixListener(where, backlog=DEFAULT_BACKLOG)
                self.sockets = [self._unix.socket]
            self._name = self.sockets[0].getsockname()
        except ConfigError as exc:
            raise ConfigError(*(f"{named}: {each}" for each in exc.faults), code="TGA801") from exc
        except OSError as exc:
            raise ConfigError(
                f"{named}: cannot listen there: {exc.strerror or exc}. Choose an address of this machine and a port "
                "that is free, and is 1024 or more.",
                code="TGA801",
            ) from exc

    def guarded(
        self, serve: Callable[[Any], Coroutine[object, None, None]]
    ) -> Callable[[Any], Coroutine[object, None, None]]:
        """Wrap *serve* so that requests on the wrong listener get 404."""
        known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # by connection

        def serve_guarded(request: Any) -> Coroutine[object, None, None]:
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
        return name_of(name) == self._name


async def _refuse(request: Any) -> None:
    refuse(request.connection, 404, is_head=request.method == "HEAD")
