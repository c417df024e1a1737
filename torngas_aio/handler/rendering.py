"""Rendering a handler's page: render hooks, then the template, from a loader cached by the application.

UI methods and modules are as in Tornado; a module's result is markup in every engine. A page that may call a module
with `async def render` is rendered in a greenlet, see `template.waiting`; other pages are not slowed down.
"""

# pyright: reportPrivateUsage=false

from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from importlib import import_module
from inspect import iscoroutine, iscoroutinefunction, unwrap
from typing import Any, TypeGuard

from tornado.escape import to_unicode
from tornado.util import ObjectDict
from tornado.web import RequestHandler, UIModule

from torngas_aio._compat.tornado import UIModuleNamespace, has_modules
from torngas_aio._concurrency import run_in_thread
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.handler.host import LoaderKey
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.settings_manager import settings
from torngas_aio.template import PageMaker, Template, TemplateLoader, adapted, handler_namespace
from torngas_aio.template.position import Callers, add_callers

__all__ = [
    "awaits_modules",
    "begin_with_modules",
    "ensure_loader",
    "find_loader",
    "loader_key",
    "module_call",
    "render_hooked",
    "render_later",
    "render_plain",
    "render_with_modules",
    "ui_of",
    "values_for",
    "with_embeds",
]


async def render_later(
    handler: ResponseHandler, make_page: Callable[[], Awaitable[bytes]], ordered_by: Callers
) -> None:
    try:
        page = await make_page()
    except Exception as exc:
        add_callers(exc, ordered_by)
        raise
    handler.write(with_embeds(handler, page))


async def render_hooked(handler: ResponseHandler, template_name: str, kwargs: dict[str, object]) -> bytes:
    """Run the render hooks, then render as `render_plain`."""
    if handler._run.stages.render:
        await handler._run.render(handler, template_name, kwargs)
    return await handler._render_plain(template_name, kwargs)


async def render_plain(handler: ResponseHandler, template_name: str, kwargs: dict[str, object]) -> bytes:
    """Return the rendered template, without render hooks."""
    loader = find_loader(handler)
    if loader is None:
        loader = await run_in_thread(ensure_loader, handler)
    template = await loader.fetch(template_name)
    return await render_with_modules(handler, template, values_for(handler, template, kwargs))


def find_loader(handler: ResponseHandler) -> TemplateLoader | None:
    """Return the application's loader for the handler's directory, engine and configuration, if it exists yet."""
    kept = handler.application.template_loaders.get(loader_key(handler))
    return None if kept is None else kept[0]


def ensure_loader(handler: ResponseHandler) -> TemplateLoader:
    """Return the same loader, creating it if necessary; reads from disk."""
    loader = find_loader(handler)
    if loader is None:
        key = loader_key(handler)
        loader = adapted(handler.create_template_loader(key[0]))
        # The configuration is kept with its loader, so that its id is not reused.
        handler.application.template_loaders[key] = (loader, settings.TEMPLATE_CONFIG)
    return loader


def loader_key(handler: ResponseHandler) -> LoaderKey:
    """Return the key of the loader of *handler* in the application."""
    return handler.get_template_path() or ".", type(handler).create_template_loader, id(settings.TEMPLATE_CONFIG)


def values_for(handler: ResponseHandler, template: Template, kwargs: dict[str, object]) -> dict[str, object]:
    """Return all values for *template*: Tornado's standard names, and *kwargs*."""
    if handler._has_own_namespace:
        values = handler.get_template_namespace()
    else:
        values = handler_namespace(handler, getattr(template, "names", None), settings)
    values.update(kwargs)
    return values


def ui_of(handler: ResponseHandler) -> ObjectDict:
    """Return the UI methods and modules of the application for a template of *handler*, by name."""
    application = handler.application
    ui = ObjectDict((name, partial(method, handler)) for name, method in application.ui_methods.items())
    ui["_tt_modules"] = ui["modules"] = UIModuleNamespace(handler, application.ui_modules)
    return ui


