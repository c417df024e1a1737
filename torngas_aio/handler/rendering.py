"""How a handler's page is made: render hooks, then the template, of a loader that the application keeps.

Begin with `render_hooked`.
"""

# pyright: reportPrivateUsage=false

from collections.abc import Awaitable, Callable
from typing import Any

from torngas_aio._concurrency import run_in_thread
from torngas_aio.handler.host import LoaderKey
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.handler.ui_modules import render_with_modules, with_embeds
from torngas_aio.settings_manager import settings
from torngas_aio.template import Template, TemplateLoader, adapted, handler_namespace
from torngas_aio.template.position import Callers, add_callers

__all__ = ["known_loader", "loader_key", "made_loader", "render_hooked", "render_later", "render_plain", "values_for"]


async def render_later(
    handler: ResponseHandler, make_page: Callable[[], Awaitable[bytes]], ordered_by: Callers
) -> None:
    try:
        page = await make_page()
    except Exception as exc:
        add_callers(exc, ordered_by)
        raise
    handler.write(with_embeds(handler, page))


async def render_hooked(handler: ResponseHandler, template_name: str, kwargs: dict[str, Any]) -> bytes:
    """Run the render hooks, then do as `render_plain`."""
    if handler._run.stages.render:
        await handler._run.render(handler, template_name, kwargs)
    return await handler._render_plain(template_name, kwargs)


async def render_plain(handler: ResponseHandler, template_name: str, kwargs: dict[str, Any]) -> bytes:
    """Return the page of a template and its values, without render hooks."""
    loader = known_loader(handler)
    if loader is None:
        loader = await run_in_thread(made_loader, handler)
    template = await loader.fetch(template_name)
    return await render_with_modules(handler, template, values_for(handler, template, kwargs))


def known_loader(handler: ResponseHandler) -> TemplateLoader | None:
    """Return the application's loader for the handler's directory, engine and configuration, if there is one yet."""
    kept = handler.application.template_loaders.get(loader_key(handler))
    return None if kept is None else kept[0]


def made_loader(handler: ResponseHandler) -> TemplateLoader:
    """Return the same, made now if need be; looks at the disk."""
    loader = known_loader(handler)
    if loader is None:
        key = loader_key(handler)
        loader = adapted(handler.create_template_loader(key[0]))
        # The configuration is kept with its loader, so that its id stays its own.
        handler.application.template_loaders[key] = (loader, settings.TEMPLATE_CONFIG)
    return loader


def loader_key(handler: ResponseHandler) -> LoaderKey:
    """Return what the application keeps the loader of *handler* under."""
    return handler.get_template_path() or ".", type(handler).create_template_loader, id(settings.TEMPLATE_CONFIG)


def values_for(handler: ResponseHandler, template: Template, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return all that *template* is given: what Tornado gives each, and *kwargs*."""
    if handler._has_own_namespace:
        values = handler.get_template_namespace()
    else:
        values = handler_namespace(handler, getattr(template, "names", None), settings)
    values.update(kwargs)
    return values
