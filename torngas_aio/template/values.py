"""The values of a page: names that the handler provides, and awaitables, which are awaited before rendering.

    handler  request  current_user  locale  _  translate  gettext  ngettext  pgettext
    reverse_url  static_url  xsrf_form_html  get_flashed_messages  settings  modules

A value is computed only if the template may use its name, since `current_user` and `locale` can be slow.
"""

from collections.abc import Callable, Coroutine, Mapping
from inspect import isawaitable, iscoroutine
from types import GeneratorType
from typing import Any

from markupsafe import Markup

from torngas_aio.exception import ArgumentError
from torngas_aio.i18n import pgettext_of

__all__ = [
    "HANDLER_NAMES",
    "await_values",
    "awaitable_names",
    "handler_namespace",
    "has_awaitables",
    "run_without_waiting",
]


def has_awaitables(values: Mapping[str, object]) -> bool:
    """Return whether any of *values* must be awaited."""
    return any(map(_must_await, values.values()))


def awaitable_names(values: Mapping[str, object]) -> list[str]:
    """Return the names of the *values* that must be awaited."""
    return [name for name, value in values.items() if _must_await(value)]


async def await_values(values: Mapping[str, object]) -> dict[str, object]:
    """Return *values* with awaitables replaced by their results, awaited one after the other.

    On an error or cancellation, coroutines that were not started are closed.
    """
    results: dict[str, Any] = dict(values)
    try:
        for name in awaitable_names(results):
            results[name] = await results[name]
    except BaseException:
        for value in results.values():
            if iscoroutine(value):
                value.close()
        raise
    return results


def run_without_waiting(coroutine: Coroutine[object, None, bytes], name: str) -> bytes:
    """Run *coroutine*, which renders the template *name*, synchronously; return its result.

    Raises:
        ArgumentError: The coroutine has to wait; it is closed, but its effects so far remain.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        page: bytes = done.value
        return page
    coroutine.close()
    raise ArgumentError(
        f"Template {name!r} has to wait for something; it can be rendered with `await template.render(...)` only."
    )


def _must_await(value: object) -> bool:
    # PERF: `inspect.isawaitable` checks an ABC, which takes four times as long; only generators need it.
    kind = type(value)
    return isawaitable(value) if kind is GeneratorType else hasattr(kind, "__await__")


Provider = Callable[[Any, object], object]


def handler_namespace(handler: Any, names: frozenset[str] | None, settings: object) -> dict[str, object]:
    """Return the handler's names for one page, including UI methods and modules.

    Args:
        handler: A `tornado.web.RequestHandler`.
        names: `Template.names`; None: all names.
        settings: The value of `settings` in the template.
    """
    found = {name: provide(handler, settings) for name, provide in _PROVIDERS.items() if names is None or name in names}
    ui = handler.ui
    for name in ui:
        if name not in _MODULE_NAMES and (names is None or name in names):
            found[name] = ui[name]
    return found


def _current_user(handler: Any, _settings: object) -> object:
    can_load = handler._awaits_user and not handler._module_depth
    return handler.load_current_user() if can_load and "_current_user" not in vars(handler) else handler.current_user


def _xsrf_form_html(handler: Any, _settings: object) -> object:
    return lambda: Markup(handler.xsrf_form_html())  # noqa: S704 - made by Tornado, its token escaped


def _get_flashed_messages(handler: object, _settings: object) -> object:
    found: list[object] = []

    def get_flashed_messages(*args: object, **kwargs: object) -> object:
        # Reading consumes the messages, and an engine may start a page twice: the first result is cached.
        if not found:
            read = getattr(handler, "get_flashed_messages", None)
            found.append([] if read is None else read(*args, **kwargs))
        return found[0]

    return get_flashed_messages


def _ngettext(handler: Any, _settings: object) -> object:
    return handler.locale.translate


_PROVIDERS: dict[str, Provider] = {
    "handler": lambda handler, _: handler,
    "request": lambda handler, _: handler.request,
    "current_user": _current_user,
    "locale": lambda handler, _: handler.locale,
    "_": lambda handler, _: handler.locale.translate,
    "translate": lambda handler, _: handler.locale.translate,
    "gettext": lambda handler, _: handler.locale.translate,
    "ngettext": _ngettext,
    "pgettext": lambda handler, _: pgettext_of(handler.locale),
    "static_url": lambda handler, _: handler.static_url,
    "reverse_url": lambda handler, _: handler.reverse_url,
    "xsrf_form_html": _xsrf_form_html,
    "get_flashed_messages": _get_flashed_messages,
    "settings": lambda _, settings: settings,
    "modules": lambda handler, _: handler.ui["modules"],
    "_tt_modules": lambda handler, _: handler.ui["_tt_modules"],
}

_MODULE_NAMES = frozenset({"modules", "_tt_modules"})

HANDLER_NAMES: tuple[str, ...] = tuple(name for name in _PROVIDERS if name != "_tt_modules")
"""The names, in the order of computation."""
