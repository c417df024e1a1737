"""`@job`: an `async def` function that can be enqueued, and its arguments on their way through JSON.

    enqueue(...) ── fits the signature, fits JSON, fits the annotations ──► message ──► sent now, or after the commit

Begin with `job` and `Job.enqueue`.
"""

import inspect
import uuid
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property, partial, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

import msgspec
from taskiq import TaskiqMessage

from torngas_aio import _json
from torngas_aio.context import carriers
from torngas_aio.db.changes import session_with_changes
from torngas_aio.exception import ArgumentError, ConfigError, JobFailed, NotCallableError, SerializationError
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.jobs.registry import jobs
from torngas_aio.jobs.schedules import Schedule
from torngas_aio.logger import current_request_id
from torngas_aio.settings_manager import settings

__all__ = ["Enqueued", "Job", "declared", "job"]

P = ParamSpec("P")
R = TypeVar("R")

KEY_SECONDS = 7 * 24 * 3600.0

RESERVED = frozenset({"key"})
"""Keywords of `Job.enqueue`, which no parameter of a job may be called."""

declared: dict[str, "Job[Any, Any]"] = {}
"""The jobs of all modules that were imported, by name; others are never run."""


class Enqueued(Generic[R]):
    """A job that was enqueued.

    Attributes:
        id: Its identity; log lines of the worker name it.
    """

    __slots__ = ("_backend", "id")

    def __init__(self, backend: BaseJobs, job_id: str) -> None:
        self._backend = backend
        self.id = job_id

    def __repr__(self) -> str:
        return f"<Enqueued {self.id}>"

    async def result(self, timeout: float = 10.0) -> R:
        """Return what the job has returned, as JSON gives it back, waiting for it for up to *timeout* seconds.

        Raises:
            TimeoutError: There is none by then: the job has not ended, or is declared without `result_ttl`.
            JobFailed: It has failed for good.
        """
        data = await self._backend.fetch_result(self.id, timeout)
        if data is None:
            raise TimeoutError(f"The job {self.id} has no result after {timeout:g} s. Is `result_ttl` set?")
        found = _json.loads(data)
        if "error" in found:
            raise JobFailed(found["error"])
        result: R = found["value"]
        return result


