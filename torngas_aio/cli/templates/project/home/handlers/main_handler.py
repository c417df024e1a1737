"""A page and an API."""

from torngas_aio.handler import ApiHandler, WebHandler


class Index(WebHandler):
    """The first page."""

    async def get(self) -> None:
        await self.render("home/index.html", title="__project__")


class Hello(ApiHandler):
    """Greets by name, as JSON."""

    async def get(self, name: str) -> None:
        self.write_api({"hello": name})
