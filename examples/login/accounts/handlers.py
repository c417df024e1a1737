"""Coming in, going out, and the page in between."""

from datetime import UTC, datetime

from tornado.web import HTTPError, authenticated

from accounts import users
from torngas_aio import WebHandler
from torngas_aio.cache import cache
from torngas_aio.mixins.flash_message import FlashMessageMixIn
from torngas_aio.session import session_store
from torngas_aio.utils.redirects import safe_redirect_target

MAX_GUESSES = 10
MONTH = 30 * 86_400


class Page(FlashMessageMixIn, WebHandler):
    """What every page here has: the user of the session, and flash messages."""

    def get_current_user(self) -> str | None:
        user: str | None = self.session["user"]
        return user


class Home(Page):
    """For those who are logged in."""

    @authenticated
    async def get(self) -> None:
        await self.render(
            "home.html", visits=self.session.incr("visits"), since=datetime.fromtimestamp(self.session["since"], UTC)
        )


class Login(Page):
    """Name and password."""

    async def get(self) -> None:
        await self.render("login.html", next=self.get_argument("next", "/"), name="")

    async def post(self) -> None:
        name, password = self.get_argument("name"), self.get_argument("password", strip=False)
        if await self._guesses(name) > MAX_GUESSES:
            raise HTTPError(429, "Too many wrong passwords; wait a minute.")
        if not await users.is_right(name, password):
            self.flash("That is not the right name and password.", "error")
            self.set_status(403)
            await self.render("login.html", next=self.get_argument("next", "/"), name=name)
            return
        self.session.cycle_id()  # whoever knew the old id, such as one who planted it, knows nothing now
        self.session.bind_user(name)  # so that all sessions of this user can be revoked
        self.session["user"] = name
        self.session["since"] = datetime.now(UTC).timestamp()
        if self.get_argument("remember", ""):
            self.set_expire(MONTH)
        self.flash(f"Welcome, {name.title()}.", "success")
        await self.redirect(safe_redirect_target(self.get_argument("next", "/")), status=303)

    async def _guesses(self, name: str) -> int:
        key = f"guesses:{self.request.remote_ip}:{name}"  # whatever was typed: see KEY_FUNCTION in the settings
        await cache.add(key, 0, timeout=60)
        return await cache.incr(key)


class Logout(Page):
    """Ends this session."""

    async def post(self) -> None:
        self.session.expired()
        self.flash("You are logged out.")
        await self.redirect("/login", status=303)


class Elsewhere(Page):
    """Ends the user's other sessions: a lost telephone, a library's computer."""

    @authenticated
    async def post(self) -> None:
        ended = await session_store().revoke_user(self.current_user, keep=self.session.sessionid)
        self.flash(f"Other sessions ended: {ended}." if ended else "There was no other session.", "success")
        await self.redirect("/", status=303)
