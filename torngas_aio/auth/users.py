"""Users: loading by AUTH, permissions, login and logout."""

import inspect
from typing import Any

from torngas_aio.checks.references import imported
from torngas_aio.db import turn_to_master
from torngas_aio.exception import CacheUnavailable, ConfigError
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.settings_manager import settings

__all__ = ["AUTH_DEFAULTS", "AuthMiddleware", "LoginMixIn", "has_permission", "key_of", "load_user", "login_url"]

AUTH_DEFAULTS: dict[str, object] = {
    "load_user": None,  # dotted path of an `async def load_user(key: str)`, which returns None for a deleted user
    "key": "id",  # the user attribute that is stored in the session and passed to `load_user`, as str
    "login_url": "/login",
    "has_permission": None,  # dotted path of `has_permission(user, permission)`, plain or async
}


def _option(name: str) -> Any:
    return {**AUTH_DEFAULTS, **settings.AUTH}[name]


async def load_user(key: str) -> Any:
    """Return the user with *key*; None if there is no such user.

    Raises:
        ConfigError: AUTH['load_user'] names no function.
    """
    path = _option("load_user")
    if path is None:
        raise ConfigError("AUTH['load_user'] is not set. Name an `async def load_user(key)`.", code="TGA304")
    return await imported("AUTH['load_user']", path, wants_class=False)(key)


async def has_permission(user: object, permission: str) -> bool:
    """Return whether *user* has *permission*, by AUTH['has_permission']; default: whether `user.permissions` has it."""
    path = _option("has_permission")
    if path is None:
        return permission in getattr(user, "permissions", ())
    found = imported("AUTH['has_permission']", path, wants_class=False)(user, permission)
    return bool(await found if inspect.isawaitable(found) else found)


def key_of(user: Any) -> str:
    """Return the key of *user*, as stored in a session."""
    return str(getattr(user, _option("key")))


def login_url() -> str:
    """Return the URL of the login page."""
    return str(_option("login_url"))


class LoginMixIn:
    """A mix-in with `login` and `logout`, put before the handler class; needs SessionMiddleware and AuthMiddleware."""

    session: Any
    current_user: Any

    async def login(self, user: Any) -> None:
        """Bind *user* to the session, which gets a new id; data of another user in it is dropped."""
        key = key_of(user)
        if self.session.user not in {"", key}:
            self.session.clear()
        self.session.cycle_id()
        self.session.bind_user(key)
        self.current_user = user

    def logout(self) -> None:
        """End the session."""
        self.session.expired()
        self.current_user = None


class AuthMiddleware(BaseMiddleware):
    """A middleware that sets `handler.current_user` to the user that `login` has bound to the session.

    A request without a logged-in session loads nothing. If the user no longer exists, checked on the master too, the
    session is ended. If the session's store is down, no user is logged in and guards respond with 503. Put it after
    SessionMiddleware.
    """

    before_body = True
    depends_on = ("torngas_aio.middleware.session.SessionMiddleware",)

    async def process_request(self, handler: Any, clear: object) -> None:
        if not getattr(handler, "uses_session", False):
            return
        try:
            key = handler.session.user
        except CacheUnavailable:
            return
        if key:
            user = await load_user(key)
            if user is None and turn_to_master():  # a lagging slave may not have a new user yet
                user = await load_user(key)
            handler.current_user = user
            if user is None:
                handler.session.expired()
