"""HTTP modules and decorators that let only some requests pass, WebSocket handshakes too.

LoginRequired                       pages are redirected to the login, programs get 401
PermissionRequired("task.edit")     and 403 for users without it
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
    """Return whether a user is logged in; else redirect a page to the login.

    Raises:
        HTTPError: 401: none is, and the handler answers programs, sockets, or a method other than GET and HEAD.
        CacheUnavailable: Whether one is cannot be known: the session's store is down.
    """
    if await handler.load_current_user() is not None:
        return True
    if getattr(handler, "uses_session", False):
        getattr(handler, "session", None)  # raises when its store is down; without sessions users come from elsewhere
    is_program = isinstance(handler, ApiHandler) or (isinstance(handler, WebSocketHandler) and handler.is_socket)
    is_page = handler.request.method in {"GET", "HEAD"} and not is_program
    if not is_page:
        raise HTTPError(401, "Log in first.")
    handler.redirect(f"{login_url()}?{urlencode({'next': handler.request.uri})}")
    return False


async def check_permission(handler: BaseHandler, permission: str) -> bool:
    """Return whether the user has *permission*; as `check_login` where no user is logged in.

    Raises:
        HTTPError: 401 as `check_login`; 403: the user does not have it.
    """
    if not await check_login(handler):
        return False
    if not await has_permission(handler.current_user, permission):
        raise HTTPError(403, "You may not do this.")
    return True


def login_required(method: M) -> M:
    """Call an `async def` method of a handler only for a user who is logged in; else as `LoginRequired`."""
    return _guarded(method, check_login)


def permission_required(permission: str) -> Callable[[M], M]:
    """Call the method only for a user with *permission*; else as `PermissionRequired`."""

    def decorate(method: M) -> M:
        return _guarded(method, lambda handler: check_permission(handler, permission))

    return decorate


def _guarded(method: M, check: Callable[[BaseHandler], Awaitable[bool]]) -> M:
    @functools.wraps(method)
    async def call(handler: BaseHandler, *args: object, **kwargs: object) -> object:
        return await method(handler, *args, **kwargs) if await check(handler) else None

    return call  # type: ignore[return-value]  # of the same signature


class LoginRequired(BaseHttpModule):
    """Lets requests of users pass who are logged in."""

    before_body = True
    depends_on = ("torngas_aio.auth.users.AuthMiddleware",)
    openapi_responses: ClassVar[Mapping[int, str]] = {401: "No user is logged in."}

    @property
    def openapi_security(self) -> Mapping[str, Mapping[str, str]]:
        """The cookie that SESSION names."""
        return {"session": {"type": "apiKey", "in": "cookie", "name": settings.SESSION["session_name"]}}

    async def begin_request(self, handler: BaseHandler, clear: Clear) -> bool:
        return not await check_login(handler)


class PermissionRequired(LoginRequired):
    """Lets requests of users pass who have a permission.

    `PermissionRequired("task.edit")` makes a class for ROUTE_MODULES; a subclass with `permission` does the same.
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
    """Lets requests with a valid token in `Authorization: Bearer` pass; what `load_user` returns is the user."""

    before_body = True
    openapi_responses: ClassVar[Mapping[int, str]] = {401: "There is no valid token."}
    openapi_security: ClassVar[Mapping[str, Mapping[str, str]]] = {"bearer": {"type": "http", "scheme": "bearer"}}

    async def load_user(self, token: str, handler: Any) -> Any:
        """Return the user of *token*, None for a token that is not valid. Override it."""
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
    """A bearer token that is a signed JWT (PyJWT); a subclass names keys and algorithms.

    Attributes:
        algorithms: Those that are taken, such as ("RS256",); the token's own word never counts.
        key: The secret of at least 32 bytes, or the public key as PEM.
        jwks_url: Where the keys are published, in place of `key`; fetched once an hour, and for a token of an unknown
            key at most once a minute.
        audience: The token's `aud` must name it.
        issuer: The token's `iss` must be it.
        leeway: Seconds that clocks may differ.

    Raises:
        ConfigError: There is no algorithm, neither a key nor a `jwks_url`, or an algorithm that cannot use the key,
            such as "HS256" with a public key.
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
        """Yield a fault for each algorithm that cannot use `key`: a client's token would raise."""
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
