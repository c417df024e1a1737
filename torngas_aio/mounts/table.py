"""`mount`: a rule of a URL table for an application of another framework."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from torngas_aio._compat.stdlib import frame_above
from torngas_aio.exception import UrlError
from torngas_aio.handler.mounted import MountHandler
from torngas_aio.mounts.running import RunningASGI, RunningWSGI
from torngas_aio.urlhelper import UrlSpec

__all__ = ["Mount", "mount"]

_REST = "(?:/.*)?"
_SAFE = "/!$&'()*+,;=:@~-._%"


@dataclass(frozen=True, eq=False)
class Mount:
    """An application and the options of its mount."""

    application: Any
    prefix: str
    is_wsgi: bool
    threads: int
    max_body_size: int | None
    allows_cross_site: bool

    def running(self) -> RunningASGI | RunningWSGI:
        """Return the object that runs the application; open it before the first request."""
        if self.is_wsgi:
            return RunningWSGI(self.application, self.threads)
        return RunningASGI(self.application, repr(self))

    def __repr__(self) -> str:
        return f"<mount {self.prefix or '/'!r}: {type(self.application).__qualname__}>"


def mount(
    prefix: str,
    application: Callable[..., Any],
    name: str | None = None,
    *,
    max_body_size: int | None = None,
    allows_cross_site: bool = False,
    threads: int = 10,
) -> UrlSpec:
    """Return the rule for *application* at *prefix* and everything below it.

    The rule's hooks, HTTP modules and access log apply. The application gets the whole path, with *prefix* (and that of
    an `include`) in `root_path` or SCRIPT_NAME. Its lifespan runs with that of ours. `scope["torngas_aio.handler"]` is
    the handler, with `current_user` and `session`.

    Args:
        prefix: Plain text, such as "/admin"; "/" for every path that no earlier rule matches.
        application: An ASGI application, or a WSGI one (extra `mount`).
        name: For ROUTE_MODULES.
        max_body_size: The largest request body in bytes; None: the server's limit.
        allows_cross_site: Allow POST, PUT, PATCH and DELETE from pages of other sites; otherwise the response is 403.
        threads: How many requests a WSGI application serves concurrently.

    Raises:
        UrlError: *prefix* does not begin with "/", or *application* is neither.
    """
    place = _caller()
    if prefix and not prefix.startswith("/"):
        raise UrlError(f"{place}: mount({prefix!r}, ...): begin the prefix with a slash.", code="TGA202")
    prefix = quote(prefix.rstrip("/"), safe=_SAFE)
    found = Mount(application, prefix, _is_wsgi(application, place), threads, max_body_size, allows_cross_site)
    return _MountSpec(re.escape(prefix) + _REST, MountHandler, {"mount": found}, name, place=place)


class _MountSpec(UrlSpec):
    """The rule of a mount; `include` creates another one with its own pattern."""

    def __init__(self, pattern: Any, handler: object, kwargs: Any = None, name: str | None = None, **more: Any) -> None:
        source = pattern if isinstance(pattern, str) else pattern.pattern
        root = re.compile(source.removesuffix("$").removesuffix(_REST))
        super().__init__(pattern, handler, {**kwargs, "root": root}, name, **more)


def _is_wsgi(application: object, place: str) -> bool:
    """Return whether *application* accepts `environ` and `start_response` instead of `scope`, `receive` and `send`."""
    if callable(application) and not inspect.isclass(application):
        signature = inspect.signature(application)
        for is_wsgi, count in ((False, 3), (True, 2)):
            try:
                signature.bind(*[None] * count)
            except TypeError:
                continue
            return is_wsgi
    raise UrlError(
        f"{place}: mount(): {application!r} is neither application(scope, receive, send), as ASGI has it, nor "
        "application(environ, start_response), as WSGI has it.",
        code="TGA202",
    )


def _caller() -> str:
    frame = frame_above(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
