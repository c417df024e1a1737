"""The ORM's part in a request: settings checked at start, pings, atomic requests, and reads that follow writes.

    init      every database's settings are checked, engines made (nothing is connected), pings begin
    call      ATOMIC_REQUESTS: the answer waits for the method, then for the commit
              STICK_TO_MASTER: the visitor's signed cookie says what a slave must have to answer
    shutdown  pings end; the pools are closed with the application

Sessions open on first use, and are rolled back and given back at the end of the request by its scope, whatever
happened.
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
"""Name of the signed cookie with what a visitor has written; see `torngas_aio.db.dbalchemy.positions`."""

_DAY = 86400.0


class DBAlchemyMiddleware(BaseMiddleware):
    """Turns the database layer on; stands anywhere in MIDDLEWARE_CLASSES."""

    def __init__(self) -> None:
        self._keep_alive: KeepAlive | None = None
        self._is_atomic = False
        self._stick_seconds = 0.0
        self._secret: str | bytes | dict[int, str] | dict[int, bytes] = ""

    @property
    def _cookie_seconds(self) -> float:
        return max(self._stick_seconds, POSITION_SECONDS)

    async def process_init(self, application: Application) -> None:
        """Check the settings and begin to ping.

        Raises:
            ConfigError: The databases' settings cannot work; lists every fault.
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
        """Have the answer wait for the method, so that its commit can fail it, and send reads where the last write is.

        Not in a request hook: one of another class may use the database before.
        """
        if self._is_atomic:
            scope_of(request).waits_for_method = True
        if self._stick_seconds > 0:
            stickiness = Stickiness(self._read_cookie(request), time.time())
            scope_of(request).add(STICKINESS, stickiness, order=ORDER_COOKIE, settle=self._remember)

    async def process_shutdown(self, application: Application) -> None:
        """End the pings."""
        if self._keep_alive is not None:
            await self._keep_alive.aclose()

    def _read_cookie(self, request: Any) -> str:  # whose cookies have no full type
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
