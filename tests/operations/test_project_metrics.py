"""The project's own metrics: of one process, and of workers added up, those that have ended included."""

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, Metric

from tests.http.wire import Client, get
from tests.operations.test_metrics import RUNSERVER, SETTING, Samples, made, page, samples
from tests.polling import until
from tests.webserver.project import Project, RunningServer
from torngas_aio.application import Application
from torngas_aio.http import worker as worker_module
from torngas_aio.http.worker import Worker
from torngas_aio.operations import metrics, project_metrics
from torngas_aio.operations.counts import Counts
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


async def test_a_worker_that_ends_tells_all_that_it_has_counted(
    registered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = Gauge("own_many", "Many.", ["number"])
    registered(many)
    for number in range(4000):
        many.labels(f"{number:0200}").set(1)  # far more than a socket takes at once
    ours, theirs = socket.socketpair()
    worker = Worker(0, 2, [], theirs)
    monkeypatch.setattr(metrics, "current_worker", lambda: worker)
    monkeypatch.setattr(worker_module, "_resident_bytes", lambda: 1)  # reads a file
    counts, own = Counts(Application([]), [1.0], [1.0]), ProjectMetrics()
    counts._sessions = 7
    worker.counts = lambda: {"counts": counts.take(), "now": counts.now(), **own.changes()}

    def read_all() -> list[dict[str, Any]]:
        with ours, ours.makefile("rb") as lines:
            return [json.loads(line) for line in lines]

    reading = asyncio.create_task(asyncio.to_thread(read_all))
    with theirs:
        await metrics._close(counts, own)
    told = await reading
    assert sum(each.get("counts", {}).get("sessions", 0) for each in told) == 7
    assert sum(key.startswith("own_many\n") for each in told for key in each.get("own", ())) == 4000


@pytest.mark.parametrize(("label", "value"), [("\udcff", 1.0), (7, 1.0), (None, 1.0), (b"a", 1.0), ("a", None)])
async def test_a_sample_that_cannot_be_written_is_left_out_alone(
    registered: Any, caplog: pytest.LogCaptureFixture, label: Any, value: Any
) -> None:
    family = CounterMetricFamily("own_odd", "\udcff", labels=["shop"])
    for each in ("before", label, "behind"):
        family.add_metric([each], value if each is label else 1.0)

    class Odd:
        def collect(self) -> list[Metric]:
            return [family]

    odd = Odd()
    project_metrics._said.clear()
    REGISTRY.register(odd)
    registered(odd)
    own = ProjectMetrics()
    await read(own)
    for found in ({"own": own.changes()["own"]}, {}):  # of workers, and of this process
        text = await asyncio.to_thread(metrics._page, json.loads(json.dumps(found)), [1.0], [1.0])
        told = {labels: number for (name, labels), number in samples(text.decode()).items() if name == "own_odd_total"}
        assert told == {frozenset({("shop", each)}): 1.0 for each in ("before", "behind")}
    assert caplog.text.count("The metric own_odd") == 1
    assert len(family.samples) == 3


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
        await until(lambda: server.log.count(" is ready") >= 2)
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
            async def told() -> Samples | None:
                found = await page(port)
                return found if found.get(("shop_orders_total", frozenset({("kind", "book")}))) == asked else None

            found: Samples = await until(told)
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
