"""Signs that the server has ended an idle connection, seen without asking the server.

A server says goodbye, or closes, while no task reads. Until the loop has read that, the driver takes the connection for
a good one, and the next statement fails although it was never sent. Begin with `has_unread`.
"""

import select
from typing import Any

__all__ = ["has_unread"]


def has_unread(transport: Any) -> bool:
    """Whether something has come over an idle connection that the loop has not read yet: mostly its end.

    Takes about 2 us. A connection for which this is true must be pinged before it is used.

    Args:
        transport: The connection's asyncio transport; None, or a closed one, counts as having ended.
    """
    socket = None if transport is None or transport.is_closing() else transport.get_extra_info("socket")
    if socket is None:
        return True
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))
