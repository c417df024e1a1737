"""Lets members pass, and sends everybody else to the login page."""

from collections.abc import Callable
from typing import Any

from torngas_aio.httpmodule import BaseHttpModule


class MembersOnlyModule(BaseHttpModule):
    async def begin_request(self, handler: Any, clear: Callable[[], None]) -> bool:
        if handler.current_user:
            return False
        handler.flash("Members only: please log in.", "warning")
        handler.redirect(handler.reverse_url("Login"))
        return True  # the response is finished: the method must not run
