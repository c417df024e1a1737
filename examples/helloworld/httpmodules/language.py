"""Says in which language a page is written."""

from collections.abc import Callable
from typing import Any

from torngas_aio.httpmodule import BaseHttpModule


class LanguageModule(BaseHttpModule):
    async def begin_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        handler.set_header("Content-Language", "zh" if handler.request.path.startswith("/china") else "en")
