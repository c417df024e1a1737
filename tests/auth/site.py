"""A site with a login, guarded pages and programs, and keys that sign tokens."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torngas_aio import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.api.openapi import OpenAPIHandler
from torngas_aio.api.page import PageHandler
from torngas_aio.auth import (
    BearerToken,
    JWTBearer,
    LoginMixIn,
    LoginRequired,
    PermissionRequired,
    login_required,
    permission_required,
)

SECRET = "for these tests only, of sixty-four characters and some more of them"


USERS = {"7": SimpleNamespace(id=7, name="ann", permissions={"edit"}), "8": SimpleNamespace(id=8, name="bob")}


loads: list[str] = []


async def load_user(key: str) -> Any:
    loads.append(key)
    return USERS.get(key)


async def is_logged_in(handler: Any) -> bool:
    return handler.current_user is not None


async def only_bob(user: Any, permission: str) -> bool:
    return bool(user.name == "bob")


class Login(LoginMixIn, WebHandler):
    async def post(self, key: str) -> None:
        await self.login(USERS[key])
        self.write({"name": self.current_user.name})

    async def delete(self, key: str) -> None:
        self.logout()


class Page(WebHandler):
    async def get(self) -> None:
        user = self.current_user
        self.session.setdefault("seen", 0)
        self.session.incr("seen")
        self.write({"name": user and user.name, "seen": self.session["seen"]})

    async def post(self) -> None:
        self.write("changed")


class Api(ApiHandler):
    async def get(self) -> Any:
        user = self.current_user
        return {"user": dict(user) if isinstance(user, Mapping) else user and user.name}


class Partly(ApiHandler):
    async def get(self) -> Any:
        return "open"

    @login_required
    async def post(self) -> Any:
        return "in"

    @permission_required("edit")
    async def put(self) -> Any:
        return "edited"


class Socket(WebSocketHandler):
    async def open(self) -> None:
        await self.write_message(self.current_user.name)

    def on_message(self, message: str | bytes) -> None:
        """Nothing."""


class Token(BearerToken):
    async def load_user(self, token: str, handler: Any) -> Any:
        return USERS.get(token)


class Signed(JWTBearer):
    algorithms = ("HS256",)
    key = SECRET
    audience = "us"
    issuer = "them"


RULES: list[Any] = [
    (r"/login/(\d+)", Login, {}, "login"),
    (r"/open", Page, {}, "open"),
    (r"/page", Page, {}, "page"),
    (r"/edit", Page, {}, "edit"),
    (r"/api", Api, {}, "api"),
    (r"/partly", Partly, {}, "partly"),
    (r"/socket", Socket, {}, "socket"),
    (r"/token", Api, {}, "token"),
    (r"/jwt", Api, {}, "jwt"),
    (r"/openapi.json", OpenAPIHandler, {}, "document"),
    (r"/docs(?:/(?P<name>[\w.-]*))?", PageHandler, {}, "docs"),
]


MODULES: dict[str, list[Any]] = {
    "page": [LoginRequired],
    "api": ["torngas_aio.auth.LoginRequired"],
    "socket": [LoginRequired],
    "edit": [PermissionRequired("edit")],
    "token": [Token],
    "jwt": [Signed],
    "docs": [LoginRequired],
}
