"""The names that a handler gives to every template, in every engine.

    handler  request  current_user  locale  _  translate  gettext  ngettext  pgettext
    reverse_url  static_url  xsrf_form_html  get_flashed_messages  settings  modules

A name costs nothing unless the template may use it: `current_user` and `locale` can be slow to find.
Begin with `handler_namespace`.
"""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

__all__ = ["HANDLER_NAMES", "handler_namespace"]

Provider = Callable[[Any, Any], Any]


def handler_namespace(handler: Any, names: frozenset[str] | None, settings: Any) -> dict[str, Any]:
    """Return the handler's names for one page, UI methods and modules included.

    Args:
        handler: A `tornado.web.RequestHandler`.
        names: `Template.names`: what the template may use; None makes them all.
        settings: What `settings` is to be in the template.
    """
    found = {name: provide(handler, settings) for name, provide in _PROVIDERS.items() if names is None or name in names}
    ui = handler.ui
    for name in ui:
        if name not in _MODULE_NAMES and (names is None or name in names):
            found[name] = ui[name]
    return found


def _xsrf_form_html(handler: Any, _settings: Any) -> Any:
    return lambda: Markup(handler.xsrf_form_html())  # noqa: S704 - made by Tornado, its token escaped


def _get_flashed_messages(handler: Any, _settings: Any) -> Any:
    found: list[Any] = []

    def get_flashed_messages(*args: Any, **kwargs: Any) -> Any:
        # Reading takes the messages away, and an engine may begin a page twice: the first answer is kept.
        if not found:
            read = getattr(handler, "get_flashed_messages", None)
            found.append([] if read is None else read(*args, **kwargs))
        return found[0]

    return get_flashed_messages


def _ngettext(handler: Any, _settings: Any) -> Any:
    return handler.locale.translate


_PROVIDERS: dict[str, Provider] = {
    "handler": lambda handler, _: handler,
    "request": lambda handler, _: handler.request,
    "current_user": lambda handler, _: handler.current_user,
    "locale": lambda handler, _: handler.locale,
    "_": lambda handler, _: handler.locale.translate,
    "translate": lambda handler, _: handler.locale.translate,
    "gettext": lambda handler, _: handler.locale.translate,
    "ngettext": _ngettext,
    "pgettext": lambda handler, _: handler.locale.pgettext,
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
"""The names, in the order they are made."""
