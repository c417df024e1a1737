"""sd_notify and socket activation of systemd.

    NOTIFY_SOCKET               receives READY=1, RELOADING=1, STOPPING=1, WATCHDOG=1 (Type=notify, notify-reload)
    WATCHDOG_USEC               the interval within which WATCHDOG=1 is expected
    LISTEN_PID, LISTEN_FDS      listening sockets opened by systemd, from descriptor 3 on

Without these variables every call does nothing.
"""

import contextlib
import os
import socket
import time
from collections.abc import Sequence

from torngas_aio.exception import ConfigError
from torngas_aio.utils.numbers import parse_whole

__all__ = ["ServiceManager", "inherited_sockets", "listening_variables"]

_FIRST_DESCRIPTOR = 3


class ServiceManager:
    """The service manager that has started this process, if any.

    Its variables are removed from the environment, so that child processes do not use them.

    Attributes:
        watchdog_seconds: Interval for `WATCHDOG=1`: half of the unit's; 0: not expected.
    """

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        is_ours = not pid or pid == str(os.getpid())
        self.watchdog_seconds = (parse_whole(microseconds) or 0) / 2e6 if is_ours else 0.0

    def ready(self, status: str) -> None:
        """Report that the server is serving, after the start or after `reloading`."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Report that new code is being loaded; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Report that the server is stopping."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Report that the server is alive."""
        self._send("WATCHDOG=1")

    def hand_over(self) -> dict[str, str]:
        """Return the variables for a program that replaces this one in the same process (exec)."""
        found = {"NOTIFY_SOCKET": self._address} if self._address else {}
        if self.watchdog_seconds:
            found["WATCHDOG_USEC"] = str(int(self.watchdog_seconds * 2e6))
        return found

    def _send(self, text: str) -> None:
        if not self._address:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a manager that does not read must not stop the server
            sender.sendto(text.encode(), name)


def inherited_sockets() -> list[socket.socket]:
    """Return the listening sockets that systemd has opened for this process (socket activation); [] if none.

    Raises:
        ConfigError: A descriptor is not open.
    """
    pid, count = os.environ.get("LISTEN_PID", ""), os.environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not parse_whole(count):
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    numbers = range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))
    number = _FIRST_DESCRIPTOR
    try:
        for number in numbers:
            os.set_inheritable(number, False)
        return [socket.socket(fileno=number) for number in numbers]
    except OSError as exc:
        raise ConfigError(
            f"LISTEN_FDS={count}: descriptor {number} is not a listening socket ({exc.strerror}). Unset LISTEN_FDS, "
            "or start the server by a socket unit.",
            code="TGA801",
        ) from exc


def listening_variables(sockets: Sequence[socket.socket]) -> dict[str, str]:
    """Duplicate *sockets* to the descriptors of socket activation for exec; return the variables to set.

    Other files on these descriptors are closed: the program must be replaced next.
    """
    for number, each in enumerate(sockets):
        os.dup2(each.fileno(), _FIRST_DESCRIPTOR + number)
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(sockets))}
