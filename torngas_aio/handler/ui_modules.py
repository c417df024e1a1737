"""UI methods and modules in templates, as in Tornado; what a module makes is markup to every engine.

A page that may call a module with `async def render` is made where it can wait for it, see `template.waiting`; other
pages are made as fast as ever. Begin with `ui_of`.
"""

# pyright: reportPrivateUsage=false

from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from importlib import import_module
from inspect import iscoroutine, iscoroutinefunction, unwrap
from typing import Any

from tornado.escape import to_unicode
from tornado.util import ObjectDict
from tornado.web import RequestHandler, UIModule

from torngas_aio._compat.tornado import UIModuleNamespace
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.template import PageMaker, Template

__all__ = ["awaits_modules", "begin_with_modules", "module_call", "render_with_modules", "ui_of", "with_embeds"]


def ui_of(handler: ResponseHandler) -> ObjectDict:
    """Return the UI methods and modules of the application for a template of *handler*, by name."""
    application = handler.application
    ui = ObjectDict((name, partial(method, handler)) for name, method in application.ui_methods.items())
    ui["_tt_modules"] = ui["modules"] = UIModuleNamespace(handler, application.ui_modules)
    return ui


def module_call(handler: ResponseHandler, name: str, kind: type[UIModule]) -> Callable[..., Any]:
    """Return what calls the UI module *name* in a template of *handler* and gives markup.

    One object serves all calls of a page. Pages that `render` makes are made at once; what it returns is awaited,
    if need be, before the page goes on.
    """

    def render(*args: Any, **kwargs: Any) -> Any:
        active = handler.__dict__.setdefault("_active_modules", {})
        if name not in active:
            active[name] = kind(handler)
        handler._module_depth += 1
        try:
            made = active[name].render(*args, **kwargs)
        finally:
            handler._module_depth -= 1
        return _wait_for_module(handler, active[name], made) if _must_await(made) else _Html(made)

    return render


def awaits_modules(modules: Mapping[str, type[UIModule]]) -> bool:
    """Return whether a page may have to wait for one of *modules*: its `render` is `async def`.

    Raises:
        ConfigError: One is, and greenlet is not installed.
    """
    found = [kind for kind in modules.values() if iscoroutinefunction(unwrap(kind.render))]
    if found:
        try:
            import_module("torngas_aio.template.waiting")
        except ImportError as exc:
            raise ConfigError(f"ui_modules: {found[0].__qualname__}: {exc}.", code="TGA105") from exc
    return bool(found)


def begin_with_modules(handler: ResponseHandler, template: Template, values: dict[str, Any]) -> bytes | PageMaker:
    """Return the page, or what makes it, as `Template.begin` does; UI modules in it may wait."""
    return partial(_render_waiting, template, values) if _may_wait(handler, values) else template.begin(values)


def render_with_modules(handler: ResponseHandler, template: Template, values: dict[str, Any]) -> Awaitable[bytes]:
    """Return what gives the page, as `Template.render` does; UI modules in it may wait."""
    return _render_waiting(template, values) if _may_wait(handler, values) else template.render(values)


def with_embeds(handler: RequestHandler, page: bytes) -> bytes:
    """Add the scripts and styles that UI modules of *page* ask for, Tornado's way."""
    if not getattr(handler, "_active_modules", None):
        return page
    embedded: bytes = RequestHandler.render(_Embedding(handler, page), "")  # type: ignore[arg-type, assignment]  # stands in
    return embedded


def _may_wait(handler: ResponseHandler, values: dict[str, Any]) -> bool:
    return handler.application.awaits_modules and ("_tt_modules" in values or "modules" in values)


async def _render_waiting(template: Template, values: dict[str, Any]) -> bytes:
    from torngas_aio.template.waiting import in_greenlet

    return await in_greenlet(template.render, values)


def _wait_for_module(handler: ResponseHandler, module: UIModule, made: Awaitable[Any]) -> Any:
    from torngas_aio.template.waiting import can_wait, wait_for

    if not can_wait():
        return _Unwaited(module, made)
    # While the page waits, the handler is not inside the module: what runs now can await.
    depth, handler._module_depth = handler._module_depth, 0
    try:
        return wait_for(_html_of(made))
    finally:
        handler._module_depth = depth


def _must_await(made: Any) -> bool:
    return hasattr(made, "__await__") and not isinstance(made, _Html)


async def _html_of(made: Any) -> "_Html":
    while _must_await(made):  # `return self.render_string(...)` in an `async def`
        made = await made
    return _Html(made)


class _Unwaited:
    """What a UI module gives where a page cannot wait for it: awaited, it gives markup; written out, an error."""

    def __init__(self, module: UIModule, made: Awaitable[Any]) -> None:
        self._module = module
        self._made = made

    def __await__(self) -> Generator[Any, Any, "_Html"]:
        return _html_of(self._made).__await__()

    def __str__(self) -> str:
        if iscoroutine(self._made):
            self._made.close()
        name = type(self._module).__qualname__
        raise ArgumentError(
            f"{name}.render has returned an awaitable, which this page cannot wait for. Write `async def render`, have "
            f"{name} in the `ui_modules` with which the application is made, and make the page with "
            "`await self.render(...)`; in other places await the call."
        )

    __html__ = __str__


class _Html(str):
    """What a UI module has made: markup, which no engine escapes again."""

    __slots__ = ()

    def __new__(cls, made: str | bytes) -> "_Html":
        return super().__new__(cls, to_unicode(made))

    def __html__(self) -> str:
        return self

    def __await__(self) -> Generator[Any, Any, "_Html"]:
        """Return it at once: a template of Tornado's may await a module that the page has waited for already."""
        yield from ()
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
