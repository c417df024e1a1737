"""torngas_aio: the Django-like application layer for Tornado, native to asyncio.

Names are imported from their modules on first access, so that importing one part does not import
the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torngas_aio._former_names import former_names
from torngas_aio._version import __version__

if TYPE_CHECKING:
    from torngas_aio.application import Application
    from torngas_aio.db.dbalchemy import session_scope
    from torngas_aio.exception import ArgumentError, ConfigError, UrlError
    from torngas_aio.handler import ApiHandler, ErrorHandler, StaticFileHandler, WebHandler, WebSocketHandler
    from torngas_aio.http.uploads import FolderStorage, UploadedFile
    from torngas_aio.httpmodule import BaseHttpModule
    from torngas_aio.middleware import BaseMiddleware
    from torngas_aio.mounts import mount
    from torngas_aio.scripts import close, project
    from torngas_aio.settings_manager import settings
    from torngas_aio.storage import storify
    from torngas_aio.urlhelper import Url, include, route
    from torngas_aio.utils import Null, cached_property, iterbetter, request_context, safestr, safeunicode, sleep
    from torngas_aio.webserver import Server, run, serve

__all__ = [
    "ApiHandler",
    "Application",
    "ArgumentError",
    "BaseHttpModule",
    "BaseMiddleware",
    "ConfigError",
    "ErrorHandler",
    "FolderStorage",
    "Null",
    "Server",
    "StaticFileHandler",
    "UploadedFile",
    "Url",
    "UrlError",
    "WebHandler",
    "WebSocketHandler",
    "__version__",
    "cached_property",
    "close",
    "include",
    "iterbetter",
    "mount",
    "project",
    "request_context",
    "route",
    "run",
    "safestr",
    "safeunicode",
    "serve",
    "session_scope",
    "settings",
    "sleep",
    "storify",
]

_HOMES = {
    "storify": "torngas_aio.storage",
    "request_context": "torngas_aio.utils",
    "sleep": "torngas_aio.utils",
    "iterbetter": "torngas_aio.utils",
    "safeunicode": "torngas_aio.utils",
    "safestr": "torngas_aio.utils",
    "Null": "torngas_aio.utils",
    "cached_property": "torngas_aio.utils",
    "UrlError": "torngas_aio.exception",
    "ArgumentError": "torngas_aio.exception",
    "ConfigError": "torngas_aio.exception",
    "ApiHandler": "torngas_aio.handler",
    "Application": "torngas_aio.application",
    "BaseHttpModule": "torngas_aio.httpmodule",
    "BaseMiddleware": "torngas_aio.middleware",
    "ErrorHandler": "torngas_aio.handler",
    "FolderStorage": "torngas_aio.http.uploads",
    "Server": "torngas_aio.webserver",
    "StaticFileHandler": "torngas_aio.handler",
    "UploadedFile": "torngas_aio.http.uploads",
    "Url": "torngas_aio.urlhelper",
    "WebHandler": "torngas_aio.handler",
    "WebSocketHandler": "torngas_aio.handler",
    "close": "torngas_aio.scripts",
    "include": "torngas_aio.urlhelper",
    "mount": "torngas_aio.mounts",
    "project": "torngas_aio.scripts",
    "route": "torngas_aio.urlhelper",
    "run": "torngas_aio.webserver",
    "serve": "torngas_aio.webserver",
    "session_scope": "torngas_aio.db.dbalchemy",
    "settings": "torngas_aio.settings_manager",
}
"""Name: the module that defines it."""


def __getattr__(name: str) -> Any:
    if name == "version":  # the name in torngas 1.8
        return tuple(map(int, __version__.split("+")[0].split(".")[:3]))
    if name == "storage":  # a module that can be called like the class of torngas 1.8
        return import_module("torngas_aio.storage")
    home = _HOMES.get(name)
    if home is None:
        return former_names(__name__)(name)
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
