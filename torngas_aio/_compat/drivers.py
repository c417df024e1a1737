"""Private names of asyncpg and asyncmy; for those of aiomysql see `aiomysql.py`."""

from typing import Any

__all__ = ["is_broken", "transport_of"]


def transport_of(connection: Any) -> Any:
    """Return the asyncio transport of a *connection* of asyncpg or asyncmy, None after the client has closed it."""
    return connection._transport


def is_broken(connection: Any) -> bool:
    """Return whether asyncmy has aborted a *connection* in the middle of a reply."""
    return bool(getattr(connection, "_stream_broken", False))
