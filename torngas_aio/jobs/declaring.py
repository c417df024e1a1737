"""`@job`: an `async def` function that can be enqueued.

enqueue(...) ── fits the signature, fits JSON, fits the annotations ──► message ──► sent now, or after the commit
"""

import inspect
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from taskiq import TaskiqMessage

from torngas_aio import _json
from torngas_aio._job_events import job_listeners, tell_jobs
from torngas_aio._project_errors import shortened
from torngas_aio.context import carriers
from torngas_aio.db import Sending, session_with_changes, table_makers
from torngas_aio.exception import ArgumentError, ConfigError, JobFailed, NotCallableError
from torngas_aio.jobs.arguments import Arguments
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.jobs.options import OPTIONS, JobOptions, option_faults, schedule_of
from torngas_aio.jobs.registry import jobs
from torngas_aio.logger import current_request_id
from torngas_aio.settings_manager import settings
from torngas_aio.utils.kinds import duration, fault, require

__all__ = ["Enqueued", "Job", "declared", "job"]

P = ParamSpec("P")
R = TypeVar("R")

declared: dict[str, "Job[Any, Any]"] = {}
"""The jobs of all modules that were imported, by name; others are never run."""


def _make_tables(database: str) -> None:
    """Add outbox and keys to the metadata of the connection *database*, where an entry of JOBS has them there."""
    if any(entry.get("DATABASE", "default") == database for entry in settings.JOBS.values()):
        from torngas_aio.jobs.outbox import tables_of  # needs SQLAlchemy

        tables_of(database)


table_makers.append(_make_tables)


class Enqueued(Generic[R]):
    """A job that was enqueued.

    Attributes:
        id: Its identity; log lines of the worker name it.
    """

    __slots__ = ("_backend", "_keeps_result", "id")

    def __init__(self, backend: BaseJobs, job_id: str, *, keeps_result: bool = True) -> None:
        self._backend = backend
        self._keeps_result = keeps_result
        self.id = job_id

    def __repr__(self) -> str:
        return f"<Enqueued {self.id}>"

    async def result(self, timeout: float = 10.0) -> R:
        """Return what the job has returned, as JSON gives it back, waiting for it for up to *timeout* seconds.

        Raises:
            TimeoutError: There is none by then: the job has not ended. At once for one declared without `result_ttl`.
            JobFailed: It has failed for good.
        """
        data = await self._backend.fetch_result(self.id, timeout if self._keeps_result else 0.0)
        if data is None and not self._keeps_result:
            raise TimeoutError(f"The job {self.id} keeps no result. Declare it with `@job(result_ttl=...)`.")
        if data is None:
            raise TimeoutError(f"The job {self.id} has no result after {timeout:g} s. Is `result_ttl` set?")
        found = _json.loads(data)
        if "error" in found:
            raise JobFailed(found["error"])
        value: R = found["value"]
        return value


