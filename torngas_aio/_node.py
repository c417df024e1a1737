"""The number of processes on this node that serve the same application, for dividing limits per node.

--workers=4            the parent configures each worker, which calls `set_processes(4)`
WEB_CONCURRENCY=4      the variable of gunicorn, uvicorn and others; read if `set_processes` was not called
"""

import logging
import os

__all__ = ["processes", "set_processes", "share_of", "warn_of_memory"]

logger = logging.getLogger("torngas_aio.server")

_said: int | None = None  # by `set_processes`
_warned: set[str] = set()


def set_processes(count: int) -> None:
    """Set the number of serving processes; forked children inherit it."""
    global _said  # noqa: PLW0603  # one number for the process and its children
    _said = count


def processes() -> int:
    """Return the number of serving processes on this node, as far as known; at least 1."""
    if _said is not None:
        return _said
    text = os.environ.get("WEB_CONCURRENCY", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def share_of(total: int) -> int:
    """Return this process's share of *total*, the limit for the node; at least 1."""
    return max(1, total // processes())


def warn_of_memory(setting: str, each: str) -> None:
    """Log a warning, once, if several processes serve and *setting* is in memory, so that *each* has its own."""
    if processes() > 1 and setting not in _warned:
        _warned.add(setting)
        logger.warning("%s is in memory, and %d workers serve: each %s. Name a server.", setting, processes(), each)
