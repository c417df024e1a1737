"""Login, passwords and permissions. Extra `auth`.

passwords.py    argon2 hashes, computed in a bounded number of threads
users.py        AUTH: loading users, permissions; LoginMixIn: `await self.login(user)`, `self.logout()`;
                AuthMiddleware: `handler.current_user` from the session
guards.py       HTTP modules: LoginRequired, PermissionRequired, BearerToken, JWTBearer; decorators for single methods:
                login_required, permission_required
published_keys.py   the keys behind `JWTBearer.jwks_url`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torngas_aio.auth.guards import (
        BearerToken,
        JWTBearer,
        LoginRequired,
        PermissionRequired,
        login_required,
        permission_required,
    )
    from torngas_aio.auth.passwords import check_password, hash_password, needs_rehash
    from torngas_aio.auth.users import AuthMiddleware, LoginMixIn

_PLACES = {
    "AuthMiddleware": "users",
    "BearerToken": "guards",
    "JWTBearer": "guards",
    "LoginMixIn": "users",
    "LoginRequired": "guards",
    "PermissionRequired": "guards",
    "check_password": "passwords",
    "hash_password": "passwords",
    "login_required": "guards",
    "needs_rehash": "passwords",
    "permission_required": "guards",
}

__all__ = [
    "AuthMiddleware",
    "BearerToken",
    "JWTBearer",
    "LoginMixIn",
    "LoginRequired",
    "PermissionRequired",
    "check_password",
    "hash_password",
    "login_required",
    "needs_rehash",
    "permission_required",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
