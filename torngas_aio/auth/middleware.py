"""The middleware that loads the session's user, once a request. Begin with `AuthMiddleware`."""

from typing import Any

from torngas_aio.auth.users import load_user
from torngas_aio.exception import CacheUnavailable
from torngas_aio.middleware import BaseMiddleware

__all__ = ["AuthMiddleware"]


class AuthMiddleware(BaseMiddleware):
    """Sets `handler.current_user` to the user that `login` has bound to the session.

    A request without such a session loads nothing. A session whose user is no more is ended. When the session's store
    is down no user is logged in, and guards answer 503. Stands after SessionMiddleware.
    """

    before_body = True
    depends_on = ("torngas_aio.middleware.session.SessionMiddleware",)

    async def process_request(self, handler: Any, clear: Any) -> None:
        if not getattr(handler, "uses_session", False):
            return
        try:
            key = handler.session.user
        except CacheUnavailable:
            return
        if key:
            handler.current_user = await load_user(key)
            if handler.current_user is None:
                handler.session.expired()
