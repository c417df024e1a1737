"""What the system still holds of what a socket was given to send.

Begin with `queued_bytes`.
"""

import struct
from typing import Any

try:
    import fcntl
    import termios
except ImportError:  # not on this system: progress is then seen later, when the system takes more
    _ask = None
else:
    _ask = getattr(termios, "TIOCOUTQ", None)

__all__ = ["queued_bytes"]

_int = struct.Struct("i")


def queued_bytes(sock: Any) -> int:
    """Return how many bytes the other side has not acknowledged; 0 where the system does not tell."""
    if _ask is None or sock is None:
        return 0
    try:
        size: int = _int.unpack(fcntl.ioctl(sock.fileno(), _ask, b"\0\0\0\0"))[0]
    except (OSError, ValueError):  # closed meanwhile
        return 0
    return size
