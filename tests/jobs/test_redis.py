"""Workers of Redis queues that die, freeze, lose answers and servers."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.jobs.conftest import worker_of
from tests.polling import until
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer, command
from torngas_aio._cleanup import close_all
from torngas_aio.exception import Unavailable
from torngas_aio.jobs import job
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.jobs.redis import MAX_DELIVERIES, RedisJobs
from torngas_aio.jobs.registry import jobs, make_jobs
from torngas_aio.settings_manager import settings

pytestmark = pytest.mark.redis

on_every_redis = pytest.mark.parametrize("backend", ["redis", "sentinel", "cluster"], indirect=True)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are believed to be dead soon."""
    monkeypatch.setattr("torngas_aio.jobs.redis.ALIVE_SECONDS", 1.5)
    monkeypatch.setattr("torngas_aio.jobs.redis.BEAT_SECONDS", 0.2)
    monkeypatch.setattr("torngas_aio.jobs.redis.SWEEP_SECONDS", 0.1)


def another(backend: BaseJobs) -> RedisJobs:
    """The same queues, as another process has them."""
    made = make_jobs("default", settings.JOBS["default"])
    assert isinstance(made, RedisJobs)
    return made


async def die(worker: RedisJobs) -> None:
    """Leave as a process that is killed: nothing is given back, the heart has stopped."""
    worker._held.clear()
    await worker.close_worker()


@on_every_redis
async def test_what_a_dead_worker_had_is_taken_over_on_an_idle_queue(backend: BaseJobs) -> None:
    seen: list[int] = []

    @job
    async def note(number: int) -> None:
        seen.append(number)

    killed = another(backend)
    await killed.open_worker(["default"], 10)
    for number in range(3):
        await note.enqueue(number)
    taken: list[Any] = []
    while len(taken) < 3:
        taken += await killed._read()
    await die(killed)
    async with worker_of(backend, ["default"]):
        await until(lambda: len(seen) == 3)
        await asyncio.sleep(1)
    assert sorted(seen) == [0, 1, 2]
    assert await backend.sizes() == {"default": (0, 0)}
    await killed.aclose()


@on_every_redis
async def test_a_live_worker_keeps_its_job_also_when_it_holds_the_loop(backend: BaseJobs) -> None:
    runs: list[str] = []

    @job
    async def slow() -> None:
        runs.append("begun")
        await asyncio.sleep(2)  # longer than ALIVE_SECONDS, as what follows
        until_when = time.monotonic() + 1.7
        while time.monotonic() < until_when:
            pass
        runs.append("ended")

    other = another(backend)
    async with worker_of(backend, ["default"], concurrency=1), worker_of(other, ["default"], concurrency=1):
        await slow.enqueue()
        await until(lambda: "ended" in runs)
        await asyncio.sleep(0.5)  # several sweeps
    assert runs == ["begun", "ended"]
    await other.aclose()


@on_every_redis
async def test_a_stop_finishes_what_it_can_and_gives_the_rest_back(backend: BaseJobs) -> None:
    begun: list[str] = []
    ended: list[str] = []

    @job
    async def work(name: str) -> None:
        begun.append(name)
        if name == "long" and len(begun) < 3:
            await asyncio.Event().wait()
        await asyncio.sleep(0.3)
        ended.append(name)

    async with worker_of(backend, ["default"], graceful_seconds=1) as stopping:
        await work.enqueue("long")
        await work.enqueue("short")
        await until(lambda: len(begun) == 2)
        stopping.set()
    assert ended == ["short"]
    assert await backend.sizes() == {"default": (1, 0)}
    async with worker_of(backend, ["default"]):
        await until(lambda: ended == ["short", "long"])
    assert await backend.sizes() == {"default": (0, 0)}


@on_every_redis
async def test_a_job_that_was_given_but_not_heard_of_runs(backend: BaseJobs) -> None:
    """The answer to a read was lost with its connection."""
    seen: list[int] = []

    @job
    async def note() -> None:
        seen.append(1)

    assert isinstance(backend, RedisJobs)
    await backend.open_worker(["default"], 10)
    await note.enqueue()
    while not await backend._read():
        pass
    backend._held.clear()  # as if it had not been read
    await backend._ask("DEL", f"{backend._prefix}:alive:{backend._worker}")
    heart, backend._heartbeat = backend._heartbeat, None
    assert heart is not None
    async with worker_of(backend, ["default"]):
        await until(lambda: seen == [1])
    await heart.stop()


