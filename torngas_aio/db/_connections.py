"""Connections of both layers: how long a statement may take, and whether an idle connection has ended.

    session_scope(timeout=None)  ─┐
    migrations, create_db         ┴─► limited(None): no deadline in the block      DDL: none anywhere

A server says goodbye, or closes, while no task reads. Until the loop has read that, the driver takes the connection for
a good one, and the next statement fails although it was never sent: `has_unread` sees it without asking the server.
Begin with `deadline_of`.
"""

import re
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

__all__ = ["STATEMENT_SECONDS", "deadline_of", "has_unread", "limited"]

STATEMENT_SECONDS = 30.0
"""How long a statement may go unanswered, where the settings do not say."""

_limit: ContextVar[float | None] = ContextVar("torngas_aio_db_deadline")

_LONG = re.compile(
    r"\s*(?:create|alter|drop|truncate|rename|optimize|analyze|repair|check|vacuum|reindex|cluster|refresh|load|copy)\b",
    re.IGNORECASE,
)


def deadline_of(statement: str, default: float | None) -> float | None:
    """Return the seconds that *statement* has; None without a limit: DDL, and whatever a block exempts."""
    seconds = _limit.get(default)
    return None if seconds is None or _LONG.match(statement) else seconds


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Give the statements of this block *seconds* each; None: as long as they take."""
    token = _limit.set(seconds)
    try:
        yield
    finally:
        with suppress(ValueError):  # a generator that is closed in another context, such as a pytest fixture's
            _limit.reset(token)


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
