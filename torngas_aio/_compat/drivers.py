"""What asyncpg and asyncmy keep under private names; what aiomysql does is in `aiomysql.py`."""

from typing import Any

__all__ = ["is_broken", "transport_of"]


def transport_of(connection: Any) -> Any:
    """Return the asyncio transport of a *connection* of asyncpg or asyncmy, None after it was closed here."""
    return connection._transport


def is_broken(connection: Any) -> bool:
    """Whether asyncmy has cut a *connection* off in the middle of an answer."""
    return bool(getattr(connection, "_stream_broken", False))
