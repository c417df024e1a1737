"""Pages that greet."""

from hello.handlers.base import Page


class Main(Page):
    async def get(self) -> None:
        await self.render("index.html", greeting=self._url_kwargs["greeting"])


class Country(Page):
    async def get(self) -> None:
        await self.render("country.html", greeting=self._url_kwargs["greeting"], country=self.request.path.strip("/"))


class Trouble(Page):
    """Fails, so that you can look at the debug page, or at `templates/error.html` with DEBUG off."""

    async def get(self) -> None:
        guests = {"kitchen": 2}
        self.write(f"{guests['garden']} guests in the garden")
