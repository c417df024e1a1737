"""Building an application from the settings."""

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
    """Return *application* itself if it is an instance, or an application built from the settings and *urls*.

    An instance without a `cookie_secret` gets that of the settings.

    Args:
        application: An instance; a subclass to build; None for `Application`.

    Raises:
        ArgumentError: *application* is none of these.
        ConfigError: The configuration of middlewares or HTTP modules is invalid.
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
    given = {"debug": settings.DEBUG, **given, "autoreload": False}  # replaced by `reloading`, which starts in the loop
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
    """Add the routes of the health checks, and of the OpenAPI document if it is enabled."""
    application.wildcard_router.add_rules(health_rules())
    if settings.DEBUG or settings.OPENAPI.get("public"):
        _add_document(application)


def _add_optional(application: Application, setting: str, module: str, extra: str) -> None:
    """Import an optional module of `operations`, which needs the package extra *extra*, and add it."""
    try:
        found = import_module(f"torngas_aio.operations.{module}")
    except ImportError as exc:
        raise ConfigError(f"{setting}: {exc}. Install torngas-aio[{extra}].", code="TGA105") from exc
    (found.add_metrics if module == "metrics" else found.add_traces)(application)


def _add_document(application: Application) -> None:
    """Add routes to the OpenAPI document and its page, if a handler declares types."""
    binding = sys.modules.get("torngas_aio.api.binding")  # None: no handler declares types
    routes = application.wildcard_router.routes()
    if binding is not None and any(binding.is_bound(route.handler_class) for route in routes):
        from torngas_aio.api.openapi import DOCUMENT_PATH, OpenAPIHandler
        from torngas_aio.api.page import page_rules

        path = path_pattern(settings.OPENAPI.get("path", DOCUMENT_PATH))
        application.wildcard_router.add_rules([(path, OpenAPIHandler), *page_rules()])


def application_secret_faults(application: Application) -> list[Fault]:
    """Return the faults of the `cookie_secret` passed to *application*; [] without a secret or while DEBUG is on."""
    secret = application.settings.get("cookie_secret")
    if not secret or settings.DEBUG or application.settings.get("debug"):
        return []
    return list(weak_secret_faults("Application(cookie_secret=...)", secret))


def merge_faults(faults: Iterable[Fault], more: Iterable[Fault], *, without_urls: bool = False) -> list[Fault]:
    """Return *faults*, and those of *more* whose path and target are not among them.

    Args:
        without_urls: The URL tables could not be read. ROUTE_MODULES then cannot find its routes, and its faults are
            dropped.
    """
    known = list(faults)
    paths = {fault.path for fault in known} - {""}
    targets = {fault.target for fault in known} - {""}
    for fault in more:
        is_consequence = without_urls and fault.path.startswith("ROUTE_MODULES")
        if not (is_consequence or fault.path in paths or fault.target in targets):
            known.append(fault)
    return known
