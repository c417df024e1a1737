"""Counts what went wrong, and tells the log of it: start, error and end of the process."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from torngas_aio.middleware import BaseMiddleware

logger = logging.getLogger("torngas_aio.tracelog")


class SorryMiddleware(BaseMiddleware):
    async def process_init(self, application: Any) -> None:
        self.errors: Counter[str] = Counter()

    async def process_exception(
        self, handler: Any, clear: Callable[[], None], typ: Any, value: BaseException, tb: Any
    ) -> None:
        self.errors[typ.__name__] += 1
        handler.log_exception(typ, value, tb)

    async def process_shutdown(self, application: Any) -> None:
        if self.errors:
            logger.error("Errors in this run: %s", dict(self.errors))
