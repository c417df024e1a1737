"""The pages of this application."""

from torngas_aio.handler import WebHandler


class Index(WebHandler):
    """The first page."""

    async def get(self) -> None:
        await self.finish("__app__ works.")
