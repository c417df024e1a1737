"""How long each request took, told to the browser."""

from collections.abc import Callable
from typing import Any

from torngas_aio import BaseMiddleware


class TimingMiddleware(BaseMiddleware):
    """Adds `Server-Timing`; browsers show it in their network panel."""

    async def process_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        milliseconds = handler.request.request_time() * 1000
        handler.set_header("Server-Timing", f"app;dur={milliseconds:.1f}")
