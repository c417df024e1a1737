"""What a backend of jobs does, beside what a taskiq broker does: delays, dead letters, ticks of schedules, results.

    message ── encode ──► put(queue, data) ── listen() ──► a worker: done, put again with a delay, or bury()

A message is taskiq's, as JSON.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from taskiq import AckableMessage, AsyncBroker, BrokerMessage, TaskiqMessage
from taskiq.abc.formatter import TaskiqFormatter

from torngas_aio import _json
from torngas_aio._backends import entry_faults
from torngas_aio._names import did_you_mean
from torngas_aio.exception import ArgumentError, ConfigError, ValueTooLarge
from torngas_aio.settings_manager import settings

__all__ = ["MAX_JOB_BYTES", "BaseJobs", "DeadJob", "Formatter", "TakenMessage"]

MAX_JOB_BYTES = 256 * 1024
_ATTEMPT_BYTES = 32
"""What the number of an attempt adds to a message."""


def _is_name(value: object, most: int = 100) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


_LABELS: dict[str, Callable[[object], bool]] = {
    "queue_name": _is_name,
    "attempt": lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31,
    "key": lambda value: isinstance(value, str) and value != "",
    "outbox": lambda value: isinstance(value, bool),
}
"""The labels that say what becomes of a job, and whether a value is one that is written."""


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that has failed for good.

    Attributes:
        id: Names it to `BaseJobs.revive`.
        queue: The queue that it came from.
        data: Its message, as JSON.
        error: Its last error.
        failed_at: When, as seconds since 1970.
    """

    id: str
    queue: str
    data: bytes
    error: str
    failed_at: float


class TakenMessage(AckableMessage):
    """A job that a worker has taken off its queue.

    Attributes:
        queue: The queue.
        release: Has it run again, here or elsewhere, where it could not be ended.
    """

    queue: str
    release: Callable[[], None]


class Formatter(TaskiqFormatter):
    """taskiq's messages as JSON of at most 256 KB."""

    def dumps(self, message: TaskiqMessage) -> BrokerMessage:
        """Return what is sent.

        Raises:
            ValueTooLarge: It has more bytes than are allowed.
        """
        fields = {name: getattr(message, name) for name in ("task_id", "task_name", "labels", "args", "kwargs")}
        data = _json.dumps(fields, ensure_ascii=False)
        if len(data) > MAX_JOB_BYTES + (_ATTEMPT_BYTES if "attempt" in message.labels else 0):
            raise ValueTooLarge(
                f"The job {message.task_name!r} has {len(data)} bytes, {MAX_JOB_BYTES} are allowed. Pass an id."
            )
        return BrokerMessage(task_id=message.task_id, task_name=message.task_name, message=data, labels=message.labels)

    def loads(self, message: bytes) -> TaskiqMessage:
        """Return the message that *message* is. Raises `ValueError` where it is none that `dumps` may have written."""
        if len(message) > MAX_JOB_BYTES + _ATTEMPT_BYTES:
            raise ValueError(f"The message has {len(message)} bytes, {MAX_JOB_BYTES} are allowed.")
        made = TaskiqMessage.model_validate(_json.loads(message))
        if not _is_name(made.task_id, 300):
            raise ValueError(
                f"The message's task_id = {made.task_id!r:.100} is not printable text of 1 to 300 characters."
            )
        for name, is_right in _LABELS.items():
            if name in made.labels and not is_right(made.labels[name]):
                raise ValueError(f"The message's label {name} = {made.labels[name]!r:.100} is not one of a job.")
        return made


class BaseJobs(AsyncBroker):
    """The base of all backends. One that has only `put` and `bury` keeps no schedules, dead letters and results.

    Args:
        location: Where the store is.
        params: The entry of JOBS: OPTIONS, and DATABASE, the connection of outbox and keys ("default").

    Attributes:
        runs_here: Jobs run in the process that enqueues them; there is no worker.
        keeps_delays: `put` waits for as long as it is told.
        kind: What messages call the backend.

    Raises:
        ConfigError: An option that the backend does not have, or that cannot work.
    """

    own_options: frozenset[str] = frozenset()
    runs_here = False
    keeps_delays = True

    def __init__(self, location: object = "", params: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        params = params or {}
        self.formatter = Formatter()
        self.alias = str(params.get("ALIAS", "default"))
        self.kind = type(self).__name__
        self.database = params.get("DATABASE", "default")
        self.options: Mapping[str, Any] = params.get("OPTIONS") or {}
        where = f"JOBS[{self.alias!r}]"
        faults = [*entry_faults(where, params, ("DATABASE",), self.own_options)]
        if "DATABASE" in params and self.database not in settings.DATABASE_CONNECTION:
            hint = did_you_mean(self.database, settings.DATABASE_CONNECTION)
            faults.append(f"{where}['DATABASE'] = {self.database!r}: DATABASE_CONNECTION has no such entry.{hint}")
        ConfigError.gather(faults, code="TGA401")

    async def kick(self, message: BrokerMessage) -> None:
        await self.put(str(message.labels.get("queue_name", "default")), message.message)

    @abstractmethod
    async def put(self, queue: str, data: bytes, delay: float = 0.0) -> None:
        """Put a message on a queue.

        Args:
            delay: Seconds before a worker may take it.

        Raises:
            Unavailable: The store did not take it in time.
        """

    async def put_again(self, queue: str, data: bytes, delay: float) -> None:
        """Put the next attempt of a job that is still taken."""
        await self.put(queue, data, delay)

    async def put_once(self, name: str, tick: float, keep: float, queue: str, data: bytes) -> bool:
        """Put a message on a queue unless that was done for this *name* and *tick*, in one step; return whether.

        Args:
            keep: For how many seconds that is remembered.
        """
        self.refuse("schedules")

    async def first_seen(self, name: str, now: float) -> float:
        """Return the *now* of the first call with this *name*."""
        self.refuse("schedules")

    @abstractmethod
    async def bury(self, queue: str, data: bytes, error: str) -> None:
        """Keep a message that has failed for good."""

    async def dead(self, limit: int = 1000) -> list[DeadJob]:
        """Return what was buried, the oldest first."""
        return []

    async def revive(self, ids: Collection[str]) -> int:
        """Put buried messages on their queues again; return how many there were."""
        self.refuse("dead letters")

    async def keep_result(self, job_id: str, data: bytes, seconds: float) -> None:
        """Keep the result of a job for *seconds*."""
        self.refuse("results")

    async def fetch_result(self, job_id: str, seconds: float) -> bytes | None:
        """Return the result of a job, waiting for up to *seconds*; None where there is none by then."""
        self.refuse("results")

    async def sizes(self, queues: Collection[str] = ()) -> dict[str, tuple[int, int]]:
        """Return for each queue how many jobs wait, and how many run; for those of *queues* in any case."""
        return {}

    async def count_later(self) -> int:
        """Return how many jobs are to be put on their queues later: delayed ones, and attempts after a failure."""
        return 0

    def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        raise ArgumentError(f"JOBS[{self.alias!r}] runs its jobs where they are enqueued: it needs no worker.")

    def refuse(self, what: str) -> NoReturn:
        """Raise the ArgumentError of a backend that does not keep *what*."""
        raise ArgumentError(f"JOBS[{self.alias!r}]: {self.kind} keeps no {what}; use RedisJobs.")

    async def open_worker(self, queues: Collection[str], concurrency: int) -> None:
        """Prepare `listen` to give jobs of *queues*, at most *concurrency* at a time."""

    async def close_worker(self) -> None:
        """Give back what was taken and is not done."""

    async def aclose(self) -> None:
        """Close what is open. Harmless when called twice."""
