"""Taking connections from a listening socket, where the loop's own way of it does not do.

    readable ──► accept, a few at a time ──► take(connection)
    out of file descriptors ──► pause for a second, one line in the log until it is over

asyncio's own server logs a thousand lines each time, Tornado's tries again without a pause.
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
"""How long an idle connection stays open at a stop: its client may have sent a request that is on its way."""

_PER_TURN = 64
"""Connections that are accepted in one turn of the loop."""

_PAUSE_SECONDS = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# Of the one connection that was to be accepted, as accept(2) says; the next one may do.
_LOST = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.EHOSTDOWN, errno.EHOSTUNREACH,
         errno.ENETUNREACH, errno.ENOPROTOOPT, errno.EOPNOTSUPP)  # fmt: skip


class Acceptor:
    """Accepts the connections of one listening socket.

    Attributes:
        socket: Where it listens.

    Args:
        sock: Listening; closed with the acceptor.
        take: Called with each connection, which is its own from then on, and the address of its other side.
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
        """Begin to accept."""
        self._pause = None
        self._loop.add_reader(self.socket.fileno(), self._accept)

    def accept_rest(self) -> None:
        """Accept what the system holds; close right after it, and next to nothing is lost."""
        while self._accept():
            pass

    def close(self) -> None:
        """Accept no more and close the socket; twice is harmless."""
        if self._pause is not None:
            self._pause.cancel()
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket.fileno())
            self.socket.close()

    def _accept(self) -> bool:
        """Accept a few; return whether there may be more."""
        for _ in range(_PER_TURN):
            try:
                accepted, address = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as exc:
                if exc.errno in _LOST:
                    continue
                self._rest(exc)
                return False
            if self._is_exhausted:
                self._is_exhausted = False
                logger.warning("Connections are accepted again.")
            accepted.setblocking(False)
            self._take(accepted, address)
        return True

    def _rest(self, error: OSError) -> None:
        """Wait a while before the next try: what is missing does not come back at once."""
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
