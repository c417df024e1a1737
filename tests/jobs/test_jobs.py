"""What every backend does with jobs."""

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.jobs.conftest import Working
from tests.polling import until
from torngas_aio import _json
from torngas_aio._job_events import JobEvent, job_listeners
from torngas_aio.exception import ArgumentError, JobFailed, ValueTooLarge
from torngas_aio.jobs import BaseJobs, job
from torngas_aio.jobs.base import MAX_JOB_BYTES
from torngas_aio.jobs.declaring import declared
from torngas_aio.jobs.worker import run_message
from torngas_aio.logger import current_request_id


class Tree(msgspec.Struct, array_like=True):
    """A type whose values raise what they like."""

    branch: "Any" = None

    def __post_init__(self) -> None:
        raise KeyError("no such leaf")


async def dead_of(backend: BaseJobs, count: int = 1) -> list[Any]:
    """The dead letters, once there are so many."""
    found: list[Any] = []

    async def is_so() -> bool:
        found[:] = await backend.dead()
        return len(found) >= count

    await until(is_so)
    return found


async def test_a_job_runs_with_its_arguments(backend: BaseJobs, working: Working) -> None:
    seen: asyncio.Queue[object] = asyncio.Queue()

    @job(queue="mail")
    async def note(number: int, *, name: str) -> None:
        await seen.put((number, name))

    async with working():
        await note.enqueue(1, name="a")
        assert await asyncio.wait_for(seen.get(), 20) == (1, "a")


async def test_results_are_kept_where_asked_for(backend: BaseJobs, working: Working) -> None:
    @job(result_ttl=60)
    async def double(number: int) -> int:
        return 2 * number

    @job(result_ttl=0.2)
    async def short() -> int:
        return 2

    @job
    async def silent() -> int:
        return 1

    async with working():
        handle = await double.enqueue(4)
        assert await handle.result(20) == 8
        assert await handle.result(20) == 8
        brief = await short.enqueue()
        assert await brief.result(20) == 2
        await asyncio.sleep(0.3)
        with pytest.raises(TimeoutError, match="result_ttl"):
            await brief.result(0.01)
        with pytest.raises(TimeoutError, match="result_ttl"):
            async with asyncio.timeout(5):  # it does not wait for what never comes
                await (await silent.enqueue()).result(20)


async def test_a_failing_job_is_tried_again_and_ends_as_a_dead_letter(
    backend: BaseJobs, working: Working, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    @job(retries=1, result_ttl=60, queue="other")
    async def fail(number: int) -> None:
        attempts.append(number)
        raise ValueError("no such luck")

    async with working():
        handle = await fail.enqueue(3)
        with pytest.raises(JobFailed, match="ValueError: no such luck"):
            await handle.result(20)
        assert attempts == [3, 3]
        (dead,) = await dead_of(backend)
        assert (dead.queue, dead.error) == ("other", "ValueError: no such luck")
        assert _json.loads(dead.data)["args"] == [3]
        assert await backend.revive(["no such id"]) == 0
        assert await backend.revive([dead.id]) == 1
        await until(lambda: len(attempts) >= 4)
        await dead_of(backend)
    assert [record.levelno for record in caplog.records if "fail" in record.message][:2] == [
        logging.WARNING,
        logging.ERROR,
    ]


@pytest.mark.parametrize("raised", [SystemExit(3), asyncio.CancelledError(), GeneratorExit(), BaseException("x")])
async def test_whatever_a_job_raises_is_a_failure(backend: BaseJobs, working: Working, raised: BaseException) -> None:
    @job
    async def fail() -> None:
        raise raised

    async with working():
        await fail.enqueue()
        (dead,) = await dead_of(backend)
        assert dead.error.startswith(type(raised).__name__)


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_job_that_takes_too_long_is_cancelled(backend: BaseJobs, working: Working, swallows: bool) -> None:
    ended: list[str] = []

    @job(timeout=0.05)
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            if not swallows:
                raise

    async with working():
        await hang.enqueue()
        (dead,) = await dead_of(backend)
        assert dead.error == "TimeoutError: it took longer than its timeout=0.05."
        assert ended == ["cancelled"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80\x04N.", b"[]", b"null", b'{"task_name": "os:system"}',
        b'{"task_id": "1", "task_name": "os:system", "args": ["true"], "kwargs": {}, "labels": {"queue_name": "q"}}',
    ],
)  # fmt: skip
async def test_only_messages_of_declared_jobs_run(backend: BaseJobs, working: Working, data: bytes) -> None:
    async with working():
        await backend.put("default", data)
        (dead,) = await dead_of(backend)
        assert dead.data == data


