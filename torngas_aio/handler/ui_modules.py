"""UI methods and modules in templates, as in Tornado; what a module makes is markup to every engine.

Begin with `ui_of`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from tornado.escape import to_unicode
from tornado.util import ObjectDict
from tornado.web import RequestHandler

from torngas_aio._compat.tornado import UIModuleNamespace

__all__ = ["as_markup", "ui_of", "with_embeds"]


def ui_of(handler: RequestHandler) -> Any:
    """Return the UI methods and modules of the application for a template of *handler*, by name."""
    application = handler.application
    ui = ObjectDict((name, partial(method, handler)) for name, method in application.ui_methods.items())
    ui["_tt_modules"] = ui["modules"] = UIModuleNamespace(handler, application.ui_modules)
    return ui


def as_markup(handler: Any, make: Callable[..., str]) -> Callable[..., str]:
    """Return *make*, what calls a UI module, with markup as its result; pages that it renders are made at once."""

    def render(*args: Any, **kwargs: Any) -> str:
        handler._module_depth += 1
        try:
            return _Html(make(*args, **kwargs))
        finally:
            handler._module_depth -= 1

    return render


def with_embeds(handler: RequestHandler, page: bytes) -> bytes:
    """Add the scripts and styles that UI modules of *page* ask for, Tornado's way."""
    if not getattr(handler, "_active_modules", None):
        return page
    embedded: bytes = RequestHandler.render(_Embedding(handler, page), "")  # type: ignore[arg-type, assignment]  # stands in
    return embedded


class _Html(str):
    """What a UI module has made: markup, which no engine escapes again."""

    __slots__ = ()

    def __new__(cls, made: Any) -> "_Html":
        return super().__new__(cls, to_unicode(made))

    def __html__(self) -> str:
        return self


class _Embedding:
    """Stands in for a handler in Tornado's `render`, to have a finished page completed with embeds."""

    _finished = False

    def __init__(self, handler: RequestHandler, page: bytes) -> None:
        self._handler = handler
        self._page = page

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def render_string(self, _: str) -> bytes:
        return self._page

    def finish(self, page: bytes) -> bytes:
        return page
