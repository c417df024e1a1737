"""The directory in which compiled templates are kept between two starts.

What lies in it is run as code, so nobody else may write there. Begin with `private_directory`.
"""

import logging
import os
import stat
from pathlib import Path

from torngas_aio.exception import ConfigError

__all__ = ["private_directory"]

logger = logging.getLogger("torngas_aio.template")


def private_directory(path: str | None) -> str | None:
    """Return *path*, made if need be and for the owner alone; None when nothing can be kept there.

    Raises:
        ConfigError: It belongs to another user, or others may write to it.
    """
    if not path:
        return None
    where = Path(path).absolute()
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:  # a read-only file system is no reason not to serve
        logger.warning(
            "TEMPLATE_CONFIG['cache_directory'] = %r cannot be used (%s); templates stay in memory.", path, exc
        )
        return None
    found = where.stat()
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise ConfigError(
            f"TEMPLATE_CONFIG['cache_directory'] = {path!r}: others may write to it, and what lies in it is run as "
            "code. Give it to the server's user and take the others' rights: chmod go-w.",
            code="TGA601",
        )
    return str(where)
