"""A switchover of MariaDB, and replicas that lag, while visitors check every promise.

The figures in `docs/deploy/outages.md` are what these tests print: `nox -s cluster -- -rP -k databases`.
"""

import asyncio

import pytest

from tests.cluster.conftest import Laboratory
from tests.cluster.test_stops import told
from tests.cluster.visitors import Crowd

pytestmark = [pytest.mark.timeout(180), pytest.mark.redis, pytest.mark.mariadb]

SWITCH_SECONDS = 3.0
"""From the moment in which the old master takes no more writes, requests may fail for so long."""


async def test_a_switchover_needs_no_operator_s_kill(laboratory: Laboratory) -> None:
    """The master's name moves to a replica; pooled connections stay with the old master until nodes notice."""
    lab = await laboratory()
    loop = asyncio.get_running_loop()
    async with Crowd(lab.url) as crowd:
        await asyncio.sleep(2)
        began = loop.time()
        await asyncio.to_thread(lab.database.switch_over)
        lab.name_master()
        switched = loop.time() - began
        await asyncio.sleep(SWITCH_SECONDS + 3)
    seconds = max((failure.at for failure in crowd.failures), default=began) - began
    told(f"switchover of MariaDB: took {switched:.1f} s, failed for {seconds:.1f} s", crowd)
    lab.check(crowd)
    assert {failure.status for failure in crowd.failures} <= {503}
    assert crowd.failed("GET") == []
    assert all(failure.at - began < switched + SWITCH_SECONDS for failure in crowd.failures)
    for node in lab.nodes:
        assert node.log.count("is now read-only") <= 2  # once a worker
        assert "Traceback" not in node.log


@pytest.mark.slow
@pytest.mark.parametrize("max_lag", [0, 1])
async def test_visitors_read_what_they_wrote_while_replicas_lag(laboratory: Laboratory, max_lag: float) -> None:
    """Far longer than STICK_TO_MASTER says, with nodes whose clocks differ: the position counts, not the clock."""
    lab = await laboratory(STICK_TO_MASTER=0.01, MAX_LAG=max_lag, clocks=(0, 6))
    await asyncio.to_thread(lab.database.delay, 16)
    async with Crowd(lab.url, pause=0.3) as crowd:
        await asyncio.sleep(36)
        await asyncio.to_thread(lab.database.delay, 0)
        await asyncio.sleep(3)
    told("replicas lag 16 s for 36 s, clocks 6 s apart" + (", left out above 1 s" if max_lag else ""), crowd)
    await asyncio.to_thread(lab.database.wait_for_slaves)
    lab.check(crowd)
    assert crowd.failures == []
    logs = "".join(node.log for node in lab.nodes)
    assert ("left out until it has caught up" in logs) is bool(max_lag)
