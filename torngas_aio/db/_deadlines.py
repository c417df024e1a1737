"""How long a statement may take: the server's own limit, a block's, or none for what takes long by its nature.

    session_scope(timeout=None)  ─┐
    migrations, create_db         ┴─► limited(None): no deadline in the block      DDL: none anywhere

Begin with `deadline_of`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

__all__ = ["STATEMENT_SECONDS", "deadline_of", "limited"]

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