async def test_what_kills_its_workers_is_a_dead_letter_in_the_end(redis_server: RedisServer) -> None:
    backend = RedisJobs(redis_server.url, {"OPTIONS": {"KEY_PREFIX": "killers"}})
    await backend.open_worker(["default"], 1)
    await backend.put("default", b"poison")
    while not await backend._read():
        pass
    await die(backend)
    stream = backend._queue("default")
    for _ in range(5):  # as five workers that took it over and died
        await backend._ask(
            "XCLAIM", stream, "workers", "dead", 0, (await backend._ask("XRANGE", stream, "-", "+"))[0][0]
        )
    async with worker_of(backend, ["default"]):
        await until(backend.dead)
    assert "have died" in (await backend.dead())[0].error
    await backend.aclose()


async def test_a_job_that_cancels_its_own_task_holds_no_slot_and_ends_as_a_dead_letter(lone: RedisServer) -> None:
    runs: list[str] = []

    @job
    async def own() -> None:
        runs.append("own")
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    @job
    async def other() -> None:
        runs.append("other")

    async with worker_of(jobs["default"], ["default"], concurrency=1):
        await own.enqueue()
        await until(lambda: runs == ["own"])
        await other.enqueue()
        await until(lambda: "other" in runs)
        await until(jobs["default"].dead)
    assert runs.count("own") == MAX_DELIVERIES


async def test_with_more_queues_than_slots_the_others_get_what_is_too_much(redis_server: RedisServer) -> None:
    backend = RedisJobs(redis_server.url, {"OPTIONS": {"KEY_PREFIX": "fair"}})
    names = [f"q{number}" for number in range(5)]
    await backend.open_worker(names, 2)
    for name in names * 4:
        await backend.put(name, name.encode())
    taken: list[str] = []
    while len(taken) < 20:
        for queue, number, data in await backend._read():
            assert len(backend._held) <= 2
            assert data == queue.encode()
            taken.append(queue)
            await backend.finish(queue, number)
    assert sorted(taken) == sorted(names * 4)
    await backend.aclose()


@pytest.fixture
async def lone(lone_redis: RedisServer) -> AsyncIterator[RedisServer]:
    entry = {"BACKEND": RedisJobs, "LOCATION": lone_redis.url, "OPTIONS": {"DEADLINE": 1}}
    with settings.override(JOBS={"default": entry}):
        yield lone_redis
        await close_all()


async def test_a_worker_outlives_its_server_and_lost_connections(lone: RedisServer) -> None:
    seen: set[int] = set()

    @job
    async def note(number: int) -> None:
        seen.add(number)

    async with worker_of(jobs["default"], ["default"]):
        await note.enqueue(1)
        await until(lambda: 1 in seen)
        command(lone.port, "CLIENT", "KILL", "TYPE", "normal")
        await _enqueued(note, 2)
        await until(lambda: 2 in seen)
        lone.process.kill()
        with pytest.raises(Unavailable, match=r"JOBS\['default'\]"):
            await note.enqueue(3)
        lone.process.restart()  # empty: queue and group are gone
        await _enqueued(note, 4)
        await until(lambda: 4 in seen)


async def test_a_live_worker_keeps_its_job_while_redis_has_no_memory(lone: RedisServer) -> None:
    runs: list[str] = []

    @job
    async def slow() -> None:
        runs.append("begun")
        await asyncio.sleep(4)  # longer than ALIVE_SECONDS
        runs.append("ended")

    other = another(jobs["default"])
    async with worker_of(jobs["default"], ["default"]), worker_of(other, ["default"]):
        await slow.enqueue()
        await until(lambda: bool(runs))
        lone.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(Unavailable, match="raise its maxmemory"):
            await slow.enqueue()
        await until(lambda: "ended" in runs)
        lone.command("CONFIG", "SET", "maxmemory", "0")
    assert runs == ["begun", "ended"]
    await other.aclose()


