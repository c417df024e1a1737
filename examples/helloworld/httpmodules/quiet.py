"""Keeps answers for programs out of every cache."""

from collections.abc import Callable
from typing import Any

from torngas_aio.httpmodule import BaseHttpModule


class NoStoreModule(BaseHttpModule):
    async def begin_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        handler.set_header("Cache-Control", "no-store")
