"""Nodes that stop, restart, renew and die behind nginx, while visitors check every promise.

The figures in `docs/deploy/outages.md` are what these tests print: `nox -s cluster -- -rP -k stops`.
"""

import asyncio
from pathlib import Path

import httpx2
import pytest
from tornado.websocket import websocket_connect

from tests.cluster.conftest import Laboratory
from tests.cluster.services import HealthChecks
from tests.cluster.visitors import Crowd
from tests.polling import until

pytestmark = [pytest.mark.timeout(180), pytest.mark.redis, pytest.mark.mariadb]

RESETS = 3
"""POSTs that a node's stop may cost: requests that were sent on a connection which the node was closing just then."""


def told(case: str, crowd: Crowd) -> None:
    """Print one row of the table in the documentation."""
    gets, posts = crowd.failed("GET"), crowd.failed("POST")
    print(f"| {case} | {crowd.total} | {len(gets)} | {len(posts)} | {len(crowd.wrong)} |")  # noqa: T201  see above
    for failure in crowd.failures:
        print(f"    {failure}")  # noqa: T201


async def test_a_killed_node_costs_no_promise(laboratory: Laboratory) -> None:
    lab = await laboratory()
    async with Crowd(lab.url) as crowd:
        await asyncio.sleep(1)
        await asyncio.to_thread(lab.nodes[0].process.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(lab.nodes[0].process.start)
        await asyncio.sleep(1)
    told("node killed and started", crowd)
    lab.check(crowd)
    assert crowd.total > 200
    assert crowd.failed("GET") == []


@pytest.mark.parametrize("streams", [pytest.param(0, marks=pytest.mark.slow), 2])
async def test_a_node_s_stop_fails_no_get(laboratory: Laboratory, streams: int) -> None:
    """Also with event streams open, which are told of the stop and do not hold it up."""
    lab = await laboratory()
    async with Crowd(lab.url) as crowd:
        listeners = [asyncio.create_task(_listen(lab.nodes[0].address)) for _ in range(streams)]
        await asyncio.sleep(2)
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(lab.nodes[0].stop)
        stopped = asyncio.get_running_loop().time() - began
        await asyncio.sleep(2)
    told(f"node stopped, {streams} event streams open", crowd)
    lab.check(crowd)
    assert stopped < 8, "a stop does not wait for streams"
    assert all("event: bye" in text for text in await asyncio.gather(*listeners))
    assert crowd.failed("GET") == []
    assert len(crowd.failed("POST")) <= RESETS


@pytest.mark.slow
async def test_restarts_of_two_nodes_fail_no_get(laboratory: Laboratory) -> None:
    lab = await laboratory()
    async with Crowd(lab.url) as crowd:
        await asyncio.sleep(1)
        for node in lab.nodes:
            await asyncio.to_thread(node.restart)
            await asyncio.sleep(3)
    told("two nodes restarted, 3 s apart", crowd)
    lab.check(crowd)
    assert crowd.failed("GET") == []
    assert len(crowd.failed("POST")) <= 2 * RESETS


@pytest.mark.slow
async def test_with_a_drain_and_a_checking_proxy_nothing_fails(laboratory: Laboratory) -> None:
    """The proxy has taken the node out before it stops listening."""
    lab = await laboratory(options=("--drain_seconds=3",))
    assert lab.nginx is not None
    checks = HealthChecks(lab.nginx, [node.address for node in lab.nodes])
    async with checks, Crowd(lab.url) as crowd:
        await asyncio.sleep(1)
        for node in lab.nodes:
            await asyncio.to_thread(node.restart)
            await asyncio.sleep(3)
    told("two nodes restarted, drained for 3 s, checking proxy", crowd)
    lab.check(crowd)
    assert crowd.failures == []


@pytest.mark.slow
async def test_a_renewal_of_the_workers_fails_nothing_but_resets(laboratory: Laboratory) -> None:
    lab = await laboratory()
    async with Crowd(lab.url) as crowd:
        await asyncio.sleep(1)
        for node in lab.nodes:
            node.renew()
        await until(lambda: all(node.log.count(" has ended (process") >= 2 for node in lab.nodes), 60)
        await asyncio.sleep(1)
    told("workers of two nodes renewed (SIGHUP)", crowd)
    lab.check(crowd)
    assert crowd.failed("GET") == []
    assert len(crowd.failed("POST")) <= 2 * RESETS


@pytest.mark.slow
async def test_sockets_are_told_whether_to_come_back(laboratory: Laboratory) -> None:
    """1012 at a renewal, 1001 at a stop, through nginx."""
    lab = await laboratory(nodes=1)
    for end, code in ((lab.nodes[0].renew, 1012), (lab.nodes[0].stop, 1001)):
        socket = await websocket_connect(f"ws://{lab.url.removeprefix('http://')}/echo")
        await socket.write_message("here")
        assert await socket.read_message() == "here"
        ending = asyncio.create_task(asyncio.to_thread(end))
        async with asyncio.timeout(20):
            assert await socket.read_message() is None
        assert socket.close_code == code
        socket.close()
        await ending
        if code == 1012:
            await until(lambda: lab.nodes[0].log.count(" has ended (process") >= 2, 60)


@pytest.mark.slow
async def test_background_work_is_finished_before_the_end(laboratory: Laboratory, tmp_path: Path) -> None:
    """Twenty jobs of 1.5 s that have just begun."""
    lab = await laboratory(nodes=1)
    paths = [tmp_path / f"job{number}" for number in range(20)]
    async with httpx2.AsyncClient(base_url=lab.url, trust_env=False) as client:
        for path in paths:
            assert (await client.post("/later", data={"path": str(path)})).status_code == 200
    await asyncio.to_thread(lab.nodes[0].stop)
    assert [path.name for path in paths if not path.exists()] == []
    assert "was dropped at the stop" not in lab.nodes[0].log


@pytest.mark.slow
async def test_background_work_beyond_the_graceful_time_is_named(laboratory: Laboratory, tmp_path: Path) -> None:
    lab = await laboratory(nodes=1, options=("--graceful_timeout=0.2",))
    async with httpx2.AsyncClient(base_url=lab.url, trust_env=False) as client:
        await client.post("/later", data={"path": str(tmp_path / "job")})
    await asyncio.to_thread(lab.nodes[0].stop)
    assert not (tmp_path / "job").exists()
    assert "The background task _write_later(" in lab.nodes[0].log


async def _listen(address: str) -> str:
    """Return all that an event stream of the node at *address* sends."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(f"http://{address}/stream")).text