@pytest.fixture
def told() -> Iterator[list[JobEvent]]:
    """What listeners are told."""
    events: list[JobEvent] = []
    job_listeners.append(events.append)
    yield events
    job_listeners.remove(events.append)


DEEP = "[" * 900 + "]" * 900


FOREIGN = {
    "labels": [
        *("[]", "null", '"x"', DEEP),
        *(f'{{"attempt": {value}}}' for value in ('"x"', '"1"', "-1", "1.5", "true", "null", "[]", "9" * 40)),
        *(f'{{"queue_name": {value}}}' for value in ("3", '""', "null", '"a\\nb"', '{"a": 1}', f'"{"q" * 101}"')),
        *(f'{{"key": {value}}}' for value in ("3", '""', "null", "[1]")),
        *(f'{{"outbox": {value}}}' for value in ('"yes"', "1", "null")),
    ],
    "task_id": ["3", '""', '"a\\nb"', '"\\u001b[2J"', f'"{"i" * 301}"'],
    "task_name": ["3", "null", "[]", '"\\ud800"'],
    "args": ["3", "null", '"ab"', "{}", '["\\ud800"]', f'["{"x" * 300_000}"]'],
    "kwargs": ["3", "[]", "null"],
}
"""Of each field of a message what is none of ours, as JSON."""


@pytest.mark.parametrize("name", ["known", "other"])
@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in FOREIGN.items() for value in values],
    ids=lambda text: text[:40],
)
async def test_a_message_of_a_foreign_shape_is_a_dead_letter(
    memory: BaseJobs, told: list[JobEvent], name: str, field: str, value: str
) -> None:
    ran: list[int] = []

    @job(name="known", retries=2)
    async def known(number: int = 0) -> None:
        ran.append(number)

    fields = {"task_id": '"1"', "task_name": f'"{name}"', "args": "[]", "kwargs": "{}", "labels": "{}", field: value}
    data = ("{" + ", ".join(f'"{key}": {each}' for key, each in fields.items()) + "}").encode()
    acknowledged: list[int] = []
    await run_message(memory, "default", data, lambda: acknowledged.append(1))
    (dead,) = await memory.dead()
    assert (dead.queue, dead.data, ran, acknowledged) == ("default", data, [], [1])
    assert dead.error.startswith("not a message of a job: ")
    assert len(dead.error) <= 1000
    assert told == []


async def test_other_labels_of_other_senders_are_let_be(
    backend: BaseJobs, working: Working, told: list[JobEvent]
) -> None:
    seen: asyncio.Queue[Any] = asyncio.Queue()

    @job(name="known")
    async def known() -> None:
        await seen.put(current_request_id())

    others = {"priority": 3, "request_id": "a b\n[E forged]", "traceparent": 5, "tracestate": ["x"], "": None}
    async with working():
        for labels in (others, {**others, "request_id": {"a": 1}}, {"request_id": "abc-1"}):
            fields = {"task_id": "1", "task_name": "known", "args": [], "kwargs": {}, "labels": labels}
            await backend.put("default", _json.dumps(fields))
        assert sorted([await asyncio.wait_for(seen.get(), 20) or "" for _ in range(3)]) == ["", "", "abc-1"]
        await until(lambda: len(told) >= 6)
    assert {(each.queue, each.attempt) for each in told} == {("default", 0)}


async def test_a_message_that_cannot_be_written_again_is_kept_as_it_came(
    backend: BaseJobs, working: Working, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "torngas_aio.jobs")  # reports of tests cannot hold half a character
    ran: list[int] = []

    @job(name="known", retries=3)
    async def known(value: Any) -> None:
        ran.append(1)
        raise ValueError("\udce4.txt is no name")

    text = f'{{"task_id": "1", "task_name": "known", "args": [{DEEP}], "kwargs": {{}}, "labels": {{}}}}'
    async with working():
        await backend.put("default", text.encode())
        (dead,) = await dead_of(backend)
    assert (dead.data, dead.error, ran) == (text.encode(), "ValueError: \\udce4.txt is no name", [1])


