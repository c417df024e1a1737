"""`HostApplication`: the attributes of an application that its handlers use."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakSet

from tornado import web
from tornado.websocket import WebSocketHandler

from torngas_aio.handler.static_files import FileCache
from torngas_aio.pipeline import Pipeline
from torngas_aio.routing import ApplicationRouter
from torngas_aio.template import TemplateLoader

__all__ = ["HostApplication", "LoaderKey"]

LoaderKey = tuple[str, Callable[..., object], int]
"""Directory, the class's `create_template_loader`, and the id of the configuration."""


class HostApplication(web.Application):
    """A `tornado.web.Application` with a pipeline; `application.Application` sets and documents these attributes."""

    awaits_modules: bool
    broadcast: Callable[..., Coroutine[object, None, int]]
    absent_pages: set[tuple[LoaderKey, str]]
    default_router: ApplicationRouter
    is_debug: bool
    is_stopping: asyncio.Event
    mounts: dict[Any, Any]
    open_sockets: WeakSet[WebSocketHandler]
    pipeline: Pipeline
    request_timeout: float | None
    static_files: FileCache
    sockets_end: tuple[int, str] | None
    template_loaders: dict[LoaderKey, tuple[TemplateLoader, object]]
    ui_methods: dict[str, Callable[..., str]]
    ui_modules: dict[str, type[web.UIModule]]
    use_etag: bool
    wildcard_router: ApplicationRouter
