"""How many processes of this node serve the same application: what is bound per node is divided by it.

--workers=4            the parent tells each worker, which calls `set_processes(4)`
WEB_CONCURRENCY=4      how gunicorn, uvicorn and others are told; read where nothing was said
"""

import logging
import os

__all__ = ["processes", "set_processes", "share_of", "warn_of_memory"]

logger = logging.getLogger("torngas_aio.server")

_said: int | None = None
_warned: set[str] = set()


def set_processes(count: int) -> None:
    """Say how many processes serve; forked ones know it, too."""
    global _said  # noqa: PLW0603  # one number for the process and its children
    _said = count


def processes() -> int:
    """Return how many processes serve on this node, as far as is known; at least 1."""
    if _said is not None:
        return _said
    text = os.environ.get("WEB_CONCURRENCY", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def share_of(total: int) -> int:
    """Return this process's part of *total*, what the node may have in all; at least 1."""
    return max(1, total // processes())


def warn_of_memory(setting: str, each: str) -> None:
    """Warn, once, where several processes serve and *setting* names memory, which is a process's own: *each* ..."""
    if processes() > 1 and setting not in _warned:
        _warned.add(setting)
        logger.warning("%s is in memory, and %d workers serve: each %s. Name a server.", setting, processes(), each)