class Job(Generic[P, R]):
    """A function that can be enqueued; called, it runs at once, as it would without `@job`.

    Attributes:
        name: What messages call it: module and qualified name, or what was said.
        function: The function itself.
        place: Where that is written: a path and a line.
        queue: The queue that it waits in.
        retries: How often it is tried again after a failure.
        timeout: Seconds that one attempt may take; None: any time.
        result_ttl: Seconds for which its result is kept; 0: it is not.
        outbox, key, key_ttl: See `job`.
        schedule: When it is due by itself; None: only when it is enqueued.
        alias: The entry of JOBS.
        arguments: What it may be given.
    """

    def __init__(self, function: Callable[P, Coroutine[object, None, R]], **options: Unpack[JobOptions]) -> None:
        if not inspect.iscoroutinefunction(function) or not hasattr(function, "__qualname__"):
            raise NotCallableError(f"@job takes an `async def` function, not {function!r:.200}.")
        self.function = function
        plain = inspect.unwrap(function)
        code = getattr(plain, "__code__", None)
        self.place = "?" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
        self._spec = getattr(plain, "__globals__", {}).get("__spec__")  # another one when its module is run again
        chosen: dict[str, Any] = {**{name: default for name, (default, _) in OPTIONS.items()}, **options}
        name = self.name = chosen["name"] or f"{function.__module__}:{function.__qualname__}"
        self.arguments = Arguments(name, function)
        update_wrapper(self, function)
        if faults := tuple(self._faults(chosen)):
            where = f"@job {name!r:.120} ({shortened(self.place)})"
            raise ConfigError(*(f"{where}: {each}" for each in faults), code="TGA701")
        self.alias: str = chosen["alias"]
        self.queue: str = chosen["queue"]
        self.retries: int = chosen["retries"]
        self.timeout: float | None = chosen["timeout"]
        self.result_ttl: float = chosen["result_ttl"]
        self.outbox: bool = chosen["outbox"]
        self.key: str | None = chosen["key"]
        self.key_ttl: float = chosen["key_ttl"]
        self.schedule = schedule_of(chosen)
        declared[name] = self

    def __repr__(self) -> str:
        return f"<Job {self.name}>"

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.function(*args, **kwargs)

    async def enqueue(self, *args: Any, key: str | None = None, **kwargs: Any) -> Enqueued[R]:
        """Have a worker run the job with these arguments.

        Within a database transaction that has changes the job is sent after the commit, and not at all when that fails.

        Args:
            args: What JSON can hold, and what the annotations of the function's parameters make of it again: dates,
                UUIDs, decimals, enums, dataclasses, msgspec Structs. At most 256 KB. Of a model, pass the id.
            key: Of all jobs with this key one takes effect in the database; by default as the job's own `key` says.

        Raises:
            ArgumentError: The arguments do not fit the function; or there is no database, or session, that it needs.
            SerializationError: An argument cannot be sent.
            ValueTooLarge: They are more than 256 KB.
            Unavailable: The store did not take it in time.
        """
        return await self._enqueue(0.0, args, kwargs, key)

    async def enqueue_in(self, delay: float, /, *args: Any, key: str | None = None, **kwargs: Any) -> Enqueued[R]:
        """Have a worker run the job *delay* seconds from now, or soon after; else as `enqueue`.

        Raises:
            ArgumentError: *delay* is no number of seconds, the backend keeps no delays, or as `enqueue`.
            SerializationError, ValueTooLarge, Unavailable: As `enqueue`.
        """
        require(duration(0)("delay", delay))
        return await self._enqueue(delay, args, kwargs, key)

    async def _enqueue(
        self, delay: float, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None
    ) -> Enqueued[R]:
        backend = jobs[self.alias]
        message = self.message(args, kwargs, key=key)
        if delay and not backend.keeps_delays:
            backend.refuse("delays")
        if "key" in message.labels and backend.database not in settings.DATABASE_CONNECTION:
            raise ArgumentError(
                f"{self.name}: key= is kept in DATABASE_CONNECTION[{backend.database!r}]; there is none."
            )
        # What cannot be sent fails here, and not after the commit.
        due_at = time.time() + delay
        send = partial(self._send, backend, message, backend.formatter.dumps(message).message, due_at)
        session = session_with_changes()
        if self.outbox:
            from torngas_aio.jobs import outbox

            session = await outbox.write(backend, message, delay)
        if session is None:
            await send()
        else:
            what = f"sending the job {self.name} ({message.task_id}) with {len(args) + len(kwargs)} arguments"
            session.on_commit(Sending(f"{what}; the outbox sends it again" if self.outbox else what, send))
        return Enqueued(backend, message.task_id, keeps_result=self.result_ttl > 0)

    async def _send(self, backend: BaseJobs, message: TaskiqMessage, data: bytes, due_at: float) -> None:
        await backend.put(self.queue, data, max(due_at - time.time(), 0.0))
        if job_listeners:
            arguments = self.arguments.signature.bind(*message.args, **message.kwargs).arguments
            tell_jobs("enqueued", self.name, message, key=message.labels.get("key", ""), arguments=arguments)

    def message(
        self,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        tick: float | None = None,
    ) -> TaskiqMessage:
        """Return the message that has the job run with these arguments; raises as `enqueue`.

        Args:
            tick: The time of its schedule that it is for.
        """
        kwargs = kwargs or {}
        try:
            bound = self.arguments.signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise ArgumentError(f"{self.name}: {exc}.") from None
        written = self.arguments.write(args, kwargs)
        labels: dict[str, Any] = {"queue_name": self.queue}
        request_id = current_request_id()
        if request_id is not None:
            labels["request_id"] = request_id
        for write, _ in carriers:
            write(labels)
        key = self._key_of(bound) if key is None else key
        if key is not None:
            if type(key) is not str or not key:
                raise ArgumentError(f"{self.name}: {fault('key', key, 'must be text.')}")
            labels["key"] = key if tick is None else f"{key}@{tick:.0f}"
        if self.outbox and tick is None:
            labels["outbox"] = True
        task_id = uuid.uuid4().hex if tick is None else f"{self.name}@{tick:.0f}"
        return TaskiqMessage(task_id=task_id, task_name=self.name, labels=labels, args=written[0], kwargs=written[1])

    def _key_of(self, bound: inspect.BoundArguments) -> str | None:
        if self.key is None:
            return None
        bound.apply_defaults()
        try:
            return self.key.format(**bound.arguments)
        except (ValueError, TypeError, LookupError) as exc:
            raise ArgumentError(f"{self.name}: its key={self.key!r} cannot be made: {exc}.") from None

    def _faults(self, chosen: Mapping[str, Any]) -> Iterator[str]:
        """Yield a sentence for each option that cannot work, and where the function cannot be a job."""
        parameters = self.arguments.signature.parameters
        owner = self.function.__qualname__.rpartition(".")[0]
        if owner and not owner.endswith("<locals>") and next(iter(parameters), "") in {"self", "cls"}:
            yield "a method cannot be a job: a worker has no object to call it on. Write a function."
        yield from option_faults(chosen, parameters)
        other = declared.get(self.name)
        if other is not None and not self._is_again(other):
            yield f"{shortened(other.place)} declares a job of this name too. Give one of them another `name`."

    def _is_again(self, old: "Job[Any, Any]") -> bool:
        """Whether this is *old* declared once more: its lines or its module run again, or it is typed in a shell."""
        is_same_module = self.function.__module__ == old.function.__module__
        return self.place == old.place or (
            is_same_module and (self._spec is not old._spec or self.place.startswith("<"))
        )


