"""Says in a header how long a request took: one middleware, two hooks."""

import time
from collections.abc import Callable
from typing import Any

from torngas_aio.middleware import BaseMiddleware


class TimingMiddleware(BaseMiddleware):
    async def process_call(self, request: Any, clear: Callable[[], None]) -> None:
        request.started_at = time.perf_counter()

    async def process_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        milliseconds = (time.perf_counter() - handler.request.started_at) * 1000
        handler.set_header("Server-Timing", f"total;dur={milliseconds:.2f}")
