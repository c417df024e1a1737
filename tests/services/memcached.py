"""Memcached servers for the tests: one server, or three that share the keys.

Begin with `MemcachedServer`; a list of three is `[MemcachedServer() for _ in range(3)]`.
"""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services.process import HERE, Place, ServerProcess, binary, free_port

__all__ = ["MemcachedServer", "command"]


def command(address: tuple[str, int] | str, line: str) -> str:
    """Send one line on a new connection; return the first line of the reply, "" if there is none."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        try:
            sock.connect(address)
            sock.sendall(line.encode() + b"\r\n")
            return sock.makefile("rb").readline().decode().strip()
        except OSError:
            return ""


class MemcachedServer:
    """One memcached.

    Args:
        arguments: Further arguments of the program, such as "-m", "8".
        unix_socket: Listen on a unix socket, `socket_path`, instead of a port.
        place: Where it runs.
    """

    def __init__(self, *arguments: str, unix_socket: bool = False, place: Place = HERE) -> None:
        self.host = place.address
        self.port = free_port()
        self.process = ServerProcess("memcached", self._command, self._answers, place=place)
        self._arguments = arguments
        self._unix_socket = unix_socket

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.close()

    @property
    def address(self) -> str:
        """Host and port, in the format of `LOCATION`."""
        return f"{self.host}:{self.port}"

    @property
    def socket_path(self) -> str:
        """Path of the unix socket."""
        return str(self.process.folder / "memcached.sock")

    def command(self, line: str) -> str:
        """Send one line and return the first line of the reply."""
        return command(self.socket_path if self._unix_socket else (self.host, self.port), line)

    def _command(self, folder: Path) -> list[str]:
        where = ["-s", str(folder / "memcached.sock")] if self._unix_socket else ["-l", self.host, "-p", str(self.port)]
        user = ["-u", "root"] if os.geteuid() == 0 else []
        return [binary("memcached"), *where, *user, "-U", "0", *self._arguments]

    def _answers(self) -> bool:
        return self.command("version").startswith("VERSION")
