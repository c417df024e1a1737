"""Answers that no cache may keep."""

from collections.abc import Callable
from typing import Any

from torngas_aio import BaseHttpModule


class NoStoreModule(BaseHttpModule):
    """Adds `Cache-Control: no-store`."""

    async def begin_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        handler.set_header("Cache-Control", "no-store")