@overload
def job(function: Callable[P, Coroutine[object, None, R]], /) -> Job[P, R]: ...
@overload
def job(
    **options: Unpack[JobOptions],
) -> Callable[[Callable[P, Coroutine[object, None, R]]], Job[P, R]]: ...


def job(
    function: Callable[P, Coroutine[object, None, R]] | None = None, /, **options: Unpack[JobOptions]
) -> Job[P, R] | Callable[[Callable[P, Coroutine[object, None, R]]], Job[P, R]]:
    """Make an `async def` function a job; `@job` alone, or with options.

    A job runs at least once: it is run again when its worker dies, and after a failure as often as `retries` says,
    with pauses of 1, 2, 4, ... seconds. It has a database session of its own, committed when it returns and rolled
    back when it raises.

    Args:
        name: What messages call it; by default its module and qualified name. Keep it when the function moves.
        alias: The entry of JOBS.
        queue: Which queue it waits in; workers may take from some queues only.
        retries: How often it is tried again after a failure; then it is a dead letter.
        timeout: Seconds that one attempt may take before it is cancelled, which is a failure.
        result_ttl: Seconds for which its result is kept for `Enqueued.result`; 0: it is not.
        outbox: It is written to a table in the transaction that enqueues it, and sent until it is done.
        key: Of all its jobs with the same key one takes effect in the database; with its parameters in braces, such as
            "charge:{order_id}".
        key_ttl: Seconds for which a key is kept; a week.
        cron: When it is enqueued by itself, such as "*/5 * * * *": minute, hour, day, month, day of week.
        tz: The time zone of *cron*; UTC.
        every: Seconds from one time to the next, instead of *cron*.
        catch_up: By how many seconds such a time may have been missed and is made up for; 60.

    Raises:
        ConfigError: An option cannot work.
        NotCallableError: *function* is not an `async def` function.
    """

    def declare(function: Callable[P, Coroutine[object, None, R]]) -> Job[P, R]:
        return Job(function, **options)

    return declare if function is None else declare(function)
