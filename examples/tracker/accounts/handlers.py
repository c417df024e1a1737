"""The pages."""

import hashlib
from typing import Any

from accounts import passwords
from torngas_aio import WebHandler
from torngas_aio.auth import LoginMixIn, check_password, login_required
from torngas_aio.cache import cache
from torngas_aio.exception import HTTPError
from torngas_aio.utils.redirects import safe_redirect_target

ATTEMPTS_A_MINUTE = 10


class Page(LoginMixIn, WebHandler):
    """A base class for all pages."""

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")  # the address of a reset page is a secret

    async def limit(self, *subjects: str) -> None:
        """Count an attempt from this client, and one at each of *subjects*.

        Raises:
            HTTPError: 429: there were too many within a minute.
        """
        for subject in (f"client {self.request.remote_ip}", *subjects):
            digest = hashlib.sha256(f"{type(self).__name__} {subject}".encode("utf-8", "surrogatepass")).hexdigest()
            await cache.add(f"accounts-attempts-{digest}", 0, timeout=60)
            if await cache.incr(f"accounts-attempts-{digest}") > ATTEMPTS_A_MINUTE:
                raise HTTPError(429, "Too many attempts. Wait a minute.")

    async def show(self, page: str, fault: str | None = None, /, **values: Any) -> None:
        """Answer with a page of this app, with 422 where it tells a fault."""
        if fault:
            self.set_status(422)
        await self.render(f"accounts/{page}.html", fault=fault, **values)

    def password(self, name: str = "password") -> str:
        """Return a password as it was typed."""
        return self.get_argument(name, "", strip=False)


class Login(Page):
    async def get(self) -> None:
        await self.show("login", next=self.get_argument("next", "/"), name="")

    async def post(self) -> None:
        name = self.get_argument("name", "")
        await self.limit(f"user {name}")
        user = await passwords.user_with(name, self.password())
        if user is None:
            fault = "That is not the right name and password."
            await self.show("login", fault, next=self.get_argument("next", "/"), name=name)
            return
        await self.login(user)
        await self.redirect(safe_redirect_target(self.get_argument("next", "/")), status=303)


class Logout(Page):
    async def post(self) -> None:
        self.logout()
        await self.redirect(self.reverse_url("accounts-login"), status=303)


class ChangePassword(Page):
    @login_required
    async def get(self) -> None:
        await self.show("password")

    @login_required
    async def post(self) -> None:
        user = self.current_user
        await self.limit(f"user {user.id}")
        new = self.password("new")
        fault = passwords.fault_of(new, self.password("again"))
        if not fault and not await check_password(self.password(), user.password_hash):
            fault = "That is not your present password."
        if not fault and not await passwords.set_password(user, new, keep=self.session.sessionid):
            fault = "The password was changed meanwhile."
        if fault:
            await self.show("password", fault)
            return
        await self.show("done")


class ResetPassword(Page):
    async def get(self) -> None:
        await self.show("reset", is_sent=False)

    async def post(self) -> None:
        email = self.get_argument("email", "")
        await self.limit(f"email {email.lower()}")
        # The answer is the same, and as fast, for an address that no user has.
        self.application.background.start_soon(passwords.mail_link, self, email, name="mail a reset link")
        await self.show("reset", is_sent=True)


class ConfirmReset(Page):
    async def get(self) -> None:
        await self.answer()

    async def post(self) -> None:
        await self.limit()
        await self.answer(is_sent=True)

    async def answer(self, is_sent: bool = False) -> None:
        token, new = self.get_argument("token", ""), self.password("new")
        user = await passwords.user_of_link(self, token)
        fault = passwords.fault_of(new, self.password("again")) if is_sent else None
        if user is not None and is_sent and not fault and not await passwords.set_password(user, new):
            user = None
        if user is None:
            raise HTTPError(400, "This link is not valid any more. Ask for another one.")
        if is_sent and not fault:
            await self.show("done")
            return
        await self.show("confirm", fault, token=token)
