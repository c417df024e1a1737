"""From settings to an application."""

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from torngas_aio.application import Application
from torngas_aio.checks import weak_secret_faults
from torngas_aio.exception import ArgumentError, ConfigError, Fault
from torngas_aio.operations.handlers import health_rules, path_pattern
from torngas_aio.settings_manager import settings
from torngas_aio.utils.narrowing import is_list_or_tuple

__all__ = ["add_own_routes", "application_secret_faults", "build_application", "merge_faults"]


def build_application(application: object, urls: Sequence[Any]) -> Application:
    """Return *application* itself, or one built of the settings and *urls*.

    An instance without a `cookie_secret` of its own gets that of the settings.

    Args:
        application: An instance; a subclass to build; None for `Application`.

    Raises:
        ArgumentError: It is something else.
        ConfigError: Middlewares or HTTP modules cannot work.
    """
    if isinstance(application, Application):
        if not application.settings.get("cookie_secret") and settings.TORNADO_CONF.get("cookie_secret"):
            application.settings["cookie_secret"] = settings.TORNADO_CONF["cookie_secret"]
        return application
    kind = Application if application is None else application
    if not (isinstance(kind, type) and issubclass(kind, Application)):
        raise ArgumentError(
            f"load_application({application!r}): give an instance or a subclass of "
            "torngas_aio.application.Application; a plain tornado.web.Application has no pipeline."
        )
    given: dict[str, Any] = {name: value for name, value in settings.TORNADO_CONF.items() if value is not None}
    given = {"debug": settings.DEBUG, **given, "autoreload": False}  # ours starts in the loop, not before it
    middlewares = settings.MIDDLEWARE_CLASSES if is_list_or_tuple(settings.MIDDLEWARE_CLASSES) else ()
    made = kind(handlers=list(urls), middlewares=middlewares, **given)
    add_own_routes(made)
    if settings.METRICS.get("enabled"):
        _add_optional(made, "METRICS", "metrics", "prometheus")
    if settings.TRACES.get("enabled"):
        _add_optional(made, "TRACES", "tracing", "otel")
    if settings.DEBUG:
        from torngas_aio.operations.observed import observe
        from torngas_aio.operations.observing import ServerTiming

        observe(made, [ServerTiming()])
    if settings.DEBUG and made.is_debug:
        from torngas_aio.operations.inspector import Inspector  # not imported otherwise

        Inspector(made)
    return made


def add_own_routes(application: Application) -> None:
    """Add the routes of health checks, and of the OpenAPI document where it is to be answered."""
    application.wildcard_router.add_rules(health_rules())
    if settings.DEBUG or settings.OPENAPI.get("public"):
        _add_document(application)


def _add_optional(application: Application, setting: str, module: str, extra: str) -> None:
    """Add what only a project that wants it imports."""
    try:
        found = import_module(f"torngas_aio.operations.{module}")
    except ImportError as exc:
        raise ConfigError(f"{setting}: {exc}. Install torngas-aio[{extra}].", code="TGA105") from exc
    (found.add_metrics if module == "metrics" else found.add_traces)(application)


def _add_document(application: Application) -> None:
    """Route to the OpenAPI document and its page, where a handler declares types."""
    binding = sys.modules.get("torngas_aio.api.binding")  # not imported: nothing is declared
    routes = application.wildcard_router.routes()
    if binding is not None and any(binding.is_bound(route.handler_class) for route in routes):
        from torngas_aio.api.openapi import DOCUMENT_PATH, OpenAPIHandler
        from torngas_aio.api.page import page_rules

        path = path_pattern(settings.OPENAPI.get("path", DOCUMENT_PATH))
        application.wildcard_router.add_rules([(path, OpenAPIHandler), *page_rules()])


def application_secret_faults(application: Application) -> list[Fault]:
    """Return what is wrong with the secret that *application* was made with, while DEBUG is off; [] without one."""
    secret = application.settings.get("cookie_secret")
    if not secret or settings.DEBUG or application.settings.get("debug"):
        return []
    return list(weak_secret_faults("Application(cookie_secret=...)", secret))


def merge_faults(faults: Iterable[Fault], more: Iterable[Fault], *, without_urls: bool = False) -> list[Fault]:
    """Return *faults* and those of *more* that say something new.

    Args:
        without_urls: The URL tables could not be read, so that modules of routes cannot find theirs: such
            faults are left out.
    """
    known = list(faults)
    paths = {fault.path for fault in known} - {""}
    targets = {fault.target for fault in known} - {""}
    for fault in more:
        is_consequence = without_urls and fault.path.startswith("ROUTE_MODULES")
        if not (is_consequence or fault.path in paths or fault.target in targets):
            known.append(fault)
    return known
