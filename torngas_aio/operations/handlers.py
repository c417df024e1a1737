"""Health check endpoints for operators and container orchestrators.

    /-/live      200 while the event loop runs
    /-/startup   200 once the application has opened
    /-/ready     200 if every service responds and shutdown has not begun; else 503

Clients without access to details see only "up" or "down".
"""

import re
from typing import Any
from weakref import WeakKeyDictionary

from torngas_aio.handler import ApiHandler
from torngas_aio.operations.access import may_see_details
from torngas_aio.operations.health import CheckResult, ReadyChecks
from torngas_aio.settings_manager import settings

__all__ = [
    "HEALTH_DEFAULTS",
    "LiveHandler",
    "ReadyHandler",
    "StartupHandler",
    "health_rules",
    "path_pattern",
    "ready_checks_of",
]

HEALTH_DEFAULTS: dict[str, Any] = {
    "live": "/-/live",  # paths; None: no such endpoint
    "ready": "/-/ready",
    "startup": "/-/startup",
    "log": True,  # False: no access log lines for successful probes and the metrics page
    "networks": (),  # addresses and networks that may see details, besides this machine
}

_checks: WeakKeyDictionary[Any, ReadyChecks] = WeakKeyDictionary()


def ready_checks_of(application: Any) -> ReadyChecks:
    """Return the checks of *application*; a project adds its own, for instance in `process_init`."""
    return _checks.setdefault(application, ReadyChecks())


class _HealthHandler(ApiHandler):
    application: Any
    uses_session = False

    def initialize(self, *, is_logged: bool = True) -> None:
        self.skips_access_log = not is_logged

    def answer(self, *, is_up: bool, **details: Any) -> None:
        """Respond with up or down, and with *details* if the client may see them."""
        self.set_status(200 if is_up else 503)
        self.set_header("Cache-Control", "no-store")
        shown = details if may_see_details(self.request) else {}
        self.write_api({"status": "up" if is_up else "down", **shown}, fmt="json")

    async def get(self) -> None:
        self.answer(is_up=True)

    async def head(self) -> None:
        await self.get()


class LiveHandler(_HealthHandler):
    """Liveness: the event loop runs."""


class StartupHandler(_HealthHandler):
    """Startup: the init hooks have run."""

    async def get(self) -> None:
        self.answer(is_up=self.application.lifespan.is_open)


class ReadyHandler(_HealthHandler):
    """Readiness: this process can serve requests."""

    async def get(self) -> None:
        if self.application.is_stopping.is_set():
            self.answer(is_up=False, reason="The server is stopping.")
            return
        results = await ready_checks_of(self.application).run()
        self.answer(is_up=not any(each.error for each in results), checks=list(map(_shown, results)))


def health_rules() -> list[Any]:
    """Return the routes of the health checks, at the paths of HEALTH."""
    chosen = {**HEALTH_DEFAULTS, **settings.HEALTH}
    handlers = {"live": LiveHandler, "ready": ReadyHandler, "startup": StartupHandler}
    kwargs = {"is_logged": chosen["log"]}
    return [(path_pattern(chosen[name]), handler, kwargs) for name, handler in handlers.items() if chosen[name]]


def path_pattern(path: str) -> str:
    """Return the regular expression of *path*; metrics, spans and lists of routes show it as the route's name."""
    return re.escape(path).replace(r"\-", "-")


def _shown(result: CheckResult) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": result.name, "milliseconds": round(result.seconds * 1000, 1)}
    return shown | ({"error": result.error} if result.error else {})
