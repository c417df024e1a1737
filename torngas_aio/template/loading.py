"""Template names, file states, and the directory of compiled templates, which persists between starts.

Files in that directory are executed as code, so no other user may have write access.
"""

import logging
import os
import posixpath
import stat
from collections.abc import Iterable
from pathlib import Path

from torngas_aio.exception import ConfigError, TemplateNotFound

__all__ = ["FileWatch", "not_found", "private_directory", "safe_name"]


def safe_name(name: str, parent: str | None = None) -> str:
    """Return *name* normalized, relative to the folder of *parent* if given.

    Raises:
        TemplateNotFound: The name is absolute, leads out of the template directory, or contains a backslash, a drive
            or a NUL.
    """
    if not name or "\\" in name or "\0" in name or name.startswith("/") or name[1:2] == ":":
        raise TemplateNotFound(_REFUSED.format(name=name))
    whole = posixpath.join(posixpath.dirname(parent), name) if parent else name
    whole = posixpath.normpath(whole)
    if whole in {".", ".."} or whole.startswith("../"):
        raise TemplateNotFound(_REFUSED.format(name=name))
    return whole


_REFUSED = "Template name {name!r}: write a path below the template directory, such as 'user/login.html'."


def not_found(name: str, root: object, referrer: str) -> TemplateNotFound:
    """Return the error for *name*, missing below *root*; *referrer* is the template that references it, or itself."""
    by = "" if name == referrer else f"; {referrer!r} extends, includes or imports it"
    return TemplateNotFound(f"No template {name!r} in {root}{by}.")


class FileWatch:
    """The recorded state of some files.

    Args:
        paths: The template's file and those that it extends or includes.
    """

    __slots__ = ("_seen",)

    def __init__(self, paths: Iterable[Path]) -> None:
        self._seen = tuple((os.fspath(path), _stamp(os.fspath(path))) for path in paths)

    def __add__(self, other: "FileWatch") -> "FileWatch":
        both = FileWatch(())
        both._seen = self._seen + other._seen
        return both

    def has_changed(self) -> bool:
        """Return whether any of the files was changed, replaced or removed since."""
        return any(_stamp(path) != stamp for path, stamp in self._seen)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - PERF: a third of Path.stat(), at each load
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


logger = logging.getLogger("torngas_aio.template")


def private_directory(path: str | None) -> str | None:
    """Return *path*, created with mode 0700 if missing; None if it is empty or cannot be created.

    Raises:
        ConfigError: The directory belongs to another user, or others may write to it.
    """
    if not path:
        return None
    where = Path(path).absolute()
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:  # such as a read-only file system: serve without the directory
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