async def _enqueued(note: Any, number: int) -> None:
    async def is_enqueued() -> bool:
        await note.enqueue(number)
        return True

    await until(is_enqueued, accepts=(Unavailable,))


async def test_a_worker_outlives_a_cluster_that_was_down(caplog: pytest.LogCaptureFixture) -> None:
    seen: set[int] = set()

    @job
    async def note(number: int) -> None:
        seen.add(number)

    with RedisCluster() as servers:
        entry = {"BACKEND": RedisJobs, "LOCATION": servers.url, "OPTIONS": {"DEADLINE": 1}}
        with settings.override(JOBS={"default": entry}):
            async with worker_of(jobs["default"], ["default"]):
                await _enqueued(note, 1)
                await until(lambda: 1 in seen)
                for node in servers.nodes:
                    node.process.kill()
                await until(lambda: "The Redis Cluster at" in caplog.text)
                for node in servers.nodes:
                    node.process.restart()
                await _enqueued(note, 2)
                await until(lambda: 2 in seen, 40)
            await close_all()
    assert "Traceback" not in caplog.text


async def test_a_failover_of_the_sentinels_is_followed() -> None:
    seen: set[int] = set()

    @job
    async def note(number: int) -> None:
        seen.add(number)

    with RedisSentinels() as servers:
        entry = {"BACKEND": RedisJobs, "LOCATION": servers.url, "OPTIONS": {"REPLICAS": 1}}
        with settings.override(JOBS={"default": entry}):
            async with worker_of(jobs["default"], ["default"]):
                await _enqueued(note, 1)
                await until(lambda: 1 in seen)
                await asyncio.to_thread(servers.switch)
                await until(lambda: servers.master_port() == servers.second.port)
                servers.first.command(
                    "REPLICAOF", servers.second.host, str(servers.second.port)
                )  # the sentinels: in 8 s
                await _enqueued(note, 2)
                await until(lambda: 2 in seen, 40)
            await close_all()


async def test_replicas_that_are_missing_are_an_error(redis_server: RedisServer) -> None:
    backend = RedisJobs(redis_server.url, {"OPTIONS": {"KEY_PREFIX": "replicas", "REPLICAS": 1, "DEADLINE": 1}})
    with pytest.raises(Unavailable, match="0 of 1 replicas"):
        await backend.put("default", b"{}")
    with pytest.raises(Unavailable, match="0 of 1 replicas"):
        await backend.put("default", b"{}", delay=3600)
    await backend.put_again("default", b"{}", 3600)  # of a job that runs: it would run again beside its next attempt
    await backend.aclose()


async def test_what_others_wrote_to_its_keys_stops_no_worker(redis_server: RedisServer) -> None:
    seen: list[int] = []

    @job(name="note")
    async def note(number: int) -> None:
        seen.append(number)

    backend = RedisJobs(redis_server.url, {"OPTIONS": {"KEY_PREFIX": "foreign"}})
    later, stream = f"{backend._prefix}:later", backend._queue("default")
    await backend.open_worker(["default"], 2)
    await backend.close_worker()
    await backend._ask("XADD", stream, "*", "x", b"\xff")  # without a field that is ours, and taken by a dead worker
    await backend._ask("XREADGROUP", "GROUP", "workers", b"\xff\xfe", "COUNT", 1, "STREAMS", stream, ">")
    await backend._ask("XADD", stream, "*", "x", "1")
    for member in (b"", b"no line", b"\xff\n", b"default\nno message"):
        await backend._ask("ZADD", later, 1, member)
    data = backend.formatter.dumps(note.message((1,))).message
    async with worker_of(backend, ["default"]):
        await backend.put("default", data, 0.01)
        await until(lambda: seen == [1])
        await until(lambda: has_dead(backend, 5), 60)
    dead = await backend.dead()
    assert sorted(each.queue for each in dead) == ["", "", "default", "default", "default"]
    assert await backend.revive([each.id for each in dead if not each.queue]) == 0
    await backend.aclose()


async def has_dead(backend: RedisJobs, count: int) -> bool:
    return len(await backend.dead()) == count
