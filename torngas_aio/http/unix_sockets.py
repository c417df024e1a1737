"""Listening on a unix socket: when its path may be used, and by whom it is removed.

    path absent, or its server dead (connections are refused)   bound
    a server responds, or its state cannot be determined         refused
    at the end                                                   removed, if it is still the file created here

The folder is locked during these steps: a server between `bind` and `listen` also refuses connections, and two servers
that replace a dead server's socket at the same time would each remove the other's.
"""

import contextlib
import os
import socket
import time
import weakref
from collections.abc import Callable, Collection, Generator, Iterable
from pathlib import Path

from torngas_aio.exception import ConfigError

__all__ = ["DEFAULT_BACKLOG", "UNIX_MODE", "UnixListener", "UnixListeners"]

DEFAULT_BACKLOG = 1024
UNIX_MODE = 0o660

_LOCK_SECONDS = 5.0
"""Longest wait for another process's lock on the folder; after that the server continues without it."""


class UnixListener:
    """A listening unix socket and its file.

    Attributes:
        socket: Bound, listening and non-blocking.

    Raises:
        ConfigError: A live server listens there, or the path cannot be used.
    """

    def __init__(self, path: str, *, backlog: int, mode: int = UNIX_MODE) -> None:
        self._path = Path(path).absolute()
        with _lock_folder(self._path.parent):
            if self._path.is_socket():
                _refuse_live(path)
                self._path.unlink(missing_ok=True)
            self.socket = self._bind(path, backlog, mode)

    @classmethod
    def adopted(cls, path: str, sock: socket.socket) -> "UnixListener":
        """Return the owner of *path*, to which the program replaced by this one (exec) has bound *sock*."""
        listener = cls.__new__(cls)
        listener._path = Path(path).absolute()
        listener._file = _keep_open(listener._path)
        listener.socket = sock
        return listener

    def _bind(self, path: str, backlog: int, mode: int) -> socket.socket:
        with contextlib.ExitStack() as opened:
            sock = opened.enter_context(socket.socket(socket.AF_UNIX))
            try:
                sock.bind(path)
                self._path.chmod(mode)
                sock.listen(backlog)
                self._file = _keep_open(self._path)
            except OSError as exc:
                raise ConfigError(
                    f"Cannot listen on the unix socket {path}: {exc.strerror or exc}. "
                    "Choose a path that is free, short, and in a directory that exists.",
                    code="TGA801",
                ) from exc
            sock.setblocking(False)
            opened.pop_all()
        return sock

    def remove(self) -> None:
        """Remove the file, unless another server has replaced it."""
        with _lock_folder(self._path.parent), contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._path.lstat(), self._file()):
                self._path.unlink()


class UnixListeners:
    """The unix sockets that a parent holds for its workers: their files outlive the worker that requested them."""

    def __init__(self) -> None:
        self._listeners: dict[str, UnixListener] = {}
        self._is_closed = False

    def answer(self, asking: Iterable[socket.socket], path: str) -> None:
        """Send the socket that listens at *path*, or the error, on each of *asking*; then close these."""
        why = ""
        if path not in self._listeners and not self._is_closed:
            try:
                self._listeners[path] = UnixListener(path, backlog=DEFAULT_BACKLOG)
            except (ConfigError, OSError, ValueError) as exc:
                why = str(exc)
        for each in asking:
            with each, contextlib.suppress(OSError):  # the worker has died
                if path in self._listeners and not self._is_closed:
                    socket.send_fds(each, [b" "], [self._listeners[path].socket.fileno()])
                else:
                    each.sendall(why.encode())

    def keep(self, paths: Collection[str]) -> None:
        """Close and remove the sockets that are not in *paths*: the new code does not use them."""
        for path in [each for each in self._listeners if each not in paths]:
            listener = self._listeners.pop(path)
            listener.socket.close()
            listener.remove()

    def close(self) -> None:
        """Close the sockets: listening ends with the last worker's copy."""
        self._is_closed = True
        for listener in self._listeners.values():
            listener.socket.close()

    def remove(self) -> None:
        """Close the sockets and remove their files."""
        self.close()
        self.keep(())


@contextlib.contextmanager
def _lock_folder(folder: Path) -> Generator[None]:
    """Keep other servers from using or removing a path in *folder*, if it is readable and `flock` is available."""
    with contextlib.ExitStack() as opened:
        with contextlib.suppress(ImportError, OSError):  # continue without the lock
            import fcntl  # not on Windows

            number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            opened.callback(os.close, number)
            until = time.monotonic() + _LOCK_SECONDS
            while time.monotonic() < until:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.01)
        yield


def _keep_open(path: Path) -> Callable[[], os.stat_result]:
    """Return a function that stats the file now at *path*; it stays open, so that its inode number is not reused."""
    if not hasattr(os, "O_PATH"):
        found = path.lstat()
        return lambda: found
    file = _Descriptor(os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW))
    return lambda: os.fstat(file.number)


class _Descriptor:
    """A file descriptor that is closed with its last reference."""

    def __init__(self, number: int) -> None:
        self.number = number
        weakref.finalize(self, os.close, number)


def _refuse_live(path: str) -> None:
    """Raise unless connections to *path* are refused: any other result, such as a full backlog, may be a live server.

    Raises:
        ConfigError: A server is alive, or may be.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as exc:
            reason = f"a server may be listening there ({exc.strerror or exc})"
        else:
            reason = "another server listens there"
    raise ConfigError(
        f"Cannot listen on the unix socket {path}: {reason}. Stop it, or choose another path.", code="TGA801"
    )
