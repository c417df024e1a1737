"""Accepting connections from a listening socket, with a pause when file descriptors run out.

    readable ──► accept, up to 64 in a turn ──► take(connection)
    out of file descriptors ──► pause for a second; one log line at the start and one at the end

Without the pause, asyncio's own server logs a thousand lines each time and Tornado's retries at once.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["LAST_SECONDS", "Acceptor"]

logger = logging.getLogger("torngas_aio.http")

LAST_SECONDS = 0.5
"""How long an idle connection stays open during a stop: a request of its client may be in flight."""

_PER_TURN = 64
"""Connections accepted in one turn of the loop."""

_PAUSE_SECONDS = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# SPEC: accept(2): the error belongs to the connection that was to be accepted, not to the listening socket.
_LOST = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.EHOSTDOWN, errno.EHOSTUNREACH,
         errno.ENETUNREACH, errno.ENOPROTOOPT, errno.EOPNOTSUPP)  # fmt: skip


class Acceptor:
    """The acceptor of connections on one listening socket.

    Attributes:
        socket: The listening socket.

    Args:
        sock: A listening socket; closed with the acceptor.
        take: Called with each accepted connection, which it then owns, and the peer's address.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, take: Callable[[socket.socket, Any], None]
    ) -> None:
        self._loop = loop
        sock.setblocking(False)
        self.socket = sock
        self._take = take
        self._is_exhausted = False
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start accepting."""
        self._pause = None
        self._loop.add_reader(self.socket.fileno(), self._accept)

    def accept_rest(self) -> None:
        """Accept everything in the kernel's queue; called right before `close`, this loses almost no connection."""
        while self._accept():
            pass

    def close(self) -> None:
        """Stop accepting and close the socket; calling it twice is harmless."""
        if self._pause is not None:
            self._pause.cancel()
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket.fileno())
            self.socket.close()

    def _accept(self) -> bool:
        """Accept up to `_PER_TURN` connections; return whether there may be more."""
        for _ in range(_PER_TURN):
            try:
                accepted, address = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as exc:
                if exc.errno in _LOST:
                    continue
                self._pause_accepting(exc)
                return False
            if self._is_exhausted:
                self._is_exhausted = False
                logger.warning("Connections are accepted again.")
            accepted.setblocking(False)
            self._take(accepted, address)
        return True

    def _pause_accepting(self, error: OSError) -> None:
        """Pause before the next attempt: exhausted resources are not released at once."""
        if error.errno not in _EXHAUSTED:
            raise error
        if not self._is_exhausted:
            self._is_exhausted = True
            logger.error(
                "No connection can be accepted (%s): clients wait, the server tries again each second. "
                "Raise the limit of open files (ulimit -n), or lower the number of connections.",
                error.strerror,
            )
        self._loop.remove_reader(self.socket.fileno())
        if self._pause is None:
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self.start)
