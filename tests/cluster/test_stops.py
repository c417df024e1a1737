"""Nodes that stop, restart and die behind nginx, while visitors check every promise."""

import asyncio

import pytest

from tests.cluster.conftest import Laboratory
from tests.cluster.visitors import Crowd

pytestmark = [pytest.mark.timeout(180), pytest.mark.redis, pytest.mark.mariadb]


async def test_a_killed_node_costs_no_promise(laboratory: Laboratory) -> None:
    lab = await laboratory()
    async with Crowd(lab.url) as crowd:
        await asyncio.sleep(1)
        await asyncio.to_thread(lab.nodes[0].process.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(lab.nodes[0].process.start)
        await asyncio.sleep(1)
    lab.check(crowd)
    assert crowd.total > 200
    assert crowd.failed("GET") == []