def module_call(handler: ResponseHandler, name: str, kind: type[UIModule]) -> Callable[..., Any]:
    """Return a function that calls the UI module *name* in a template of *handler* and returns markup.

    One module object serves all calls of a page. A synchronous `render` returns its markup at once; an awaitable result
    is awaited before the page continues, if the page can wait.
    """

    def render(*args: object, **kwargs: object) -> object:
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
    """Return whether a page may have to wait for one of *modules*, because its `render` is `async def`.

    Raises:
        ConfigError: One is `async def`, and greenlet is not installed.
    """
    found = [kind for kind in modules.values() if iscoroutinefunction(unwrap(kind.render))]
    if found:
        try:
            import_module("torngas_aio.template.waiting")
        except ImportError as exc:
            raise ConfigError(f"ui_modules: {found[0].__qualname__}: {exc}.", code="TGA105") from exc
    return bool(found)


def begin_with_modules(handler: ResponseHandler, template: Template, values: dict[str, object]) -> bytes | PageMaker:
    """Return the page, or a function that makes it, as `Template.begin` does; its UI modules may wait."""
    return partial(_render_waiting, template, values) if _may_wait(handler, values) else template.begin(values)


def render_with_modules(handler: ResponseHandler, template: Template, values: dict[str, object]) -> Awaitable[bytes]:
    """Return an awaitable of the page, as `Template.render` does; its UI modules may wait."""
    return _render_waiting(template, values) if _may_wait(handler, values) else template.render(values)


def with_embeds(handler: RequestHandler, page: bytes) -> bytes:
    """Add the scripts and styles of the UI modules of *page*, with Tornado's code."""
    if not has_modules(handler):
        return page
    embedded: bytes = RequestHandler.render(_Embedding(handler, page), "")  # type: ignore[arg-type, assignment]  # stands in
    return embedded


def _may_wait(handler: ResponseHandler, values: dict[str, object]) -> bool:
    return handler.application.awaits_modules and ("_tt_modules" in values or "modules" in values)


async def _render_waiting(template: Template, values: dict[str, object]) -> bytes:
    from torngas_aio.template.waiting import in_greenlet

    return await in_greenlet(template.render, values)


def _wait_for_module(handler: ResponseHandler, module: UIModule, made: Awaitable[str | bytes]) -> "_Unwaited | _Html":
    from torngas_aio.template.waiting import can_wait, wait_for

    if not can_wait():
        return _Unwaited(module, made)
    # While the page waits, the code that runs is not inside the module and can await.
    depth, handler._module_depth = handler._module_depth, 0
    try:
        return wait_for(_html_of(made))
    finally:
        handler._module_depth = depth


def _must_await(made: object) -> "TypeGuard[Awaitable[str | bytes]]":
    return hasattr(made, "__await__") and not isinstance(made, _Html)


async def _html_of(made: Any) -> "_Html":
    while _must_await(made):  # `return self.render_string(...)` in an `async def`
        made = await made
    return _Html(made)


class _Unwaited:
    """The result of a UI module on a page that cannot wait: awaited, it is markup; converted to text, an error."""

    def __init__(self, module: UIModule, made: Awaitable[str | bytes]) -> None:
        self._module = module
        self._made = made

    def __await__(self) -> Generator[object, None, "_Html"]:
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
    """The result of a UI module: markup, which no engine escapes again."""

    __slots__ = ()

    def __new__(cls, made: str | bytes) -> "_Html":
        return super().__new__(cls, to_unicode(made))

    def __html__(self) -> str:
        return self

    def __await__(self) -> Generator[object, None, "_Html"]:
        """Return it at once: a Tornado template may await a module that the page has already waited for."""
        yield from ()
        return self


class _Embedding:
    """A substitute for a handler in Tornado's `render`, which adds the embeds to a finished page."""

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
