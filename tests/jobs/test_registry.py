"""JOBS: which backend an alias has, and what is wrong with an entry."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from taskiq import AckableMessage, AsyncBroker, BrokerMessage, InMemoryBroker

from tests.jobs.conftest import worker_of
from tests.polling import until
from torngas_aio.exception import ArgumentError, ConfigError, UnknownAlias
from torngas_aio.jobs import BaseJobs, job
from torngas_aio.jobs.declaring import declared
from torngas_aio.jobs.registry import ForeignJobs, jobs, make_jobs
from torngas_aio.settings_manager import Settings, settings
from torngas_aio.webserver.validation import service_findings

MEMORY = "torngas_aio.jobs.memory.MemoryJobs"
REDIS = "torngas_aio.jobs.redis.RedisJobs"


async def test_an_alias_has_one_backend_as_long_as_its_entry_is_the_same(memory: BaseJobs) -> None:
    assert jobs["default"] is memory
    with settings.override(JOBS={"default": {"BACKEND": MEMORY, "OPTIONS": {"CONCURRENCY": 3}}}):
        assert jobs["default"] is not memory
    with pytest.raises(UnknownAlias, match="'mail'"):
        jobs["mail"]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"BACKEND": "no.such.Backend"}, "dotted path"),
    ({"BACKEND": "torngas_aio.jobs.memory.Memory"}, "dotted path"),
    ({"BACKEND": "json.JSONDecoder"}, "subclass"),
    ({}, "subclass"),
    ({"BACKEND": MEMORY, "OPTIONS": {"CONCURENCY": 1}}, "no such option. Did you mean 'CONCURRENCY'"),
    ({"BACKEND": MEMORY, "OPTIONS": {"CONCURRENCY": 0}}, "at least 1"),
    ({"BACKEND": MEMORY, "OPTIONS": {"CONCURRENCY": True}}, "at least 1"),
    ({"BACKEND": MEMORY, "OPTIONS": 5}, "must be a dict"),
    ({"BACKEND": MEMORY, "OPTION": {}}, "no such key. Did you mean 'OPTIONS'"),
    ({"BACKEND": MEMORY, "DATABASE": "defualt"}, "DATABASE_CONNECTION has no"),
    ({"BACKEND": MEMORY, "DATABASE": None}, "DATABASE_CONNECTION has no"),
    ({"BACKEND": MEMORY, "CONCURRENCY": 1}, "no such key"),
    ({"BACKEND": REDIS}, "no address"),
    *(
        ({"BACKEND": REDIS, "LOCATION": "localhost", "OPTIONS": {name: value}}, name)
        for name, values in {
            "REPLICAS": (-1, 1.0, True, "1"),
            "KEY_PREFIX": ("", 5, None, "{a}"),
            "DEADLINE": (0, "x", float("nan"), True),
            "RETRY_SECONDS": ("x", float("nan")),
            "DEADLIN": (3,),
        }.items()
        for value in values
    ),
    ({"BACKEND": "taskiq.InMemoryBroker", "OPTIONS": {"no_such": 1}}, "cannot be made"),
]


@pytest.mark.parametrize(("entry", "told"), FAULTS)
def test_an_entry_that_cannot_work_is_refused(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_jobs("default", entry)


@pytest.mark.parametrize(("entry", "told"), FAULTS)
def test_check_knows_it(entry: dict[str, Any], told: str) -> None:
    values = Settings()
    values.configure(JOBS={"mail": entry})
    found, _ = service_findings(values, [])
    assert found
    assert {fault.code for fault in found} <= {"TGA103", "TGA401"}
    assert "JOBS['mail']" in found[0]


async def test_another_taskiq_broker_is_taken() -> None:
    found = make_jobs("default", {"BACKEND": InMemoryBroker, "OPTIONS": {"max_async_tasks": 3}})
    assert isinstance(found, ForeignJobs)
    await found.aclose()


class Queue(AsyncBroker):
    """A broker over an asyncio queue, as another package may bring one."""

    def __init__(self, url: str = "", *, size: int = 0) -> None:
        super().__init__()
        self.url = url
        self.messages: asyncio.Queue[BrokerMessage] = asyncio.Queue(size)
        self.calls: list[str] = []
        self.acknowledged = 0
        self.may_start = asyncio.Event()
        self.may_start.set()

    async def startup(self) -> None:
        self.calls.append("startup")
        await self.may_start.wait()

    async def shutdown(self) -> None:
        self.calls.append("shutdown")

    async def kick(self, message: BrokerMessage) -> None:
        self.calls.append("kick")
        await self.messages.put(message)

    async def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        while True:
            message = await self.messages.get()
            yield AckableMessage(data=message.message, ack=self.acknowledge)

    def acknowledge(self) -> None:
        """Not a coroutine function: taskiq takes both."""
        self.acknowledged += 1


@pytest.fixture
def backend() -> ForeignJobs:
    return ForeignJobs(Queue, "queue://here", {"ALIAS": "theirs", "OPTIONS": {"size": 100}})


def broker_of(backend: ForeignJobs) -> Queue:
    assert isinstance(backend._broker, Queue)
    return backend._broker


def message_of(backend: BaseJobs, name: str = "note") -> bytes:
    @job(name=name, queue="mail")
    async def note() -> None: ...

    return backend.formatter.dumps(note.message()).message


async def test_a_broker_is_made_of_location_and_options(backend: ForeignJobs) -> None:
    broker = broker_of(backend)
    assert (broker.url, broker.messages.maxsize) == ("queue://here", 100)
    assert broker_of(ForeignJobs(Queue, "", {})).url == ""
    for options in ({"no_such": 1}, {"size": "many", "url": "twice"}):
        with pytest.raises(ConfigError, match=r"JOBS\['theirs'\]: Queue cannot be made: "):
            ForeignJobs(Queue, "queue://here", {"ALIAS": "theirs", "OPTIONS": options})


async def test_a_message_is_sent_as_the_broker_takes_it(backend: ForeignJobs) -> None:
    data = message_of(backend)
    await backend.put("mail", data, delay=5)  # the delay is not kept, so none can be asked for
    with settings.override(JOBS={"default": {"BACKEND": Queue}}), pytest.raises(ArgumentError, match="no delays"):
        await declared["note"].enqueue_in(5)
    broker = broker_of(backend)
    sent = broker.messages.get_nowait()
    assert (sent.task_name, sent.message, sent.labels) == ("note", data, {"queue_name": "mail"})
    assert sent.task_id == backend.formatter.loads(data).task_id


async def test_many_callers_start_it_once_and_one_that_is_cancelled_stops_no_other(backend: ForeignJobs) -> None:
    broker, data = broker_of(backend), message_of(backend)
    broker.may_start.clear()
    callers = [asyncio.create_task(backend.put("mail", data)) for _ in range(3)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    broker.may_start.set()
    await asyncio.gather(*callers[1:])
    assert callers[0].cancelled()
    assert broker.calls == ["startup", "kick", "kick"]
    await backend.aclose()
    await backend.aclose()
    assert broker.calls[3:] == ["shutdown"]
    await backend.put("mail", data)
    assert broker.calls[4:] == ["startup", "kick"]


async def test_a_broker_that_was_not_used_is_not_shut_down(backend: ForeignJobs) -> None:
    await backend.aclose()
    assert broker_of(backend).calls == []


async def test_a_worker_runs_its_messages_and_acknowledges_them(
    backend: ForeignJobs, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    @job(name="count", queue="mail", retries=0)
    async def count(number: int) -> None:
        seen.append(number)
        if number == 2:
            raise ValueError("no such luck")

    broker = broker_of(backend)
    async with worker_of(backend, ["mail"]):
        for number in (1, 2):
            await backend.put("mail", backend.formatter.dumps(count.message((number,))).message)
        await backend.put("mail", backend.formatter.dumps(count.message((3,))).message)
        await until(lambda: broker.acknowledged == 3)
    assert broker.is_worker_process
    assert sorted(seen) == [1, 2, 3]
    assert "A job of the queue 'mail' is given up (ValueError: no such luck)" in caplog.text


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda backend: backend.put_once("name", 1.0, 1.0, "mail", b""), "schedules"),
        (lambda backend: backend.first_seen("name", 1.0), "schedules"),
        (lambda backend: backend.revive(["1"]), "dead letters"),
        (lambda backend: backend.keep_result("1", b"", 1.0), "results"),
        (lambda backend: backend.fetch_result("1", 1.0), "results"),
    ],
    ids=["tick", "first seen", "revive", "keep", "fetch"],
)
async def test_what_it_cannot_do_is_said(
    backend: ForeignJobs, call: Callable[[BaseJobs], Awaitable[Any]], what: str
) -> None:
    with pytest.raises(ArgumentError, match=rf"JOBS\['theirs'\]: Queue keeps no {what}; use RedisJobs\."):
        await call(backend)


async def test_it_knows_nothing_of_what_waits_and_has_failed(
    backend: ForeignJobs, caplog: pytest.LogCaptureFixture
) -> None:
    await backend.bury("mail", b"\xff" * 5000, "ValueError: no")
    assert len(caplog.messages[0]) < 2200
    assert "A job of the queue 'mail' is given up (ValueError: no)" in caplog.messages[0]
    assert await backend.dead() == []
    assert await backend.sizes(["mail"]) == {}