async def test_arguments_that_their_types_refuse_in_a_way_of_their_own(backend: BaseJobs, working: Working) -> None:
    @job(name="tree", retries=3)
    async def tree(value: Tree) -> None: ...

    text = f'{{"task_id": "1", "task_name": "tree", "args": [{DEEP}], "kwargs": {{}}, "labels": {{}}}}'
    async with working():
        await backend.put("default", text.encode())
        (dead,) = await dead_of(backend)
    assert dead.error.startswith("KeyError")


async def test_a_job_of_the_largest_size_is_tried_again(
    backend: BaseJobs, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torngas_aio.jobs.worker.LONGEST_PAUSE", 0.01)
    ran: list[int] = []

    @job(name="large", retries=2)
    async def large(text: str) -> None:
        ran.append(len(text))
        raise ValueError

    size = MAX_JOB_BYTES - len(backend.formatter.dumps(large.message(("",))).message)
    async with working():
        await large.enqueue("x" * size)
        (dead,) = await dead_of(backend)
        assert (len(dead.data), ran) == (MAX_JOB_BYTES, [size] * 3)
    with pytest.raises(ValueTooLarge):
        await large.enqueue("x" * (size + 1))


async def test_arguments_that_no_longer_fit_are_a_dead_letter_at_once(backend: BaseJobs, working: Working) -> None:
    @job(name="changed", retries=3)
    async def old(number: int) -> None: ...

    message = old.message((1,))
    del declared["changed"]  # as in the next version of the program

    @job(name="changed", retries=3)
    async def new(number: str) -> None: ...

    async with working():
        await backend.kick(backend.formatter.dumps(message))
        (dead,) = await dead_of(backend)
        assert "annotation" in dead.error


async def test_many_jobs_run_each_once(backend: BaseJobs, working: Working) -> None:
    seen: list[int] = []

    @job
    async def note(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    async with working():
        await asyncio.gather(*(note.enqueue(number) for number in range(300)))
        await until(lambda: len(seen) >= 300)
    assert sorted(seen) == list(range(300))
    assert all(size == (0, 0) for size in (await backend.sizes()).values())


async def test_delayed_jobs_run_when_their_time_has_come(backend: BaseJobs, working: Working) -> None:
    """A hundred are put at once, as a burst of reminders for the same time."""
    seen: list[int] = []
    early: list[float] = []
    started = time.monotonic()

    @job
    async def note(delay: float, number: int) -> None:
        seen.append(number)
        if time.monotonic() < started + delay:
            early.append(delay)

    await note.enqueue_in(1.5, 1.5, -1)
    await asyncio.gather(*(note.enqueue_in(1, delay=1, number=number) for number in range(250)))
    async with working():
        await note.enqueue_in(0, 0, -2)
        await until(lambda: len(seen) >= 252)
    assert seen[0] == -2
    assert sorted(seen) == list(range(-2, 250))
    assert early == []


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "1", None, True])
async def test_a_delay_that_is_no_number_of_seconds_is_refused(memory: BaseJobs, delay: Any) -> None:
    @job
    async def note() -> None: ...

    with pytest.raises(ArgumentError, match=r"delay = .* must be a number of seconds"):
        await note.enqueue_in(delay)


async def test_a_tick_is_put_once(backend: BaseJobs, working: Working) -> None:
    seen: list[int] = []

    @job
    async def note() -> None:
        seen.append(1)

    data = backend.formatter.dumps(note.message()).message
    async with working():
        done = [await backend.put_once("note", tick, 60, "default", data) for tick in (1.0, 1.0, 2.0, 1.0)]
        await until(lambda: len(seen) >= 2)
    assert done == [True, False, True, False]
    assert await backend.first_seen("note", 5.0) == 5.0
    assert await backend.first_seen("note", 7.0) == 5.0
    assert len(seen) == 2
