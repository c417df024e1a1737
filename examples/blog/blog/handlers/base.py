"""What every page has: the author who is logged in, and flash messages."""

from typing import Any

from torngas_aio import WebHandler
from torngas_aio.mixins.flash_message import FlashMessageMixIn


class Page(FlashMessageMixIn, WebHandler):
    def get_current_user(self) -> dict[str, Any] | None:
        user: dict[str, Any] | None = self.session["author"]
        return user

    def page_number(self) -> int:
        """Return `?page=`, 1 where it is none."""
        wanted = self.get_query_argument("page", "1")
        return max(int(wanted), 1) if wanted.isdecimal() and len(wanted) < 9 else 1
