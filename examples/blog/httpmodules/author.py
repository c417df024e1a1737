"""Lets authors near their desk, and sends everybody else to the login page."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from torngas_aio.httpmodule import BaseHttpModule


class AuthorModule(BaseHttpModule):
    async def begin_request(self, handler: Any, clear: Callable[[], None]) -> bool:
        if handler.current_user:
            return False
        handler.flash("Authors only: please log in.", "warning")
        handler.redirect(f"{handler.reverse_url('Login')}?{urlencode({'next': handler.request.uri})}", status=303)
        return True
