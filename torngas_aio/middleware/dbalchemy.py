"""The ORM middleware: validates settings at start, pings, atomic requests, and reads that follow writes.

    init      check the settings of all databases, create engines (without connecting), start pings
    call      ATOMIC_REQUESTS: the response waits for the method, then for the commit
              STICK_TO_MASTER: the visitor's signed cookie has the replication position that a slave must have reached
    shutdown  stop pings; the application closes the pools

Database sessions open on first use. At the end of the request its scope always rolls them back and returns their
connections.
"""

import time
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, decode_signed_value

from torngas_aio._former_names import former_names
from torngas_aio.context import ORDER_COOKIE, Outcome, scope_of
from torngas_aio.db.dbalchemy.monitoring import KeepAlive
from torngas_aio.db.dbalchemy.positions import POSITION_SECONDS, STICKINESS, Stickiness
from torngas_aio.db.dbalchemy.registry import cluster_of, database_specs
from torngas_aio.exception import ConfigError
from torngas_aio.middleware.base import BaseMiddleware, Clear
from torngas_aio.settings_manager import settings

__all__ = ["COOKIE", "DBAlchemyMiddleware"]

COOKIE = "__TORNGAS_DB"
"""Name of the signed cookie with the positions of a visitor's writes; see `torngas_aio.db.dbalchemy.positions`."""

_DAY = 86400.0


class DBAlchemyMiddleware(BaseMiddleware):
    """The middleware of the database layer; its position in MIDDLEWARE_CLASSES does not matter."""

    def __init__(self) -> None:
        self._keep_alive: KeepAlive | None = None
        self._is_atomic = False
        self._stick_seconds = 0.0
        self._secret: str | bytes | dict[int, str] | dict[int, bytes] = ""

    @property
    def _cookie_seconds(self) -> float:
        return max(self._stick_seconds, POSITION_SECONDS)

    async def process_init(self, application: Application) -> None:
        """Check the settings and start pings.

        Raises:
            ConfigError: All faults of the databases' settings.
        """
        specs = database_specs()
        for spec in specs:
            cluster_of(spec.name)
        self._is_atomic = bool(settings.ATOMIC_REQUESTS)
        self._stick_seconds = float(settings.STICK_TO_MASTER or 0)
        self._secret = application.settings.get("cookie_secret") or ""
        if self._stick_seconds > 0 and not self._secret:
            raise ConfigError("STICK_TO_MASTER signs a cookie: set TORNADO_CONF['cookie_secret'].", code="TGA501")
        if settings.PING_DB and specs:
            names = [spec.name for spec in specs]
            self._keep_alive = KeepAlive(
                lambda: [cluster_of(name) for name in names], float(settings.PING_DB), int(settings.PING_CONN_COUNT)
            )
            self._keep_alive.start()

    async def process_call(self, request: HTTPServerRequest, clear: Clear) -> None:
        """Make the response wait for the method, so that a failed commit can fail it; restore the visitor's positions.

        This is not a request hook, since request hooks of other middlewares may use the database before.
        """
        if self._is_atomic:
            scope_of(request).waits_for_method = True
        if self._stick_seconds > 0:
            stickiness = Stickiness(self._read_cookie(request), time.time())
            scope_of(request).add(STICKINESS, stickiness, order=ORDER_COOKIE, settle=self._remember)

    async def process_shutdown(self, application: Application) -> None:
        """Stop the pings."""
        if self._keep_alive is not None:
            await self._keep_alive.aclose()

    def _read_cookie(self, request: Any) -> str:  # `cookies` is not fully typed
        sent = request.cookies.get(COOKIE)
        age = self._cookie_seconds / _DAY
        given = decode_signed_value(self._secret, COOKIE, sent.value, max_age_days=age) if sent else None
        return given.decode("utf-8", "replace") if given else ""

    async def _remember(self, outcome: Outcome) -> None:
        handler = outcome.handler
        stickiness: Stickiness = handler.scope.get(STICKINESS)
        text = stickiness.remember(time.time() + self._stick_seconds)
        if text is not None:
            handler.set_signed_cookie(
                COOKIE,
                text,
                expires_days=None,
                max_age=round(self._cookie_seconds),
                httponly=True,
                samesite="Lax",
                secure=handler.request.protocol == "https",
            )


__getattr__ = former_names(__name__)
