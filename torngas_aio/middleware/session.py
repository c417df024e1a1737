"""The session middleware: opened before the handler's method, saved before the first byte.

    process_request   cookie ─► store.open ─► handler.session, handler.set_expire
    settling          session.save, Set-Cookie: after the response hooks, whatever clear() said

A request without the cookie that puts nothing into its session never meets the store, nor does a handler with
`uses_session = False`. When the store is down, `handler.session` raises at its first use. `SignalMiddleware` can be
imported from here as well, where the document of torngas 1.8 has it.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from torngas_aio.context import ORDER_SESSION, Outcome, scope_of
from torngas_aio.exception import CacheUnavailable
from torngas_aio.handler.web import BaseHandler
from torngas_aio.http.request import Request
from torngas_aio.middleware.base import BaseMiddleware
from torngas_aio.session.registry import session_store
from torngas_aio.session.state import SessionState
from torngas_aio.session.store import SessionStore

if TYPE_CHECKING:
    from torngas_aio.middleware.signal import SignalMiddleware

from torngas_aio._former_names import former_names

__all__ = ["SessionMiddleware", "SignalMiddleware"]

logger = logging.getLogger("torngas_aio.session")

_KEY = "torngas_aio.session"


class SessionMiddleware(BaseMiddleware):
    """Gives each handler its visitor's session, as SESSION in the settings describes it."""

    before_body = True

    async def process_init(self, application: Application) -> None:
        session_store()  # a fault of SESSION or CACHES is found now, not at the first visitor

    async def process_request(self, handler: Any, clear: Callable[[], None]) -> None:
        if not getattr(handler, "uses_session", True):
            return
        store = session_store()
        request = handler.request
        cookies = store.cookies_of(_cookie_header(request))
        address, on_change = request.remote_ip or "", partial(_register, handler, store)
        try:
            session = await store.open(cookies, address, on_change) if cookies else store.begin(address, on_change)
        except CacheUnavailable as exc:
            if not isinstance(handler, BaseHandler):  # Tornado's own cannot raise when `session` is used
                raise
            handler._session_error = exc  # pyright: ignore[reportPrivateUsage]  # for `handler.session` to raise
            return
        handler.session = session
        handler.set_expire = session.set_expire


def _cookie_header(request: HTTPServerRequest) -> str:
    if isinstance(request, Request):
        return request.cookie_header().decode("latin-1")
    return "; ".join(request.headers.get_list("Cookie"))


def _register(handler: Any, store: SessionStore, state: SessionState) -> None:
    """Have the session saved with the response; its first change calls this."""
    if handler._headers_written:
        state.is_settled = True
        _register_late(handler, state)
    else:
        settle = partial(_settle, store, state)
        scope_of(handler.request).add(_KEY, state, order=ORDER_SESSION, settle=settle)


def _register_late(handler: Any, state: SessionState) -> None:
    """Have a warning logged if the session is not saved again; its first change after the response calls this."""
    scope_of(handler.request).add(_KEY, state, order=ORDER_SESSION, close=partial(_look_back, state))


async def _settle(store: SessionStore, state: SessionState, outcome: Outcome) -> None:
    if outcome.handler.get_status() >= 500:
        state.keep_endings_only()
    state.is_settled = True
    state.on_change = partial(_register_late, outcome.handler)
    try:
        await store.save(state)
    except CacheUnavailable:
        ended = store.end_cookie(state)
        if ended is not None:  # a logout that the store does not know of: at least this browser forgets it
            take_back = partial(_take_back, ended)
            scope_of(outcome.handler.request).add(_KEY, state, order=ORDER_SESSION, settle=take_back)
        raise
    line = store.set_cookie(state)
    if line is not None:
        outcome.handler.add_header("Set-Cookie", line)


async def _take_back(line: str, outcome: Outcome) -> None:
    outcome.handler.add_header("Set-Cookie", line)


async def _look_back(state: SessionState) -> None:
    if state.is_changed:
        logger.warning(
            "A session was changed after its response had left, and was not saved. "
            "Call `await session.save()` after such changes."
        )


def __getattr__(name: str) -> Any:
    if name == "SignalMiddleware":
        from torngas_aio.middleware.signal import SignalMiddleware

        return SignalMiddleware
    return former_names(__name__)(name)
