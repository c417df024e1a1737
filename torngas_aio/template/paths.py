"""Template names: always relative to the template directory, never out of it.

Begin with `safe_name`.
"""

import posixpath

from torngas_aio.exception import TemplateNotFound

__all__ = ["safe_name"]


def safe_name(name: str, parent: str | None = None) -> str:
    """Return *name* in the form a loader keeps it under, relative to *parent*'s folder when given.

    Raises:
        TemplateNotFound: The name is absolute, leads out of the template directory, or holds a backslash, a
            drive or a NUL.
    """
    if not name or "\\" in name or "\0" in name or name.startswith("/") or name[1:2] == ":":
        raise TemplateNotFound(_REFUSED.format(name=name))
    whole = posixpath.join(posixpath.dirname(parent), name) if parent else name
    whole = posixpath.normpath(whole)
    if whole in {".", ".."} or whole.startswith("../"):
        raise TemplateNotFound(_REFUSED.format(name=name))
    return whole


_REFUSED = "Template name {name!r}: write a path below the template directory, such as 'user/login.html'."
