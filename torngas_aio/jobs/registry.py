"""The registry of open jobs backends by alias in JOBS: one per alias and event loop.

BACKEND is one of ours or any taskiq broker; for the latter, LOCATION is its first argument, and OPTIONS are its
keyword arguments.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Any

from taskiq import AckableMessage, AsyncBroker, BrokerMessage

from torngas_aio._backends import Backends, make_backend
from torngas_aio.exception import ConfigError
from torngas_aio.jobs.base import BaseJobs

__all__ = ["ForeignJobs", "jobs", "make_jobs"]

logger = logging.getLogger("torngas_aio.jobs")


def make_jobs(alias: str, config: Mapping[str, object]) -> BaseJobs:
    """Return a new backend of the JOBS entry *config*; see `make_backend`."""
    makers: Mapping[object, Callable[..., BaseJobs] | None] = {BaseJobs: None, AsyncBroker: ForeignJobs}
    return make_backend("JOBS", alias, config, makers, "torngas_aio.jobs.redis.RedisJobs")


jobs: Backends[BaseJobs] = Backends("JOBS", make_jobs)
"""The backends of the settings: `jobs["alias"]`."""


class ForeignJobs(BaseJobs):
    """A taskiq broker of another package.

    It sends and receives jobs. Delays are not supported, and dead letters are only logged. Schedules and results need
    one of our own backends.
    """

    keeps_delays = False

    def __init__(self, kind: type[AsyncBroker], location: Any, params: Mapping[str, Any]) -> None:
        super().__init__(location, {**params, "OPTIONS": {}})
        self.kind = kind.__name__
        try:
            self._broker = kind(*([location] if location else []), **(params.get("OPTIONS") or {}))
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"JOBS[{self.alias!r}]: {self.kind} cannot be made: {exc}", code="TGA401") from exc
        self._starting: asyncio.Future[None] | None = None

    async def put(self, queue: str, data: bytes, delay: float = 0.0) -> None:
        await self._started()
        message = self.formatter.loads(data)
        await self._broker.kick(
            BrokerMessage(
                task_id=message.task_id, task_name=message.task_name, message=data, labels={"queue_name": queue}
            )
        )

    async def bury(self, queue: str, data: bytes, error: str) -> None:
        logger.error("A job of the queue %r is given up (%s): %.2000s", queue, error, data.decode(errors="replace"))

    async def open_worker(self, queues: Collection[str], concurrency: int) -> None:
        self._broker.is_worker_process = True
        await self._started()

    def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        return self._broker.listen()

    async def aclose(self) -> None:
        if self._starting is not None:
            self._starting = None
            await self._broker.shutdown()

    async def _started(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._broker.startup())
        await asyncio.shield(self._starting)
