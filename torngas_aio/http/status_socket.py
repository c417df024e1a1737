"""The parent process's status for operators: a unix socket in a folder that only its user can access.

parent           sends one JSON object on each connection and closes it
`torngas-aio ps` queries every parent of this user
"""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from torngas_aio._json import JsonObject

__all__ = ["StatusSocket", "ask_all"]

_SECONDS = 1.0
_MAX_BYTES = 1_000_000


class StatusSocket:
    """The status socket of this process; if it cannot be created, the server runs without it.

    Attributes:
        socket: Listening and non-blocking, or None.
    """

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self._path = _folder() / f"{os.getpid()}.sock"

    def __enter__(self) -> Self:
        made = socket.socket(socket.AF_UNIX)
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            if _is_own(self._path.parent):
                self._path.unlink(missing_ok=True)  # left by a process with the same id
                made.bind(str(self._path))
                made.listen(4)
                made.setblocking(False)
                self.socket = made
        except OSError:
            pass
        if self.socket is None:
            made.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.socket is not None:
            self.socket.close()
            self._path.unlink(missing_ok=True)

    def answer(self, told: dict[str, object]) -> None:
        """Accept one connection, send *told* and close it, without waiting for a client that does not read."""
        assert self.socket is not None
        with suppress(OSError):
            client, _ = self.socket.accept()
            with client:
                client.setblocking(False)
                client.send(json.dumps(told).encode())


def ask_all() -> Iterator[JsonObject]:
    """Yield the status of each parent of this user; sockets of dead parents are removed."""
    folder = _folder()
    if not folder.is_dir() or not _is_own(folder):
        return
    for path in sorted(folder.glob("*.sock")):
        try:
            yield _ask(path)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except (OSError, ValueError):
            continue


def _ask(path: Path) -> JsonObject:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_SECONDS)
        client.connect(str(path))
        with client.makefile("rb") as answer:
            told: dict[str, object] = json.loads(answer.read(_MAX_BYTES))
            return told


def _folder() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), f"torngas_aio-{os.getuid()}")


def _is_own(folder: Path) -> bool:
    """Return whether only this user can access *folder*: others can create one in a shared temporary folder."""
    found = folder.lstat()
    return found.st_uid == os.getuid() and found.st_mode & 0o170077 == 0o040000
