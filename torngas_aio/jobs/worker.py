"""A worker: takes jobs from queues and runs them until it is told to stop.

    listen() ─► taskiq's Receiver: a task a job, at most so many ─► run_message
    a stop: nothing more is taken; what runs may end; what does not goes back to its queue

Begin with `run_worker`.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from typing import Any

from taskiq import AckableMessage
from taskiq.receiver import Receiver

from torngas_aio._cleanup import cancel_tasks, is_imposed
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.jobs.declaring import declared
from torngas_aio.jobs.running import run_message
from torngas_aio.jobs.schedules import run_schedules
from torngas_aio.settings_manager import settings

__all__ = ["queues_of", "run_worker", "scheduled_of"]

logger = logging.getLogger("torngas_aio.jobs")

GRACEFUL_SECONDS = 30.0
CANCEL_SECONDS = 5.0


def queues_of(alias: str) -> list[str]:
    """Return the queues of the jobs that are declared for the JOBS entry *alias*."""
    return sorted({job.queue for job in declared.values() if job.alias == alias})


def scheduled_of(alias: str) -> list[Any]:
    """Return the jobs of the JOBS entry *alias* that have a schedule."""
    return [job for job in declared.values() if job.alias == alias and job.schedule is not None]


async def run_worker(
    backend: BaseJobs,
    queues: Collection[str],
    stopping: asyncio.Event,
    *,
    concurrency: int = 100,
    graceful_seconds: float = GRACEFUL_SECONDS,
    hurry: asyncio.Event | None = None,
) -> None:
    """Run the jobs of *queues* until *stopping* is set, then end in order.

    Args:
        concurrency: How many jobs run at a time.
        graceful_seconds: How long those that run may take once it is set; then they are cancelled and given back.
        hurry: Set: they are cancelled at once.

    Raises:
        Unavailable: The store does not answer at the start; later it is waited for.
    """
    await backend.open_worker(queues, concurrency)
    receiver = _JobReceiver(backend, concurrency, graceful_seconds)
    scheduled = scheduled_of(backend.alias)
    beside = {asyncio.create_task(_hurry(receiver, hurry or asyncio.Event()))}
    if backend.database in settings.DATABASE_CONNECTION:
        from torngas_aio.jobs.outbox import run_outbox

        beside.add(asyncio.create_task(_kept("outbox", run_outbox(backend))))
    if scheduled:
        beside.add(asyncio.create_task(_kept("schedules", run_schedules(backend, scheduled))))
    try:
        await receiver.listen(stopping)
    finally:
        running = {*beside, *receiver.running}
        if receiver.running:
            logger.warning("%d jobs are cancelled by the stop and go back to their queues.", len(receiver.running))
        await cancel_tasks(running, CANCEL_SECONDS)
        await backend.close_worker()


class _JobReceiver(Receiver):
    """taskiq's receiver with our way to run one message.

    Attributes:
        running: The tasks of the jobs that run.
    """

    def __init__(self, backend: BaseJobs, concurrency: int, graceful_seconds: float) -> None:
        super().__init__(backend, max_async_tasks=concurrency, run_startup=False, wait_tasks_timeout=graceful_seconds)
        self.running: set[asyncio.Task[Any]] = set()
        self._backend = backend

    async def callback(self, message: bytes | AckableMessage, raise_err: bool = False) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        data, ack = (message.data, message.ack) if isinstance(message, AckableMessage) else (message, lambda: None)
        try:
            await run_message(self._backend, getattr(ack, "queue", "default"), data, ack)
        except BaseException as exc:
            if is_imposed(exc):
                raise
            logger.exception("A job could not be ended; it will run again.")
            if (release := getattr(ack, "release", None)) is not None:
                release()
        finally:
            self.running.discard(task)


async def _hurry(receiver: _JobReceiver, hurry: asyncio.Event) -> None:
    await hurry.wait()
    for task in receiver.running:
        task.cancel()


async def _kept(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # a boundary: jobs go on
        logger.exception("The %s of jobs have ended in this worker.", name)
