"""The worker: takes jobs from queues and runs them until it is stopped.

listen() ─► taskiq's Receiver: one task per job, at most *concurrency* ─► run_message
on stop: no more jobs are taken; running jobs may finish; the others return to their queues

message ─► declared job ─► scope ─► function ─► commit ─► result
                │                       └─ raises: again after 1, 2, 4 ... s, in the end a dead letter
                └─ not declared, or not JSON: a dead letter
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

from taskiq import AckableMessage, TaskiqMessage
from taskiq.receiver import Receiver
from taskiq.utils import maybe_awaitable

from torngas_aio import _json
from torngas_aio._cleanup import cancel_tasks, is_imposed
from torngas_aio._job_events import tell_jobs
from torngas_aio._unawaited import watch_unawaited
from torngas_aio.context import carriers, enter_job
from torngas_aio.exception import Unavailable, Unawaited
from torngas_aio.jobs.base import BaseJobs, TakenMessage
from torngas_aio.jobs.declaring import Job, declared
from torngas_aio.jobs.schedules import run_schedules
from torngas_aio.logger import OutageLog
from torngas_aio.logger.loggers import well_formed_id
from torngas_aio.settings_manager import settings

__all__ = ["has_tables", "queues_of", "run_message", "run_worker", "scheduled_of"]

logger = logging.getLogger("torngas_aio.jobs")
_outages = OutageLog(logger)

GRACEFUL_SECONDS = 30.0
CANCEL_SECONDS = 5.0

LONGEST_PAUSE = 300.0
"""The longest pause before an attempt, in seconds."""


def queues_of(alias: str) -> list[str]:
    """Return the queues of the jobs declared for the JOBS entry *alias*."""
    return sorted({job.queue for job in declared.values() if job.alias == alias})


def scheduled_of(alias: str) -> list[Job[Any, Any]]:
    """Return the jobs of the JOBS entry *alias* that have a schedule."""
    return [job for job in declared.values() if job.alias == alias and job.schedule is not None]


def has_tables(alias: str) -> bool:
    """Return whether jobs of the JOBS entry *alias* are declared with an outbox or a key."""
    return any(job.alias == alias and (job.outbox or job.key is not None) for job in declared.values())


async def run_worker(
    backend: BaseJobs,
    queues: Collection[str],
    stopping: asyncio.Event,
    *,
    concurrency: int = 100,
    graceful_seconds: float = GRACEFUL_SECONDS,
    hurry: asyncio.Event | None = None,
) -> None:
    """Run the jobs of *queues* until *stopping* is set, then shut down gracefully.

    Args:
        concurrency: Maximum number of concurrent jobs.
        graceful_seconds: Time for running jobs after *stopping* is set; then they are cancelled and returned.
        hurry: If set, running jobs are cancelled at once.

    Raises:
        Unavailable: The store does not answer at startup; later outages are waited out.
    """
    await backend.open_worker(queues, concurrency)
    receiver = _JobReceiver(backend, concurrency, graceful_seconds)
    scheduled = scheduled_of(backend.alias)
    beside = {asyncio.create_task(_hurry(receiver, hurry or asyncio.Event()))}
    if backend.database in settings.DATABASE_CONNECTION:
        from torngas_aio.jobs.outbox import run_outbox

        beside.add(asyncio.create_task(_run_logged("outbox", run_outbox(backend))))
    if scheduled:
        beside.add(asyncio.create_task(_run_logged("schedules", run_schedules(backend, scheduled))))
    try:
        await receiver.listen(stopping)
    finally:
        receiver.is_ending = True
        running = {*beside, *receiver.running}
        if receiver.running:
            logger.warning("%d jobs are cancelled by the stop and go back to their queues.", len(receiver.running))
        await cancel_tasks(running, CANCEL_SECONDS)
        await backend.close_worker()


class _JobReceiver(Receiver):
    """taskiq's receiver, changed to run messages with `run_message`.

    Attributes:
        running: The tasks of the running jobs.
        is_ending: The worker cancels them; before that, a job's task can only have been cancelled by the job itself.
    """

    is_ending = False

    def __init__(self, backend: BaseJobs, concurrency: int, graceful_seconds: float) -> None:
        super().__init__(backend, max_async_tasks=concurrency, run_startup=False, wait_tasks_timeout=graceful_seconds)
        self.running: set[asyncio.Task[Any]] = set()
        self._backend = backend

    async def callback(self, message: bytes | AckableMessage, raise_err: bool = False) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        data, ack = (message.data, message.ack) if isinstance(message, AckableMessage) else (message, lambda: None)
        taken = message if isinstance(message, TakenMessage) else None
        try:
            await run_message(self._backend, "default" if taken is None else taken.queue, data, ack)
        except BaseException as exc:
            if self.is_ending and is_imposed(exc):
                raise
            _outages.report_error(exc, "A job could not be ended; it will run again.")
            if taken is not None:
                taken.release()
        finally:
            self.running.discard(task)


async def _hurry(receiver: _JobReceiver, hurry: asyncio.Event) -> None:
    await hurry.wait()
    receiver.is_ending = True
    for task in receiver.running:
        task.cancel()


async def _run_logged(name: str, work: Coroutine[object, None, None]) -> None:
    try:
        await work
    except Exception:  # a boundary: jobs continue without it
        logger.exception("The %s of jobs have ended in this worker.", name)


async def run_message(backend: BaseJobs, queue: str, data: bytes, ack: Callable[[], Awaitable[None] | None]) -> None:
    """Run the job in the message *data*, in its own task.

    Raises only on a cancellation from outside or an outage of the store; *ack* was then not called.

    Args:
        ack: Awaited once the job has ended or its next attempt is stored.
    """
    try:
        message = backend.formatter.loads(data)
        job = declared.get(message.task_name)
    except ValueError as exc:
        await backend.bury(queue, data, _error(f"not a message of a job: {exc}"))
    else:
        message.labels.setdefault("queue_name", queue)  # optional for other senders
        if job is None:
            logger.error("No job is called %.200r here: %s is a dead letter.", message.task_name, message.task_id)
            await backend.bury(queue, data, _error(f"no job is called {message.task_name!r:.200} in this worker"))
            tell_jobs("dead", "", message)
        else:
            await _run(backend, job, message, data)
    await maybe_awaitable(ack())  # another package's broker may have a plain function


async def _run(backend: BaseJobs, job: Job[Any, Any], message: TaskiqMessage, data: bytes) -> None:
    try:
        args, kwargs = job.arguments.restore(message.args, message.kwargs)
    except Exception as exc:  # noqa: BLE001  its types may raise anything, and another attempt would fail again
        await _fail(backend, job, message, data, exc, is_final=True)
        return
    tell = partial(tell_jobs, name=job.name, message=message)
    tell("started")
    started = time.perf_counter()
    try:
        result = await _perform(backend, job, message, args, kwargs)
    except BaseException as exc:
        seconds = time.perf_counter() - started
        if is_imposed(exc) or isinstance(exc, KeyboardInterrupt):
            tell("given back", seconds=seconds)
            raise
        tell("failed", seconds=seconds, error=exc)
        await _fail(backend, job, message, data, exc)
    else:
        tell("succeeded", seconds=time.perf_counter() - started)
        if result:
            await backend.keep_result(message.task_id, result, job.result_ttl)


async def _perform(
    backend: BaseJobs, job: Job[Any, Any], message: TaskiqMessage, args: list[Any], kwargs: dict[str, object]
) -> bytes:
    """Run the job, commit its sessions, and return the result to store; none if the job was done before."""
    watch_unawaited()
    limit = None if job.timeout is None else asyncio.timeout(job.timeout)
    scope = enter_job(well_formed_id(message.labels.get("request_id")))
    registry: Any = sys.modules.get("torngas_aio.db.dbalchemy.registry")  # if not imported, there are no sessions
    if registry is not None:
        registry.leave_sessions()
    try:
        with ExitStack() as carried:
            for _, take_up in carriers:
                carried.enter_context(take_up(message.labels, job.name))
            async with limit or nullcontext():
                if not message.labels.keys().isdisjoint({"key", "outbox"}):
                    from torngas_aio.jobs.outbox import claim  # needs SQLAlchemy

                    if not await claim(backend, message, job.key_ttl):
                        logger.info("The job %s (%s) was done before.", job.name, message.task_id)
                        return b""
                value = await job.function(*args, **kwargs)
                _check_time(limit)
            forgotten, scope.unawaited = scope.unawaited, []
            if forgotten:
                raise Unawaited("\n".join(map(str, forgotten)))
            registry = sys.modules.get("torngas_aio.db.dbalchemy.registry")
            for session in () if registry is None else registry.open_sessions():
                await session.commit()
    except TimeoutError as exc:
        if limit is None or not limit.expired():  # raised by the job itself
            raise
        raise TimeoutError(f"it took longer than its timeout={job.timeout:g}.") from exc
    finally:
        await scope.aclose()
        for error in scope.unawaited:  # in a failed job, or after its commit
            logger.error("The job %s (%s): %s", job.name, message.task_id, error)
    return _json.dumps({"value": value}) if job.result_ttl else b""


def _check_time(limit: asyncio.Timeout | None) -> None:
    """Raise TimeoutError if *limit* has expired and the function swallowed its cancellation."""
    if limit is not None and limit.expired():
        raise TimeoutError


async def _fail(
    backend: BaseJobs,
    job: Job[Any, Any],
    message: TaskiqMessage,
    data: bytes,
    exc: BaseException,
    *,
    is_final: bool = False,
) -> None:
    """Schedule the job's next attempt, or store it as a dead letter."""
    attempt = message.labels.get("attempt", 0)
    error = _error(f"{type(exc).__name__}: {exc}")
    told = f"The job {job.name} ({message.task_id}) failed"
    shown: BaseException | None = exc
    if isinstance(exc, Unavailable):  # an outage fails many jobs; a traceback for each would fill the log
        told, shown = f"{told} ({exc})", None
    queue: str = message.labels["queue_name"]
    message.labels["attempt"] = attempt + 1
    again = None if is_final or attempt >= job.retries else _encode(backend, message)
    if again is not None:
        pause = min(2.0 ** min(attempt, 16), LONGEST_PAUSE) * random.uniform(0.9, 1.1)  # noqa: S311  spreads attempts
        if message.labels.get("outbox"):
            from torngas_aio.jobs.outbox import postpone  # needs SQLAlchemy

            if not await postpone(backend, message, pause):
                return
        logger.warning(
            "%s and is tried again in %.1f s (%d of %d).", told, pause, attempt + 1, job.retries, exc_info=shown
        )
        await backend.put_again(queue, again, pause)
        tell_jobs("retried", job.name, message)
        return
    logger.error("%s for good; `torngas-aio jobs retry` puts it on its queue again.", told, exc_info=shown)
    del message.labels["attempt"]
    is_in_outbox = message.labels.pop("outbox", False)
    await backend.bury(queue, _encode(backend, message) or data, error)
    tell_jobs("dead", job.name, message)
    if is_in_outbox:
        from torngas_aio.jobs.outbox import discard

        await discard(backend, message)
    if job.result_ttl:
        await backend.keep_result(message.task_id, _json.dumps({"error": error}), job.result_ttl)


def _encode(backend: BaseJobs, message: TaskiqMessage) -> bytes | None:
    """Return the encoded *message*; None for a message of another sender that is nested too deeply."""
    try:
        return backend.formatter.dumps(message).message
    except ValueError:
        return None


def _error(text: str) -> str:
    """Return the start of *text*, without characters that UTF-8 cannot encode, such as bytes of a file name."""
    return text[:1000].encode(errors="backslashreplace").decode()
