"""What the pages have in common: a visitor, known by a signed cookie, and flash messages."""

from torngas_aio.handler import WebHandler
from torngas_aio.mixins.flash_message import FlashMessageMixIn


class Page(FlashMessageMixIn, WebHandler):
    def get_current_user(self) -> str | None:
        name = self.get_signed_cookie("member")
        return None if name is None else name.decode()
