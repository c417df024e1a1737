"""HTTP modules and decorators for access control of requests and WebSocket handshakes.

LoginRequired                       redirects pages to the login; 401 for programs
PermissionRequired("task.edit")     also 403 for users without the permission
login_required, permission_required   the same for single methods of a handler
BearerToken, JWTBearer              a token in `Authorization: Bearer`

ROUTE_MODULES = {"^/admin/": ["torngas_aio.auth.LoginRequired"], "Edit": [PermissionRequired("task.edit")]}
"""

import functools
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode

from torngas_aio.auth.published_keys import PublishedKeys
from torngas_aio.auth.users import has_permission, login_url
from torngas_aio.exception import ConfigError, HTTPError
from torngas_aio.handler import ApiHandler, BaseHandler, WebSocketHandler
from torngas_aio.httpmodule.httpmodule import BaseHttpModule, Clear
from torngas_aio.settings_manager import settings

__all__ = [
    "BearerToken",
    "JWTBearer",
    "LoginRequired",
    "PermissionRequired",
    "check_login",
    "check_permission",
    "login_required",
    "permission_required",
]

M = TypeVar("M", bound=Callable[..., Awaitable[object]])

_TOKEN = re.compile(r"Bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)
MAX_TOKEN_LENGTH = 8192


async def check_login(handler: BaseHandler) -> bool:
    """Return whether a user is logged in; if not, redirect a page to the login.

    Raises:
        HTTPError: 401: no user is logged in, and the request is for an API, a WebSocket, or not GET or HEAD.
        CacheUnavailable: The session's store is down, so the user is unknown.
    """
    if await handler.load_current_user() is not None:
        return True
    if getattr(handler, "uses_session", False):
        getattr(handler, "session", None)  # raises if the store is down
    is_program = isinstance(handler, ApiHandler) or (isinstance(handler, WebSocketHandler) and handler.is_socket)
    is_page = handler.request.method in {"GET", "HEAD"} and not is_program
    if not is_page:
        raise HTTPError(401, "Log in first.")
    handler.redirect(f"{login_url()}?{urlencode({'next': handler.request.uri})}")
    return False


async def check_permission(handler: BaseHandler, permission: str) -> bool:
    """Return True if the user has *permission*; without a user do the same as `check_login`.

    Raises:
        HTTPError: 401 as `check_login`; 403: the user does not have the permission.
    """
    if not await check_login(handler):
        return False
    if not await has_permission(handler.current_user, permission):
        raise HTTPError(403, "You may not do this.")
    return True


def login_required(method: M) -> M:
    """Call an `async def` method of a handler only if a user is logged in; else respond as `LoginRequired`."""
    return _guarded(method, check_login)


def permission_required(permission: str) -> Callable[[M], M]:
    """Call the method only for a user with *permission*; else respond as `PermissionRequired`."""

    def decorate(method: M) -> M:
        return _guarded(method, lambda handler: check_permission(handler, permission))

    return decorate


def _guarded(method: M, check: Callable[[BaseHandler], Awaitable[bool]]) -> M:
    @functools.wraps(method)
    async def call(handler: BaseHandler, *args: object, **kwargs: object) -> object:
        return await method(handler, *args, **kwargs) if await check(handler) else None

    return call  # type: ignore[return-value]  # of the same signature


class LoginRequired(BaseHttpModule):
    """An HTTP module that accepts only requests of logged-in users."""

    before_body = True
    depends_on = ("torngas_aio.auth.users.AuthMiddleware",)
    openapi_responses: ClassVar[Mapping[int, str]] = {401: "No user is logged in."}

    @property
    def openapi_security(self) -> Mapping[str, Mapping[str, str]]:
        """The session cookie, as a security scheme."""
        return {"session": {"type": "apiKey", "in": "cookie", "name": settings.SESSION["session_name"]}}

    async def begin_request(self, handler: BaseHandler, clear: Clear) -> bool:
        return not await check_login(handler)


class PermissionRequired(LoginRequired):
    """An HTTP module that accepts only requests of users with a permission.

    `PermissionRequired("task.edit")` returns a class for ROUTE_MODULES; a subclass with `permission` is equivalent.
    """

    permission = ""
    openapi_responses: ClassVar[Mapping[int, str]] = {
        **LoginRequired.openapi_responses,
        403: "The user does not have the permission.",
    }

    def __new__(cls, permission: str = "") -> Any:
        if permission:
            return type(f"{cls.__name__}_{permission}", (cls,), {"permission": permission})
        if not cls.permission:
            raise ConfigError(
                "PermissionRequired names no permission: write PermissionRequired('task.edit').", code="TGA303"
            )
        return super().__new__(cls)

    async def begin_request(self, handler: BaseHandler, clear: Clear) -> bool:
        return not await check_permission(handler, self.permission)


class BearerToken(BaseHttpModule):
    """An HTTP module that accepts only requests with a valid token in `Authorization: Bearer`; see `load_user`."""

    before_body = True
    openapi_responses: ClassVar[Mapping[int, str]] = {401: "There is no valid token."}
    openapi_security: ClassVar[Mapping[str, Mapping[str, str]]] = {"bearer": {"type": "http", "scheme": "bearer"}}

    async def load_user(self, token: str, handler: Any) -> Any:
        """Return the user of *token*; None if the token is invalid. Subclasses must override it."""
        raise NotImplementedError

    async def begin_request(self, handler: BaseHandler, clear: Clear) -> None:
        given = handler.request.headers.get("Authorization", "")
        match = _TOKEN.fullmatch(given) if len(given) <= MAX_TOKEN_LENGTH else None
        if match is None:
            raise _refusal("" if not given else ' error="invalid_request"')
        user = await self.load_user(match[1], handler)
        if user is None:
            raise _refusal(' error="invalid_token"')
        handler.current_user = user


class JWTBearer(BearerToken):
    """An HTTP module for bearer tokens that are signed JWTs (PyJWT); a subclass defines keys and algorithms.

    Attributes:
        algorithms: Accepted algorithms, such as ("RS256",); the token cannot choose others.
        key: The secret of at least 32 bytes, or the public key as PEM.
        jwks_url: URL of the published keys, in place of `key`; fetched once an hour, and for tokens with an unknown key
            at most once a minute.
        audience: Required value in the token's `aud`.
        issuer: Required value of the token's `iss`.
        leeway: Allowed clock difference in seconds.

    Raises:
        ConfigError: Algorithms are missing, neither or both of `key` and `jwks_url` are set, or an algorithm cannot use
            the key, such as "HS256" with a public key.
    """

    algorithms: Sequence[str] = ()
    key: str | bytes = ""
    jwks_url = ""
    audience: str | None = None
    issuer: str | None = None
    leeway = 10.0
    openapi_security: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }

    def __init__(self) -> None:
        faults: list[str] = []
        if not self.algorithms or any(each.lower() == "none" for each in self.algorithms):
            faults.append(f"{type(self).__qualname__}.algorithms: name those that are taken, such as ('RS256',).")
        if bool(self.key) == bool(self.jwks_url):
            faults.append(f"{type(self).__qualname__}: write either `key` or `jwks_url`.")
        faults += () if faults or self.jwks_url else self._unusable()
        ConfigError.gather(faults, code="TGA303")
        self._published = PublishedKeys(self.jwks_url)

    async def load_claims(self, claims: Mapping[str, Any], handler: Any) -> Any:
        """Return the user of the token's *claims*; by default the claims themselves."""
        return claims

    async def load_user(self, token: str, handler: Any) -> Any:
        import jwt

        def decode(key: Any) -> dict[str, object]:
            return jwt.decode(
                token,
                key,
                algorithms=list(self.algorithms),
                audience=self.audience,
                issuer=self.issuer,
                leeway=self.leeway,
                options={"require": ["exp"], "verify_aud": self.audience is not None},
            )

        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self.algorithms:
                return None
            if self.key:
                claims = decode(self.key)
            else:
                claims = await self._published.verify(str(header.get("kid", "")), header["alg"], decode)
        except (jwt.PyJWTError, TypeError, ValueError, RecursionError):
            return None
        return await self.load_claims(claims, handler)

    def _unusable(self) -> Iterator[str]:
        """Yield a fault for each algorithm that cannot use `key`; verifying a token with it would raise."""
        import jwt

        for name in self.algorithms:
            try:
                algorithm = jwt.get_algorithm_by_name(name)
                algorithm.verify(b"", algorithm.prepare_key(self.key), b"")
            except (jwt.PyJWTError, TypeError, ValueError, NotImplementedError, AttributeError):  # RSA: a private key
                yield (
                    f"{type(self).__qualname__}.algorithms: {name!r} cannot use the `key`. HS algorithms take a "
                    "secret, RS, PS and ES take a public key as PEM; name those of one kind."
                )


def _refusal(reason: str) -> HTTPError:
    return HTTPError(401, "There is no valid token.", headers={"WWW-Authenticate": f"Bearer{reason}"})
