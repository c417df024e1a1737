"""Coming in and going out."""

from blog import passwords
from blog.handlers.base import Page
from blog.models import User
from torngas_aio.utils.redirects import safe_redirect_target


class Login(Page):
    async def get(self) -> None:
        await self.render("login.html", next=self.get_query_argument("next", "/admin"), name="")

    async def post(self) -> None:
        name = self.get_body_argument("name", "")[:40]
        password = self.get_body_argument("password", "", strip=False)[:200]
        user = await User.Q.filter(User.name == name).first()
        if user is None or not await passwords.is_right(password, user.password):
            self.set_status(403)
            self.flash("That is not the right name and password.", "warning")
            await self.render("login.html", next=self.get_body_argument("next", "/admin"), name=name)
            return
        self.session.cycle_id()  # whoever knew the old id knows nothing now
        self.session["author"] = {"id": user.id, "name": user.name}
        self.flash(f"Welcome, {user.name}.", "success")
        await self.redirect(safe_redirect_target(self.get_body_argument("next", "/admin")), status=303)


class Logout(Page):
    async def post(self) -> None:
        self.session.expired()
        self.flash("See you soon.", "success")
        await self.redirect(self.reverse_url("Front"), status=303)
