"""Coming and going."""

from hello.handlers.base import Page


class Login(Page):
    async def get(self) -> None:
        await self.render("login.html")

    async def post(self) -> None:
        name = self.get_body_argument("name").strip()[:40]
        if not name:
            self.flash("Please tell us your name.", "warning")
            await self.redirect(self.reverse_url("Login"))
            return
        self.set_signed_cookie("member", name, expires_days=None, httponly=True, samesite="Lax")
        self.flash(f"Welcome back, {name}!", "success")
        await self.redirect(self.reverse_url("Guestbook-List"))


class Logout(Page):
    async def post(self) -> None:
        self.clear_cookie("member")
        self.flash("See you soon.", "success")
        await self.redirect(self.reverse_url("Index"))
