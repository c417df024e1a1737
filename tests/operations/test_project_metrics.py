"""The project's own metrics: of one process, and of workers added up, those that have ended included."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, Metric

from tests.http.wire import Client, get
from tests.operations.test_metrics import RUNSERVER, SETTING, Samples, made, page, samples
from tests.webserver.project import Project, RunningServer
from torngas_aio.operations import project_metrics
from torngas_aio.operations.project_metrics import ProjectMetrics, collected
from torngas_aio.testing import TestClient


class Fails:
    def collect(self) -> Iterator[Metric]:
        raise ZeroDivisionError


@pytest.fixture
def registered() -> Iterator[Any]:
    """Have what is made here taken out of the registry again."""
    found: list[Any] = []
    yield found.append
    for each in found:
        REGISTRY.unregister(each)


async def read(own: ProjectMetrics) -> None:
    own._values = await asyncio.to_thread(project_metrics._read)


async def test_only_what_has_changed_is_told_and_what_is_gone(registered: Any) -> None:
    orders = Counter("own_orders", "Orders.", ["shop"])
    registered(orders)
    own = ProjectMetrics()
    orders.labels("a").inc(2)
    await read(own)
    key = 'own_orders\nown_orders_total\n{"shop": "a"}'
    first = own.changes()["own"]
    assert first["#own_orders"] == ["counter", "Orders."]
    assert first[key] == 2.0
    assert not [name for name in first if "process_" in name or "python_" in name or "_created" in name]
    assert own.changes() == {}
    orders.labels("a").inc()
    await read(own)
    assert own.changes() == {"own": {key: 3.0}, "gone": []}
    orders.remove("a")
    await read(own)
    assert own.changes() == {"own": {}, "gone": [key]}


async def test_a_million_series_are_cut_and_sent_bit_by_bit(
    registered: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(project_metrics, "MAX_SAMPLES", 50)
    many = Gauge("own_many", "Many.", ["number"])
    registered(many)
    for number in range(200):
        many.labels(str(number)).set(1)
    own = ProjectMetrics()
    await read(own)
    sent = [len(own.changes(20)["own"]) for _ in range(2)]
    sent.append(len(own.changes(20).get("own", ())))
    assert (sent[:2], sum(sent)) == ([20, 20], 50)
    assert own.changes(20) == {}
    assert "more than 50" in caplog.text


async def test_a_collector_that_fails_leaves_the_page_and_what_came_before_it(
    registered: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = Counter("own_good", "Good.")
    registered(good)
    bad: Any = Fails()
    monkey = CounterMetricFamily("own_bad", "Bad.")
    bad.describe = lambda: [monkey]
    REGISTRY.register(bad)
    registered(bad)
    good.inc()
    assert "own_good" in [family.name for family in await asyncio.to_thread(collected)]
    async with TestClient(made()) as client:
        answer = await client.get("/-/metrics")
        assert answer.status_code == 200
        assert samples(answer.text)["own_good_total", frozenset()] == 1
        assert "torngas_requests_total" in answer.text
    assert caplog.text.count("A collector of the project's metrics failed") == 1


OWN_URLS = """
import os
from prometheus_client import Counter, Gauge, Histogram
from torngas_aio.handler import WebHandler

orders = Counter("shop_orders", "Orders.", ["kind"])
sizes = Histogram("shop_sizes", "Sizes.", buckets=(1, 10))
stock = Gauge("shop_stock", "Stock.")
stock.set(7)

class Order(WebHandler):
    async def get(self):
        orders.labels("book").inc()
        sizes.observe(5)
        self.write(str(os.getpid()))

urls = [("/pid", Order, {}, "order")]
"""


@pytest.mark.timeout(120)
async def test_the_page_of_two_workers_has_the_sums_of_both_and_of_those_that_have_ended(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for name, text in {
        "runserver.py": RUNSERVER, "conf/__init__.py": "", "conf/setting.py": SETTING, "site_app/__init__.py": "",
        "site_app/urls.py": OWN_URLS,
    }.items():  # fmt: skip
        project.write(name, text)
    command = ["runserver.py", "--port=0", "--address=127.0.0.1", "--workers=2", "--settings=conf.setting"]
    server = await asyncio.to_thread(RunningServer(project, command, {}).__enter__)
    try:
        while server.log.count(" is ready") < 2:
            await asyncio.sleep(0.02)
        port, asked = int(server.address.rpartition(":")[2]), 0

        async def order(times: int) -> set[str]:
            nonlocal asked
            found = set()
            for _ in range(times):
                async with await Client.connect(("127.0.0.1", port)) as client:
                    found.add((await client.ask(get("/pid"))).body.decode())
                asked += 1
            return found

        async def whole() -> Samples:
            while (found := await page(port)).get(("shop_orders_total", frozenset({("kind", "book")}))) != asked:
                await asyncio.sleep(0.05)
            return found

        while len(await order(4)) < 2:
            pass
        found = await whole()
        while found.get(("shop_stock", frozenset())) != 14:
            found = await page(port)
        server.terminate(signal.SIGHUP)
        while server.log.count(" has ended (process") < 2:
            await order(2)
        found = await whole()
        assert found["shop_sizes_bucket", frozenset({("le", "10.0")})] == asked
        assert found["shop_sizes_bucket", frozenset({("le", "1.0")})] == 0
        assert found["shop_sizes_sum", frozenset()] == 5 * asked
    finally:
        server.terminate()
        await asyncio.to_thread(server.__exit__, None, None, None)
