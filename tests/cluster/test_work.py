"""Jobs, schedules and messages while workers, nodes and the master of Redis are killed.

Everything that was acknowledged is counted at the end. The figures in `docs/guide/jobs.md` and `docs/guide/live.md` are
what these tests print: `nox -s cluster -- -rP -m slow tests/cluster/test_work.py`; LAB_JOBS sets the number of jobs,
LAB_KILLS how often a master is killed to see what it loses.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from tests.cluster.conftest import Lab, Laboratory
from tests.cluster.network import Host, Network
from tests.cluster.services import place_on
from tests.polling import until
from tests.services.mariadb import DATABASE
from tests.services.redis import RedisSentinels
from torngas_aio.channels.redis import RedisChannels
from torngas_aio.exception import Unavailable
from torngas_aio.jobs.redis import RedisJobs
from torngas_aio.jobs.registry import make_jobs

pytestmark = [pytest.mark.redis, pytest.mark.mariadb]

BATCH = 25
SENDERS = 50
KINDS = ("plain", "keyed", "boxed")


@dataclass
class Work:
    """What clients of the site do meanwhile, and what they were told.

    Attributes:
        acknowledged: The numbers of jobs by kind whose batch was answered with 200.
        repeated: Those whose batch was sent again: without an answer it may have been enqueued all the same.
        published: The numbers of messages that were answered so, by channel.
        heard: What the stream of each channel has brought: numbers, "gap", or "lost" for a lost connection.
    """

    lab: Lab
    count: int
    acknowledged: dict[str, set[int]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    repeated: dict[str, set[int]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    published: dict[str, list[int]] = field(default_factory=lambda: {"default": [], "plain": []})
    heard: dict[str, list[Any]] = field(default_factory=lambda: {"default": [], "plain": []})
    refused: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[None]:
        """Hear and publish for a block, and a while longer."""
        tasks = [asyncio.create_task(self._hear(alias, path)) for alias, path in STREAMS.items()]
        await until(lambda: all(self.heard[alias] for alias in STREAMS), 120)
        publishing = [asyncio.create_task(self._publish(alias)) for alias in STREAMS]
        try:
            yield
            await _stopped(publishing)
            for alias in STREAMS:  # the last one tells that all before it were brought
                self.published[alias].append(await self._published(alias, itertools.count(10**9)))
                await until(partial(self._is_heard, alias), 60)
        finally:
            await _stopped([*publishing, *tasks])

    def _is_heard(self, alias: str) -> bool:
        return bool(self.heard[alias][-1] == self.published[alias][-1])

    async def enqueue_all(self) -> None:
        """Enqueue every job, each batch until it is acknowledged."""
        batches = [(kind, first) for first in range(0, self.count // 3, BATCH) for kind in KINDS]
        waiting = iter(batches)
        await asyncio.gather(*(self._enqueue(waiting) for _ in range(3)))

    async def _enqueue(self, waiting: Iterator[tuple[str, int]]) -> None:
        async with _client(self.lab.url) as client:
            for kind, first in waiting:
                numbers = range(first, first + BATCH)
                while not await self._post(client, "/enqueue", kind=kind, first=first, count=BATCH):
                    self.repeated[kind].update(numbers)
                    await asyncio.sleep(0.1)
                self.acknowledged[kind].update(numbers)

    async def _post(self, client: httpx2.AsyncClient, path: str, **data: Any) -> bool:
        try:
            status = (await client.post(path, data=data)).status_code
        except httpx2.HTTPError as exc:
            status = 0
            self.refused[type(exc).__name__] += 1
        if status not in {0, 200}:
            self.refused[str(status)] += 1
        return status == 200

    async def _publish(self, alias: str) -> None:
        numbers = itertools.count(1)
        while True:
            self.published[alias].append(await self._published(alias, numbers))
            await asyncio.sleep(0.02)

    async def _published(self, alias: str, numbers: Iterator[int]) -> int:
        """Publish the next number that is acknowledged, and return it; one that was not may be heard all the same."""
        async with _client(self.lab.url) as client:
            for number in numbers:
                if await self._post(client, "/publish", alias=alias, number=number):
                    return number
                await asyncio.sleep(0.1)
        raise AssertionError

    async def _hear(self, alias: str, path: str) -> None:
        """Read a stream as a browser does: it comes back, with the last id."""
        heard, last = self.heard[alias], ""
        while True:
            try:
                async with _client(self.lab.url) as client:
                    headers = {"Last-Event-ID": last} if last else {}
                    async with client.stream("GET", path, headers=headers) as answer:
                        heard.append("lost" if heard else "begun")
                        event = ""
                        async for line in answer.aiter_lines():
                            name, _, value = line.partition(": ")
                            if name == "id":
                                last = value
                            elif name == "event":
                                event = value
                            elif name == "data":
                                heard.append(event or int(value))
                                event = ""
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(0.1)


TOLD = Counter({"gap": 10**6, "lost": 10**6})
STREAMS = {"default": "/numbers", "plain": "/numbers/plain"}


def _client(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=20)


async def _stopped(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def havoc(lab: Lab, pause: float, told: Counter[str], ended: asyncio.Event) -> None:
    """Kill a worker or a node, or restart it as a new version is brought out; one at a time, until it is *ended*."""
    for number in itertools.count():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), random.uniform(0.5 * pause, 1.5 * pause))
            return
        victims = [("worker", each) for each in lab.workers] + [("node", each.process) for each in lab.nodes]
        what, victim = victims[number % len(victims)] if number < len(victims) else random.choice(victims)
        how = "restarted" if number % 3 == 2 else "killed"
        told[f"{what}s {how}"] += 1
        await asyncio.to_thread(victim.stop if how == "restarted" else victim.kill)
        await asyncio.to_thread(victim.start)


def kill_master(lab: Lab, store: str) -> None:
    """Kill the Redis that has the jobs; alone it is started again, else a replica takes its place."""
    if store == "redis":
        lab.store.process.kill()
        time.sleep(2)
        lab.store.process.start()
    elif store == "sentinel":
        lab.store.fail_over()
    else:
        lab.store.master_of("{jobs}").process.kill()


async def prepared(laboratory: Laboratory, store: str) -> Lab:
    lab = await laboratory(nodes=2, workers=1, store=store, job_workers=2)
    database = lab.database.master
    database.execute("CREATE TABLE done (kind VARCHAR(10), number BIGINT, KEY (kind, number))", DATABASE)
    return lab


def rows(lab: Lab, kind: str) -> list[int]:
    return [int(row["number"]) for row in lab.query(f"SELECT number FROM done WHERE kind = '{kind}'")]


async def settled(lab: Lab) -> None:
    """Return when nothing waits or runs any more, and nothing is in the outbox."""
    backend = make_jobs("default", lab.settings["JOBS"]["default"])
    idle = 0
    async with asyncio.timeout(900):
        while idle < 5:
            await asyncio.sleep(0.5)
            (left,) = await asyncio.to_thread(lab.query, "SELECT COUNT(*) AS n FROM torngas_job_outbox")
            is_empty = not left["n"] and set((await backend.sizes()).values()) <= {(0, 0), (0, 1), (1, 0)}  # a tick
            idle = idle + 1 if is_empty else 0
    await backend.aclose()


async def run(lab: Lab, store: str, count: int, pause: float) -> dict[str, Any]:
    """Do *count* jobs under havoc; return what was lost and what was done twice."""
    work, told = Work(lab, count), Counter[str]()
    began, moment = time.monotonic(), time.time()
    async with work.streams():
        ended = asyncio.Event()
        troubles = asyncio.create_task(havoc(lab, pause, told, ended))
        enqueueing = asyncio.create_task(work.enqueue_all())
        await until(lambda: sum(map(len, work.acknowledged.values())) > count // 2, 1200)
        await asyncio.to_thread(kill_master, lab, store)
        await enqueueing
        enqueued = time.monotonic() - began
        ended.set()
        await troubles  # which starts again what it has just killed
    await settled(lab)
    for each in lab.workers:
        await asyncio.to_thread(each.stop)  # no tick is on its way any more
    made = {kind: rows(lab, kind) for kind in KINDS}
    keys = {str(row["digest"]) for row in lab.query("SELECT digest FROM torngas_job_keys")}
    ticks = {f"tick{number}": _ticks(lab, f"tick{number}", keys, moment) for number in range(4)}
    return {
        "seconds": (round(enqueued), round(time.monotonic() - began)),
        "lost jobs": {kind: len(work.acknowledged[kind] - set(made[kind])) for kind in KINDS},
        "done twice": {
            kind: _count_twice(made[kind], work.repeated[kind] if kind != "keyed" else ()) for kind in KINDS
        },
        "ticks": sum(found for found, _, _ in ticks.values()),
        "ticks missed": sum(missed for _, missed, _ in ticks.values()),
        "ticks twice": sum(twice for _, _, twice in ticks.values()),
        "messages": {alias: len(each) for alias, each in work.published.items()},
        "lost messages": {alias: len(set(each) - set(work.heard[alias])) for alias, each in work.published.items()},
        "outside of a gap": len(_silently_lost(work.published["plain"], work.heard["plain"])),
        "streams": {
            alias: Counter(each for each in found if isinstance(each, str)) for alias, found in work.heard.items()
        },
        "havoc": dict(told),
        "refused": dict(work.refused),
    }


def _count_twice(made: list[int], repeated: Collection[int]) -> int:
    return sum(count - 1 for number, count in Counter(made).items() if number not in repeated)


def _ticks(lab: Lab, name: str, keys: set[str], moment: float) -> tuple[int, int, int]:
    """How many ticks took effect, how many of those in between were missed, and how many rows are too many."""
    seen = [at for at in range(int(moment) - 60, int(time.time()) + 1) if _digest(f"{name}@{at}") in keys]
    assert seen
    return len(seen), seen[-1] - seen[0] + 1 - len(seen), len(rows(lab, name)) - len(seen)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _silently_lost(published: list[int], heard: list[Any]) -> list[int]:
    """Those that are missing between two that were heard without a gap or a lost connection between them."""
    lost: list[int] = []
    last, is_told = 0, True
    for each in heard:
        if isinstance(each, str):
            is_told = True
        else:
            if not is_told:
                lost += [number for number in published if last < number < each < 10**9]
            last, is_told = each, False
    return lost


def check(found: dict[str, Any], store: str) -> None:
    """Fail unless every promise was kept; what only a killed master may lose is printed."""
    assert found["lost jobs"]["boxed"] == 0
    assert found["done twice"]["keyed"] == found["done twice"]["boxed"] == 0
    assert found["ticks missed"] == found["ticks twice"] == 0
    assert found["outside of a gap"] == 0
    if store == "redis":
        assert found["lost jobs"] == dict.fromkeys(KINDS, 0)
        assert found["lost messages"]["default"] == 0


@pytest.mark.timeout(240)
async def test_work_under_kills(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HASTE", "yes")
    lab = await prepared(laboratory, "sentinel")
    found = await run(lab, "sentinel", 2_000, 1.0)
    print(found)  # noqa: T201
    check(found, "sentinel")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("store", "count"), [("redis", 100_000), ("sentinel", 100_000), ("replicated", 100_000)])
async def test_work_under_kills_long(laboratory: Laboratory, store: str, count: int) -> None:
    count = int(os.environ.get("LAB_JOBS", count))
    lab = await prepared(laboratory, store)
    found = await run(lab, store, count, 4.0)
    print(store, count, found)  # noqa: T201
    check(found, store)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("replicas", [0, 1])
@pytest.mark.parametrize("end", ["killed", "cut off", "cut off, its replica a second behind"])
async def test_what_dies_with_a_master(network: Network, end: str, replicas: int) -> None:
    """Jobs without an outbox and messages with a history, sent as fast as they are taken until the end of the master.

    Of a process that is killed the system still sends what was written to sockets; of a host that is cut off it cannot.
    """
    hosts = [network.add(name) for name in ("master", "replica", "sentinel1", "sentinel2", "sentinel3")]
    total: Counter[str] = Counter()
    for _ in range(int(os.environ.get("LAB_KILLS", "10"))):
        with RedisSentinels([place_on(host) for host in hosts]) as servers:
            total.update(
                await lost_with_master(servers, None if end == "killed" else hosts[0], "behind" in end, replicas)
            )
        hosts[0].heal()
        print(f"{end}, REPLICAS {replicas}:", dict(total))  # noqa: T201
    assert replicas == 0 or total["jobs lost"] == 0


async def lost_with_master(
    servers: RedisSentinels, cut_off: Host | None, is_behind: bool, replicas: int
) -> dict[str, int]:
    """Return how many jobs and messages were acknowledged, and how many of these the next master does not have."""
    jobs = RedisJobs(servers.url, {"OPTIONS": {"REPLICAS": replicas}})
    channels = RedisChannels(servers.url, {"OPTIONS": {"HISTORY": 10**6, "POOL_KWARGS": {"max_connections": 100}}})
    acknowledged: dict[str, set[int]] = {"jobs": set(), "messages": set()}

    async def send_all(what: str, send: Callable[[int], Awaitable[None]], first: int) -> None:
        with contextlib.suppress(Unavailable):
            for number in itertools.count(first, SENDERS):
                await send(number)
                acknowledged[what].add(number)

    senders = {
        "jobs": lambda number: jobs.put("default", b"%0200d" % number),
        "messages": lambda number: channels.send("numbers", f"{number:0200}"),
    }
    sending = [asyncio.create_task(send_all(*each, first)) for first in range(SENDERS) for each in senders.items()]
    await asyncio.sleep(random.uniform(1.5, 2.5))
    if is_behind:
        servers.second.process.pause()
        await asyncio.sleep(1)
    if cut_off is not None:
        cut_off.cut_off()
    if is_behind:
        servers.second.process.resume()
    await asyncio.to_thread(servers.fail_over)
    await asyncio.wait(sending)
    async with Redis(host=servers.second.host, port=servers.second.port) as master:
        keys = {"jobs": jobs._queue("default"), "messages": f"{channels._channel('numbers')}:h"}
        found: dict[str, Any] = {what: await master.xrange(key) for what, key in keys.items()}
    kept = {what: {int(fields[b"d"]) for _, fields in entries} for what, entries in found.items()}
    await jobs.aclose()
    await channels.aclose()
    lost = {f"{what} lost": len(numbers - kept[what]) for what, numbers in acknowledged.items()}
    return {f"{what} acknowledged": len(numbers) for what, numbers in acknowledged.items()} | lost
