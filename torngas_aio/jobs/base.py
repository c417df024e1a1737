"""The contract of a jobs backend: a taskiq broker plus delays, dead letters, schedule ticks and results.

    message ── encode ──► put(queue, data) ── listen() ──► a worker: done, put again with a delay, or bury()

A message is a taskiq message as JSON.
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
"""Bytes reserved in a message for the number of the attempt."""


def _is_name(value: object, most: int = 100) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


_LABELS: dict[str, Callable[[object], bool]] = {
    "queue_name": _is_name,
    "attempt": lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31,
    "key": lambda value: isinstance(value, str) and value != "",
    "outbox": lambda value: isinstance(value, bool),
}
"""The labels that control the handling of a job, each with a check of its value."""


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that has failed permanently.

    Attributes:
        id: The argument for `BaseJobs.revive`.
        queue: The queue that it came from.
        data: Its message, as JSON.
        error: Its last error.
        failed_at: When it failed, in seconds since 1970.
    """

    id: str
    queue: str
    data: bytes
    error: str
    failed_at: float


class TakenMessage(AckableMessage):
    """A job that a worker has taken from its queue.

    Attributes:
        queue: The queue.
        release: Makes the job run again, here or elsewhere, because its end could not be recorded.
    """

    queue: str
    release: Callable[[], None]


class Formatter(TaskiqFormatter):
    """The format of taskiq's messages: JSON of at most 256 KB."""

    def dumps(self, message: TaskiqMessage) -> BrokerMessage:
        """Return *message* in the form that is sent.

        Raises:
            ValueTooLarge: It exceeds the maximum number of bytes.
        """
        fields = {name: getattr(message, name) for name in ("task_id", "task_name", "labels", "args", "kwargs")}
        data = _json.dumps(fields, ensure_ascii=False)
        if len(data) > MAX_JOB_BYTES + (_ATTEMPT_BYTES if "attempt" in message.labels else 0):
            raise ValueTooLarge(
                f"The job {message.task_name!r} has {len(data)} bytes, {MAX_JOB_BYTES} are allowed. Pass an id."
            )
        return BrokerMessage(task_id=message.task_id, task_name=message.task_name, message=data, labels=message.labels)

    def loads(self, message: bytes) -> TaskiqMessage:
        """Return the decoded *message*. Raises `ValueError` if `dumps` cannot have written it."""
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
    """The base of all backends. With only `put` and `bury`, a backend has no schedules, dead letters or results.

    Args:
        location: The store's location.
        params: The entry of JOBS: OPTIONS, and DATABASE, the connection of outbox and keys ("default").

    Attributes:
        runs_here: Jobs run in the process that enqueues them; there is no worker.
        keeps_delays: `put` supports *delay*.
        kind: The backend's name in messages.

    Raises:
        ConfigError: An option is unknown to the backend, or invalid.
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
            Unavailable: The store did not accept it in time.
        """

    async def put_again(self, queue: str, data: bytes, delay: float) -> None:
        """Put the next attempt of a job that is still marked as taken."""
        await self.put(queue, data, delay)

    async def put_once(self, name: str, tick: float, keep: float, queue: str, data: bytes) -> bool:
        """Put a message on a queue, atomically, unless this *name* and *tick* had one; return whether it was put.

        Args:
            keep: Seconds for which the put is remembered.
        """
        self.refuse("schedules")

    async def first_seen(self, name: str, now: float) -> float:
        """Return the *now* of the first call with this *name*."""
        self.refuse("schedules")

    @abstractmethod
    async def bury(self, queue: str, data: bytes, error: str) -> None:
        """Store the message of a job that failed permanently, as a dead letter."""

    async def dead(self, limit: int = 1000) -> list[DeadJob]:
        """Return the dead letters, oldest first."""
        return []

    async def revive(self, ids: Collection[str]) -> int:
        """Put dead letters on their queues again; return how many were found."""
        self.refuse("dead letters")

    async def keep_result(self, job_id: str, data: bytes, seconds: float) -> None:
        """Store the result of a job for *seconds*."""
        self.refuse("results")

    async def fetch_result(self, job_id: str, seconds: float) -> bytes | None:
        """Wait up to *seconds* for the result of a job and return it; None if there is none by then."""
        self.refuse("results")

    async def sizes(self, queues: Collection[str] = ()) -> dict[str, tuple[int, int]]:
        """Return the numbers of waiting and running jobs by queue; *queues* are always included."""
        return {}

    async def count_later(self) -> int:
        """Return the number of jobs not yet due: delayed ones, and attempts after a failure."""
        return 0

    def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        raise ArgumentError(f"JOBS[{self.alias!r}] runs its jobs where they are enqueued: it needs no worker.")

    def refuse(self, what: str) -> NoReturn:
        """Raise the ArgumentError of a backend that does not support *what*."""
        raise ArgumentError(f"JOBS[{self.alias!r}]: {self.kind} keeps no {what}; use RedisJobs.")

    async def open_worker(self, queues: Collection[str], concurrency: int) -> None:
        """Prepare `listen` to yield jobs of *queues*, at most *concurrency* at a time."""

    async def close_worker(self) -> None:
        """Return unfinished jobs to their queues."""

    async def aclose(self) -> None:
        """Close connections and tasks. Calling it twice is harmless."""
