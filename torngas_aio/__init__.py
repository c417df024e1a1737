"""torngas_aio: the Django-like application layer for Tornado, native to asyncio.

Names are handed on from where they live when first asked for, so that importing one part costs nothing of
the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torngas_aio._version import __version__

if TYPE_CHECKING:
    from torngas_aio.application import Application
    from torngas_aio.db.dbalchemy import session_scope
    from torngas_aio.handler import ApiHandler, ErrorHandler, StaticFileHandler, WebHandler, WebSocketHandler
    from torngas_aio.httpmodule import BaseHttpModule
    from torngas_aio.middleware import BaseMiddleware
    from torngas_aio.scripts import close, project
    from torngas_aio.settings_manager import settings
    from torngas_aio.urlhelper import Url, include, route
    from torngas_aio.webserver import Server, run, serve

__all__ = [
    "ApiHandler",
    "Application",
    "BaseHttpModule",
    "BaseMiddleware",
    "ErrorHandler",
    "Server",
    "StaticFileHandler",
    "Url",
    "WebHandler",
    "WebSocketHandler",
    "__version__",
    "close",
    "include",
    "project",
    "route",
    "run",
    "serve",
    "session_scope",
    "settings",
]

_HOMES = {
    "ApiHandler": "torngas_aio.handler",
    "Application": "torngas_aio.application",
    "BaseHttpModule": "torngas_aio.httpmodule",
    "BaseMiddleware": "torngas_aio.middleware",
    "ErrorHandler": "torngas_aio.handler",
    "Server": "torngas_aio.webserver",
    "StaticFileHandler": "torngas_aio.handler",
    "Url": "torngas_aio.urlhelper",
    "WebHandler": "torngas_aio.handler",
    "WebSocketHandler": "torngas_aio.handler",
    "close": "torngas_aio.scripts",
    "include": "torngas_aio.urlhelper",
    "project": "torngas_aio.scripts",
    "route": "torngas_aio.urlhelper",
    "run": "torngas_aio.webserver",
    "serve": "torngas_aio.webserver",
    "session_scope": "torngas_aio.db.dbalchemy",
    "settings": "torngas_aio.settings_manager",
}
"""Name: the module it is handed on from."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