class Job(Generic[P, R]):
    """A function that can be enqueued; called, it runs at once, as it would without `@job`.

    Attributes:
        name: What messages call it: module and qualified name, or what was said.
        function: The function itself.
        queue: The queue that it waits in.
        retries: How often it is tried again after a failure.
        timeout: Seconds that one attempt may take; None: any time.
        result_ttl: Seconds for which its result is kept; 0: it is not.
        outbox, key, key_ttl: See `job`.
        schedule: When it is due by itself; None: only when it is enqueued.
        alias: The entry of JOBS.
    """

    def __init__(
        self, function: Callable[P, Coroutine[Any, Any, R]], *, name: str | None = None, alias: str = "default",
        queue: str = "default", retries: int = 0, timeout: float | None = None, result_ttl: float = 0.0,
        outbox: bool = False, key: str | None = None, key_ttl: float = KEY_SECONDS,
        cron: str | None = None, tz: str | None = None, every: float | None = None, catch_up: float | None = None,
    ) -> None:  # fmt: skip
        if not inspect.iscoroutinefunction(function):
            raise NotCallableError(f"@job takes an `async def` function, not {function!r}.")
        self.function = function
        self.name = name or f"{function.__module__}:{function.__qualname__}"
        self.alias, self.queue, self.retries, self.timeout = alias, queue, retries, timeout
        self.result_ttl = result_ttl
        self.signature = inspect.signature(function)
        self.outbox, self.key, self.key_ttl = outbox, key, key_ttl
        self.schedule: Schedule | None = None
        update_wrapper(self, function)
        self._options = cron, tz, every, catch_up
        ConfigError.gather((f"@job {self.name}: {fault}" for fault in self._faults()), code="TGA701")
        declared[self.name] = self

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
        backend = jobs[self.alias]
        message = self.message(args, kwargs, key=key)
        if "key" in message.labels and backend.database not in settings.DATABASE_CONNECTION:
            raise ArgumentError(
                f"{self.name}: key= is kept in DATABASE_CONNECTION[{backend.database!r}]; there is none."
            )
        # What cannot be sent fails here, and not after the commit.
        send = partial(backend.put, self.queue, backend.formatter.dumps(message).message)
        session = session_with_changes()
        if self.outbox:
            from torngas_aio.jobs import outbox

            session = await outbox.write(backend, message)
        if session is None:
            await send()
        else:
            session.on_commit(send)
        return Enqueued(backend, message.task_id)

    def message(
        self,
        args: tuple[Any, ...] = (),
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
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise ArgumentError(f"{self.name}: {exc}.") from None
        for value in (*args, *kwargs.values()):
            _refuse_model(value)
        try:
            plain = msgspec.to_builtins([list(args), kwargs], str_keys=True, enc_hook=_refuse)
        except (TypeError, RecursionError) as exc:
            raise SerializationError(f"{self.name}: an argument cannot be sent: {exc}.") from None
        self.restored(*plain)
        labels: dict[str, Any] = {"queue_name": self.queue}
        request_id = current_request_id()
        if request_id is not None:
            labels["request_id"] = request_id
        for write, _ in carriers:
            write(labels)
        if key is None and self.key is not None:
            bound.apply_defaults()
            key = self.key.format(**bound.arguments)
        if key is not None:
            labels["key"] = key if tick is None else f"{key}@{tick:.0f}"
        if self.outbox and tick is None:
            labels["outbox"] = True
        task_id = uuid.uuid4().hex if tick is None else f"{self.name}@{tick:.0f}"
        return TaskiqMessage(task_id=task_id, task_name=self.name, labels=labels, args=plain[0], kwargs=plain[1])

    def restored(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments out of a message as the annotations have them.

        Raises:
            ArgumentError: One does not fit its annotation.
        """
        by_place, by_name = self._types
        if not by_name and not by_place:
            return args, kwargs
        try:
            made = [_converted(value, kind) for value, kind in zip(args, by_place, strict=False)]
            named = {name: _converted(value, by_name.get(name, Any)) for name, value in kwargs.items()}
        except msgspec.ValidationError as exc:
            raise ArgumentError(f"{self.name}: an argument does not fit its annotation: {exc}.") from None
        return [*made, *args[len(made) :]], named

    @cached_property
    def _types(self) -> tuple[list[Any], dict[str, Any]]:
        """The types of the parameters that can be given by place, and of all by name; Any where there is no use."""
        try:
            hints = get_type_hints(self.function, include_extras=True)
        except (NameError, TypeError):  # of names that are imported for type checkers only
            return [], {}
        by_name = {name: _usable(hints.get(name, Any)) for name in self.signature.parameters}
        if all(kind is Any for kind in by_name.values()):
            return [], {}
        places = [
            by_name[each.name]
            for each in self.signature.parameters.values()
            if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
        ]
        return places, by_name

    def _faults(self) -> list[str]:
        faults = [f"a parameter cannot be called {name!r}." for name in self.signature.parameters if name in RESERVED]
        if self.retries < 0:
            faults.append(f"retries={self.retries!r}: write 0 or more.")
        if self.key is not None:
            try:
                self.key.format(**dict.fromkeys(self.signature.parameters, 0))
            except (LookupError, ValueError, AttributeError) as exc:
                faults.append(f"key={self.key!r}: {exc!r}. Write parameters in braces, such as 'mail:{{user_id}}'.")
        if self.timeout is not None and self.timeout <= 0:
            faults.append(f"timeout={self.timeout!r}: write seconds above 0, or None.")
        try:
            self.schedule = Schedule.of(*self._options)
        except ConfigError as exc:
            faults.append(str(exc))
        if self.schedule is not None:
            try:
                self.signature.bind()
            except TypeError:
                faults.append("it has a schedule, so its parameters need defaults.")
        if not self.queue or not self.queue.isprintable() or len(self.queue) > 100:
            faults.append(f"queue={self.queue!r:.120}: write 1 to 100 printable characters.")
        return faults


@overload
def job(function: Callable[P, Coroutine[Any, Any, R]], /) -> Job[P, R]: ...
@overload
def job(
    *, name: str | None = ..., alias: str = ..., queue: str = ..., retries: int = ..., timeout: float | None = ...,
    result_ttl: float = ..., outbox: bool = ..., key: str | None = ..., key_ttl: float = ...,
    cron: str | None = ..., tz: str | None = ..., every: float | None = ...,
    catch_up: float | None = ...,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Job[P, R]]: ...  # fmt: skip


def job(function: Any = None, /, **options: Any) -> Any:
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
    if function is not None:
        return Job(function)
    return lambda function: Job(function, **options)


def _usable(kind: Any) -> Any:
    """*kind* where msgspec can make it of JSON, else Any."""
    try:
        found = msgspec.inspect.type_info(kind)
    except (TypeError, NameError):
        return Any
    return Any if isinstance(found, msgspec.inspect.CustomType | msgspec.inspect.AnyType) else kind


def _converted(value: Any, kind: Any) -> Any:
    return value if kind is Any else msgspec.convert(value, kind, str_keys=True)


def _refuse_model(value: Any) -> None:
    """Raise SerializationError for a model, also for one that is a dataclass as well."""
    if hasattr(type(value), "__mapper__"):
        raise SerializationError(
            f"A {type(value).__name__} is a model of the database: pass its id, and read it again in the job."
        )


def _refuse(value: Any) -> Any:
    _refuse_model(value)
    raise TypeError(f"{type(value).__name__} is not JSON; pass an id, or plain values")
