"""Stores and databases that are cut off, killed and replaced, while visitors check every promise.

The figures in `docs/deploy/outages.md` are what these tests print: `nox -s cluster -- -rP -k outages`.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.cluster.conftest import Lab, Laboratory
from tests.cluster.network import Host
from tests.cluster.node import Node
from tests.cluster.visitors import Crowd, Failure
from tests.services.process import ServerProcess

pytestmark = [pytest.mark.timeout(240), pytest.mark.redis, pytest.mark.memcached, pytest.mark.mariadb]

SECONDS = 10.0
KNOWN_AFTER = 1.0
"""From this second of an outage on it is known, and answered within `SLOW_SECONDS`."""

MAY_BE_LATE = 0.01
"""The share of all requests that a busy machine may hold up for longer."""


@dataclass
class Outage:
    """One outage and what it cost: `with Outage(lab, crowd) as outage: ...`; what comes after it counts as recovery."""

    lab: Lab
    crowd: Crowd
    began: float = 0.0
    ended: float = 0.0
    _logged: dict[Node, int] = field(default_factory=dict)

    def begin(self) -> None:
        self._logged = {node: len(_lines(node)) for node in self.lab.nodes}
        self.began = time.monotonic()

    def end(self) -> None:
        self.ended = time.monotonic()

    @property
    def late(self) -> list[Failure]:
        """The slow requests that were sent when the outage was known."""
        return [each for each in self.crowd.slow if self.began + KNOWN_AFTER < each.began < self.ended]

    @property
    def recovery(self) -> float:
        """Seconds from the end until the last request that failed had been sent."""
        return max([each.began - self.ended for each in self.crowd.failures] + [0.0])

    @property
    def lines(self) -> list[str]:
        """What the nodes have logged since the outage began."""
        return [line for node in self.lab.nodes for line in _lines(node)[self._logged[node] :]]

    def told(self, case: str) -> None:
        """Print one row of the table in the documentation."""
        early = max([each.seconds for each in self.crowd.slow if each not in self.late] + [0.0])
        late = f"{max(each.seconds for each in self.late):.2f} s" if self.late else "< 0.3 s"
        crowd = self.crowd
        print(  # noqa: T201  see above
            f"| {case} | {crowd.total} | {len(crowd.failures)} | {len(crowd.wrong)} | {early:.1f} s | {late} "
            f"| {self.recovery:.1f} s | {len(self.lines)} |"
        )
        kinds = Counter((each.what, each.status) for each in self.crowd.failures)
        print(dict(kinds), *self.crowd.wrong, sep="\n    ")  # noqa: T201
        print(*self.lines, sep="\n")  # noqa: T201


def _lines(node: Node) -> list[str]:
    """What a node has written to its terminal, apart from the access log."""
    lines = node.process.log.splitlines()
    return [line for line in lines if not re.search('"(GET|POST) /', line)]


async def suffer(
    lab: Lab,
    crowd: Crowd,
    *,
    begin: Callable[[], object],
    end: Callable[[], object],
    seconds: float = SECONDS,
) -> Outage:
    """Have *crowd* visit before, during and after an outage of *seconds*."""
    outage = Outage(lab, crowd)
    async with crowd:
        await asyncio.sleep(1.5)
        await asyncio.to_thread(outage.begin)
        await asyncio.to_thread(begin)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(end)
        outage.end()
        await asyncio.sleep(2.5)
    return outage


def check_known(outage: Outage) -> None:
    """Fail unless the outage was known after a second, told in few lines, and over within a second."""
    assert [each for each in outage.crowd.failures if each.status != 503] == []
    assert len(outage.late) <= MAY_BE_LATE * outage.crowd.total, outage.late
    assert outage.recovery < 1
    assert "Traceback" not in "\n".join(outage.lines)
    assert len(outage.lines) < 50
    workers = sum(len(node.worker_ids()) for node in outage.lab.nodes)
    for what in (" is down: ", " is back"):
        assert 1 <= sum(what in line and " failed: " not in line for line in outage.lines) <= workers


WAYS = ("cut off", "killed", "replaced")


@dataclass
class Server:
    """What is taken away: a process, and its host."""

    host: Host
    process: ServerProcess

    def begin(self, way: str) -> None:
        """Cut it off, kill it, or both: then nothing tells its clients that their connections have ended."""
        if way != "killed":
            self.host.cut_off()
        if way != "cut off":
            self.process.kill()

    def end(self, way: str) -> None:
        """Undo it."""
        if way != "killed":
            self.host.heal()
        self.process.start()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("store", ["redis", "memcached"])
async def test_an_outage_of_the_store(laboratory: Laboratory, store: str, way: str) -> None:
    """Pages that keep values are answered meanwhile, those that need neither session nor cache, too."""
    lab = await laboratory(store=store)
    server = Server(lab.host("store1"), lab.store.process)
    crowd = Crowd(lab.url, kept=True, logins=True, keeps=store == "redis" or way == "cut off")
    outage = await suffer(lab, crowd, begin=lambda: server.begin(way), end=lambda: server.end(way))
    await crowd.check_ended()
    outage.told(f"{store} {way} for {SECONDS:g} s")
    lab.check(crowd)
    check_known(outage)
    assert {each.what for each in crowd.failures} <= {"POST /count", "GET /login", "POST /login", "POST /logout"}


@pytest.mark.slow
async def test_an_outage_with_empty_sessions(laboratory: Laboratory) -> None:
    """No login or logout is acknowledged that was not stored."""
    session = {
        "session_cache_alias": "default",
        "secret_key": "the-laboratory's-own-secret-of-sessions",
        "when_unavailable": "empty",
    }
    lab = await laboratory(SESSION=session)
    host = lab.host("store1")
    crowd = Crowd(lab.url, kept=True, logins=True, is_empty_allowed=True)
    outage = await suffer(lab, crowd, begin=host.cut_off, end=host.heal)
    await crowd.check_ended()
    outage.told(f"redis cut off for {SECONDS:g} s, empty sessions")
    lab.check(crowd)
    check_known(outage)
    assert crowd.failed("GET") == []


@pytest.mark.slow
async def test_an_outage_of_a_cluster_s_node(laboratory: Laboratory) -> None:
    lab = await laboratory(store="cluster")
    host = lab.host("store1")
    crowd = Crowd(lab.url, kept=True, logins=True)

    def end() -> None:
        host.heal()
        lab.store.wait_until_whole()

    outage = await suffer(lab, crowd, begin=host.cut_off, end=end)
    await crowd.check_ended()
    outage.told(f"one node of a Redis Cluster cut off for {SECONDS:g} s")
    lab.check(crowd)
    check_known(outage)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_an_outage_of_the_master(laboratory: Laboratory, way: str) -> None:
    lab = await laboratory()
    server = Server(lab.host("master"), lab.database.master.process)
    crowd = Crowd(lab.url, kept=True)
    outage = await suffer(lab, crowd, begin=lambda: server.begin(way), end=lambda: server.end(way))
    outage.told(f"MariaDB master {way} for {SECONDS:g} s")
    await asyncio.to_thread(lab.database.wait_for_slaves)
    lab.check(crowd)
    check_known(outage)


@pytest.mark.slow
@pytest.mark.parametrize("is_planned", [True, False], ids=["planned", "killed"])
async def test_a_failover_of_the_sentinels(laboratory: Laboratory, is_planned: bool) -> None:
    """A planned one loses no acknowledged change of a session."""
    lab = await laboratory(store="sentinel")
    crowd = Crowd(lab.url, kept=True, logins=True, keeps=is_planned)
    begin = lab.store.switch if is_planned else lab.store.first.process.kill
    outage = await suffer(lab, crowd, begin=begin, end=lambda: None, seconds=6)
    await crowd.check_ended()
    outage.told("failover of the sentinels, " + ("planned" if is_planned else "master killed"))
    lab.check(crowd)
    assert outage.recovery == 0
    assert [each for each in crowd.failures if each.status != 503] == []
    assert lab.store.master_port() == lab.store.second.port


@pytest.mark.slow
@pytest.mark.parametrize("what", ["redis", "memcached", "master"])
async def test_idle_workers_after_an_outage(laboratory: Laboratory, what: str) -> None:
    """They answer a second after the end, whether they met the outage or not, and however it ended."""
    lab = await laboratory(nodes=1, store="redis" if what == "master" else what)
    if what == "master":
        server = Server(lab.host("master"), lab.database.master.process)
    else:
        server = Server(lab.host("store1"), lab.store.process)
    failed: dict[tuple[str, bool], list[str]] = {}
    for way in WAYS:
        for is_met in (True, False):
            assert await _visit_all(lab) == []
            await asyncio.to_thread(server.begin, way)
            if is_met:
                await _visit_all(lab)
            await asyncio.sleep(6)  # longer than what is pinged after some seconds of silence needs
            await asyncio.to_thread(server.end, way)
            await asyncio.sleep(1)
            failed[way, is_met] = await _visit_all(lab)
            await asyncio.sleep(1)
    assert {case: found for case, found in failed.items() if found} == {}


async def _visit_all(lab: Lab) -> list[str]:
    """Send requests to every worker of the first node, each on a connection of its own; return the failures."""
    url = f"http://{lab.nodes[0].address}"
    crowd = Crowd(url, kept=True)
    clients = [crowd.visit_once(f"once{number}") for number in range(8)]
    await asyncio.gather(*clients)
    return [f"{each.what} {each.status} {each.detail}" for each in crowd.failures]
