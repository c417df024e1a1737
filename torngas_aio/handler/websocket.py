"""`WebSocketHandler`: Tornado's, under the pipeline, so that a guard guards sockets too.

    call > request hooks > prepare > response hooks > session save > 101 > open ... on_message ... on_close > endcall

A request hook that finishes the response refuses the socket. Errors in `open` and `on_message` go to the
exception hooks. The application closes its sockets with 1001 when it stops.
"""

import asyncio
from typing import Any

from tornado.websocket import WebSocketHandler as _TornadoWebSocketHandler

from torngas_aio.handler.web import WebHandler

__all__ = ["GOING_AWAY", "WebSocketHandler"]

GOING_AWAY = 1001
"""Close code of a server that stops. SPEC: RFC 6455 7.4.1"""


class WebSocketHandler(WebHandler, _TornadoWebSocketHandler):
    """A WebSocket; override `open`, `on_message` and `on_close`, plain or `async def`.

    Changes to the visitor's session after the 101 want `await self.session.save()`.
    """

    def __init__(self, application: Any, request: Any, **kwargs: Any) -> None:
        self.ws_connection = None
        self.close_code = None
        self.close_reason = None
        self._on_close_called = False
        super().__init__(application, request, **kwargs)

    async def get(self, *args: Any, **kwargs: Any) -> None:
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            await self.complete_response_stage()
            if self._finished:  # a response hook failed or answered: there is no socket
                return
        sockets = self.application.open_sockets  # type: ignore[attr-defined]  # ours
        sockets.add(self)
        try:
            await super().get(*args, **kwargs)
            await self._until_errors_are_told()
        finally:
            sockets.discard(self)

    def _plan_next_turn(self) -> None:
        if self._status_code != 101:  # the endcall hooks wait until the socket closes
            super()._plan_next_turn()

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Called by Tornado for what `open` or a message handler raised, from a callback: told in a task."""
        if self._status_code != 101 or not self._run.stages.exception:
            super().log_exception(typ, value, tb)
            return
        telling = asyncio.get_running_loop().create_task(self._run.exception(self, (typ, value, tb)))
        self._tellings().add(telling)
        telling.add_done_callback(self._tellings().discard)

    def on_connection_close(self) -> None:
        """Tornado's: ends the socket's protocol and calls `on_close`, once."""
        _TornadoWebSocketHandler.on_connection_close(self)

    def _tellings(self) -> set[asyncio.Task[None]]:
        found: set[asyncio.Task[None]] = self.__dict__.setdefault("_exception_tasks", set())
        return found

    async def _until_errors_are_told(self) -> None:
        while tellings := self._tellings():
            await asyncio.wait(tellings)
