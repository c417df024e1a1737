"""The session middleware: opens the session before the handler's method, saves it before the first response byte.

    process_request   cookie ─► store.open ─► handler.session, handler.set_expire
    settling          session.save, Set-Cookie: after the response hooks, even if clear() was called

Requests without the cookie that put nothing into the session do not access the store, nor do handlers with
`uses_session = False`. If the store is down, `handler.session` raises at its first use. `SignalMiddleware` is also
importable from here, as in torngas 1.8.
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
    """The middleware that provides `handler.session`, configured by SESSION."""

    before_body = True

    async def process_init(self, application: Application) -> None:
        session_store()  # reports faults of SESSION and CACHES at start, not at the first request

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
            if not isinstance(handler, BaseHandler):  # plain Tornado handlers cannot raise it at first use
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
    """Schedule saving the session with the response; called at the session's first change."""
    if handler._headers_written:
        state.is_settled = True
        _register_late(handler, state)
    else:
        settle = partial(_settle, store, state)
        scope_of(handler.request).add(_KEY, state, order=ORDER_SESSION, settle=settle)


def _register_late(handler: Any, state: SessionState) -> None:
    """Schedule a warning if the session is not saved again; called at its first change after the response."""
    scope_of(handler.request).add(_KEY, state, order=ORDER_SESSION, close=partial(_warn_if_changed, state))


async def _settle(store: SessionStore, state: SessionState, outcome: Outcome) -> None:
    if outcome.handler.get_status() >= 500:
        state.keep_endings_only()
    state.is_settled = True
    state.on_change = partial(_register_late, outcome.handler)
    try:
        await store.save(state)
    except CacheUnavailable:
        ended = store.end_cookie(state)
        if ended is not None:  # the logout did not reach the store: delete the cookie at least
            settle = partial(_add_cookie, ended)
            scope_of(outcome.handler.request).add(_KEY, state, order=ORDER_SESSION, settle=settle)
        raise
    line = store.set_cookie(state)
    if line is not None:
        outcome.handler.add_header("Set-Cookie", line)


async def _add_cookie(line: str, outcome: Outcome) -> None:
    outcome.handler.add_header("Set-Cookie", line)


async def _warn_if_changed(state: SessionState) -> None:
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
