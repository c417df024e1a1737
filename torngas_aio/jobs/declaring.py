"""`@job`: an `async def` function that can be enqueued.

enqueue(...) ── checked against signature, JSON and annotations ──► message ──► sent now, or after the commit
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
"""The jobs of all imported modules by name; only these can run."""


def _make_tables(database: str) -> None:
    """Add outbox and keys to the metadata of the connection *database*, if an entry of JOBS uses it for them."""
    if any(entry.get("DATABASE", "default") == database for entry in settings.JOBS.values()):
        from torngas_aio.jobs.outbox import tables_of  # needs SQLAlchemy

        tables_of(database)


table_makers.append(_make_tables)


class Enqueued(Generic[R]):
    """A job that was enqueued.

    Attributes:
        id: The job's id, as in the worker's log lines.
    """

    __slots__ = ("_backend", "_keeps_result", "id")

    def __init__(self, backend: BaseJobs, job_id: str, *, keeps_result: bool = True) -> None:
        self._backend = backend
        self._keeps_result = keeps_result
        self.id = job_id

    def __repr__(self) -> str:
        return f"<Enqueued {self.id}>"

    async def result(self, timeout: float = 10.0) -> R:
        """Wait up to *timeout* seconds for the job's return value and return it, as converted through JSON.

        Raises:
            TimeoutError: The job has not ended by then. Raised at once for a job declared without `result_ttl`.
            JobFailed: The job has failed permanently.
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
    """A function that can be enqueued; calling it runs it directly, as without `@job`.

    Attributes:
        name: The name in messages: module and qualified name, or the option `name`.
        function: The function itself.
        place: The path and line of the function's definition.
        queue: The job's queue.
        retries: Number of further attempts after a failure.
        timeout: Timeout of one attempt in seconds; None: no limit.
        result_ttl: Seconds for which its result is stored; 0: not at all.
        outbox, key, key_ttl: See `job`.
        schedule: When it is enqueued automatically; None: never.
        alias: The entry of JOBS.
        arguments: The checks and conversions of its arguments.
    """

    def __init__(self, function: Callable[P, Coroutine[object, None, R]], **options: Unpack[JobOptions]) -> None:
        if not inspect.iscoroutinefunction(function) or not hasattr(function, "__qualname__"):
            raise NotCallableError(f"@job takes an `async def` function, not {function!r:.200}.")
        self.function = function
        plain = inspect.unwrap(function)
        code = getattr(plain, "__code__", None)
        self.place = "?" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
        self._spec = getattr(plain, "__globals__", {}).get("__spec__")  # differs if the module is executed again
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
        """Enqueue the job with these arguments for a worker.

        Within a database transaction that has changes, the job is sent after the commit; if that fails, it is not sent.

        Args:
            args: Values of JSON, and values that the parameters' annotations convert back from JSON: dates, UUIDs,
                decimals, enums, dataclasses, msgspec Structs. At most 256 KB. For a model, pass its id.
            key: An idempotency key: of all jobs with it, one takes effect in the database. Default: the job's `key`.

        Raises:
            ArgumentError: The arguments do not fit the function, or the required database or session is missing.
            SerializationError: An argument cannot be serialized.
            ValueTooLarge: They exceed 256 KB.
            Unavailable: The store did not accept the job in time.
        """
        return await self._enqueue(0.0, args, kwargs, key)

    async def enqueue_in(self, delay: float, /, *args: Any, key: str | None = None, **kwargs: Any) -> Enqueued[R]:
        """Enqueue the job to run *delay* seconds from now, or soon after; otherwise as `enqueue`.

        Raises:
            ArgumentError: *delay* is not a number of seconds, the backend has no delays, or as in `enqueue`.
            SerializationError, ValueTooLarge, Unavailable: As in `enqueue`.
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
        # Encode now, so that an error is raised here and not after the commit.
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
        """Return the message to run the job with these arguments; raises as `enqueue` does.

        Args:
            tick: The time in its schedule that the message is for.
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
        """Yield a sentence for each invalid option, and if the function cannot be a job."""
        parameters = self.arguments.signature.parameters
        owner = self.function.__qualname__.rpartition(".")[0]
        if owner and not owner.endswith("<locals>") and next(iter(parameters), "") in {"self", "cls"}:
            yield "a method cannot be a job: a worker has no object to call it on. Write a function."
        yield from option_faults(chosen, parameters)
        other = declared.get(self.name)
        if other is not None and not self._is_again(other):
            yield f"{shortened(other.place)} declares a job of this name too. Give one of them another `name`."

    def _is_again(self, old: "Job[Any, Any]") -> bool:
        """Return whether this is *old* declared again: its code or module was re-executed, or it is from a shell."""
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

    A job runs at least once: again if its worker dies, and up to `retries` times after a failure, with pauses of 1, 2,
    4, ... seconds. It has its own database session, committed when it returns and rolled back when it raises.

    Args:
        name: The name in messages; default, module and qualified name. Set it to keep the name if the function moves.
        alias: The entry of JOBS.
        queue: The job's queue; workers may be limited to some queues.
        retries: Number of further attempts after a failure; then it becomes a dead letter.
        timeout: Seconds after which an attempt is cancelled, which counts as a failure.
        result_ttl: Seconds for which its result is stored for `Enqueued.result`; 0: not at all.
        outbox: Write it to a table in the enqueuing transaction, and send it until it is done.
        key: An idempotency key: of all its jobs with the same key, one takes effect in the database. Parameters go in
            braces, such as "charge:{order_id}".
        key_ttl: Seconds for which a key is stored; default, a week.
        cron: When it is enqueued automatically, such as "*/5 * * * *": minute, hour, day, month, day of week.
        tz: The time zone of *cron*; default, UTC.
        every: Seconds from one time to the next, instead of *cron*.
        catch_up: Seconds within which a missed time is made up for; default, 60.

    Raises:
        ConfigError: An option is invalid.
        NotCallableError: *function* is not an `async def` function.
    """

    def declare(function: Callable[P, Coroutine[object, None, R]]) -> Job[P, R]:
        return Job(function, **options)

    return declare if function is None else declare(function)
