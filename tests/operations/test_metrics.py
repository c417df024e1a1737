"""The metrics page: what it counts, for whom it is, and that the page of several workers adds up."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.http.wire import Client, get
from tests.operations.observers import URLS
from tests.polling import until
from tests.webserver.project import SECRET, Project, RunningServer
from torngas_aio import Application
from torngas_aio._cleanup import close_all
from torngas_aio.cache import caches
from torngas_aio.handler import WebHandler
from torngas_aio.http.worker_totals import add_counts
from torngas_aio.jobs import declaring, job, jobs
from torngas_aio.jobs.worker import run_message
from torngas_aio.operations import counts, metrics
from torngas_aio.operations.metrics import QueueSizes, add_metrics
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient
from torngas_aio.webserver.building import build_application


class Uses(WebHandler):
    async def get(self) -> None:
        await caches["here"].set("a", 1)
        await caches["here"].get("a")
        await caches["here"].get("absent")
        self.finish("used")


LOCAL = {"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache", "LOCATION": "metrics"}


def made() -> Application:
    application = Application([*URLS, ("/uses", Uses, {}, "uses")])
    add_metrics(application)
    return application


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(page: str) -> Samples:
    families = text_string_to_metric_families(page)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"torngas_{name}", frozenset(labels.items())))


async def scraped(client: TestClient, **headers: str) -> Samples:
    answer = await client.get("/-/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


async def test_requests_whose_stages_are_not_timed_are_counted_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(counts, "STAGES_EVERY", 3)
    async with TestClient(made()) as client:
        for _ in range(5):
            await client.get("/plain")
        found = await scraped(client)
    assert value(found, "requests_total", route="plain", method="GET", status="2xx") == 5
    assert value(found, "stage_seconds_count", route="plain", stage="method") == 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_requests_are_counted_by_route_method_and_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "STAGES_EVERY", 1)
    async with TestClient(made()) as client:
        for _ in range(3):
            await client.get("/plain")
        await client.post("/plain", content=b"x" * 500)
        await client.request("BREW", "/plain")
        await client.get("/unnamed/7")
        await client.get("/unnamed/8")
        await client.get("/fails")
        await client.get("/absent/by-the-client")
        found = await scraped(client)
    assert value(found, "requests_total", route="plain", method="GET", status="2xx") == 3
    assert value(found, "requests_total", route="plain", method="POST", status="2xx") == 1
    assert value(found, "requests_total", route="plain", method="other", status="4xx") == 1
    assert value(found, "requests_total", route=r"/unnamed/(?:\d+)", method="GET", status="2xx") == 2
    assert value(found, "requests_total", route="fails", method="GET", status="5xx") == 1
    assert value(found, "requests_total", route="(none)", method="GET", status="4xx") == 1
    assert value(found, "request_seconds_count", route="plain") == 5
    assert value(found, "request_seconds_bucket", route="plain", le="+Inf") == 5
    assert value(found, "request_bytes_sum", route="plain") == 500
    assert 600 < (value(found, "response_bytes_sum", route="plain") or 0) < 3000
    assert value(found, "stage_seconds_count", route="plain", stage="method") == 4
    assert value(found, "stage_seconds_count", route="plain", stage="send") == 5
    assert value(found, "refused_requests_total", reason="method not allowed") == 1
    assert value(found, "requests_in_progress", worker="0") == 1  # the scrape itself
    assert value(found, "loop_lag_seconds", worker="0") is not None
    assert not [key for key in found if "client" in str(key) or "BREW" in str(key)]


class Forgets(WebHandler):
    async def get(self) -> None:
        Uses.get(self)  # type: ignore[arg-type, unused-coroutine]
        self.finish("forgot")


async def test_forgotten_coroutines_are_counted() -> None:
    application = Application([("/forgets", Forgets)])
    add_metrics(application)
    async with TestClient(application, raise_errors=False) as client:
        before = value(await scraped(client), "unawaited_total")
        for _ in range(2):
            assert (await client.get("/forgets")).text == "forgot"
        after = value(await scraped(client), "unawaited_total")
    assert (before, after) == (0, 2)


async def test_our_own_routes_are_named_by_their_paths_and_take_no_name() -> None:
    with settings.override(METRICS={"enabled": True}, TORNADO_CONF={"cookie_secret": SECRET}):
        application = build_application(None, [("/figures", Uses, {}, "metrics")])
        async with TestClient(application) as client:
            for path in ("/-/live", "/-/metrics"):
                await client.get(path)
            found = await scraped(client)
    for path in ("/-/live", "/-/metrics"):
        assert value(found, "requests_total", route=path, method="GET", status="2xx") == 1
    assert application.reverse_url("metrics") == "/figures"


async def test_sockets_refusals_and_caches_are_counted() -> None:
    with settings.override(CACHES={"here": LOCAL}):
        async with TestClient(made()) as client:
            async with client.websocket("/echo"):
                found = await scraped(client)
                assert value(found, "websockets_open", worker="0") == 1
                assert value(found, "requests_in_progress", worker="0") == 1
            async with await Client.connect(("127.0.0.1", client.port)) as wire:
                assert (await wire.ask(b"GET / HTTP/9.9\r\n\r\n")).status == 505
            await client.get("/uses")
            await client.get("/uses")
            found = await scraped(client)
    assert value(found, "requests_total", route="echo", method="GET", status="1xx") == 1
    assert value(found, "request_seconds_count", route="echo") == 0
    assert value(found, "refused_requests_total", reason="version not served") == 1
    assert value(found, "cache_keys_total", cache="here", result="hit") == 2
    assert value(found, "cache_keys_total", cache="here", result="miss") == 2
    assert value(found, "cache_errors_total", cache="here") == 0
    assert value(found, "cache_seconds_count", cache="here") == 6


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        (None, {}, 200),
        (None, {"X-Forwarded-For": "127.0.0.1"}, 404),
        (None, {"Forwarded": "for=127.0.0.1"}, 404),
        (None, {"Host": "evil.example"}, 404),
        (None, {"Host": "evil.example", "Authorization": "Bearer None"}, 404),
        ("t0ken", {"Host": "evil.example", "Authorization": "Bearer t0ke"}, 404),
        ("t0ken", {"Host": "evil.example", "Authorization": "Bearer t\u00f6ken"}, 404),
        ("t0ken", {"Host": "prod.example", "Authorization": "Bearer t0ken"}, 200),
        ("t0ken", {"X-Forwarded-For": "8.8.8.8", "Authorization": "Bearer t0ken"}, 200),
    ],
)
async def test_the_page_is_for_this_machine_or_holders_of_the_token(
    token: str | None, headers: dict[str, str], status: int
) -> None:
    with settings.override(METRICS={"token": token}):
        application = made()
    async with TestClient(application) as client:
        encoded = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
        assert (await client.get("/-/metrics", headers=encoded)).status_code == status


def test_counts_add_up() -> None:
    into: dict[str, Any] = {"a": {"x": 1}, "l": [1, 2.5], "n": 1}
    add_counts(into, {"a": {"x": 2, "y": 3}, "l": [1, 1], "n": 2, "new": {"z": [1]}})
    assert into == {"a": {"x": 3, "y": 3}, "l": [2, 3.5], "n": 3, "new": {"z": [1]}}


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from torngas_aio.exception import ConfigError
    from torngas_aio.webserver.building import build_application

    monkeypatch.setitem(sys.modules, "torngas_aio.operations.metrics", None)
    with settings.override(METRICS={"enabled": True}), pytest.raises(ConfigError, match=r"torngas-aio\[prometheus\]"):
        build_application(None, [])


RUNSERVER = "from torngas_aio.webserver import run\n\nif __name__ == '__main__':\n    run()\n"
SETTING = f"""
INSTALLED_APPS = ("site_app",)
METRICS = {{"enabled": True}}
LOGGING = ()
TORNADO_CONF = {{"cookie_secret": "{SECRET}"}}
"""
SITE_URLS = """
import os
from torngas_aio.handler import WebHandler

class Pid(WebHandler):
    async def get(self):
        self.write(str(os.getpid()))

urls = [("/pid", Pid, {}, "pid")]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project(tmp_path)
    for name, text in {
        "runserver.py": RUNSERVER, "conf/__init__.py": "", "conf/setting.py": SETTING, "site_app/__init__.py": "",
        "site_app/urls.py": SITE_URLS,
    }.items():  # fmt: skip
        found.write(name, text)
    return found


async def load(port: int, requests: int, answered: Counter[str]) -> None:
    """Send *requests*, 25 on each connection."""
    for _ in range(requests // 25):
        async with await Client.connect(("127.0.0.1", port)) as client:
            for _ in range(25):
                answer = await client.ask(get("/pid"))
                assert answer.status == 200
                answered[answer.body.decode()] += 1
                if answer.headers.get("connection") == "close":
                    break


async def page(port: int) -> Samples:
    async with await Client.connect(("127.0.0.1", port)) as client:
        answer = await client.ask(b"GET /-/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert answer.status == 200
        return samples(answer.body.decode())


@pytest.mark.timeout(120)
async def test_the_page_of_four_workers_adds_up_to_what_the_clients_counted(project: Project) -> None:
    """Those included that were answered by workers that have ended."""
    command = ["runserver.py", "--port=0", "--address=127.0.0.1", "--workers=4", "--settings=conf.setting"]
    server = await asyncio.to_thread(RunningServer(project, command, {}).__enter__)
    answered: Counter[str] = Counter()
    try:
        await until(lambda: server.log.count(" is ready") >= 4)
        port = int(server.address.rpartition(":")[2])
        await asyncio.gather(*(load(port, 200, answered) for _ in range(8)))
        server.terminate(signal.SIGHUP)
        while server.log.count(" has ended (process") < 4:
            await load(port, 25, answered)
        assert len(answered) > 4
        labels = {"route": "pid", "method": "GET", "status": "2xx"}

        async def all_counted() -> Samples | None:
            found = await page(port)
            counted = value(found, "requests_total", **labels) or 0
            assert counted <= sum(answered.values())
            return found if counted == sum(answered.values()) else None

        found = await until(all_counted)
        assert value(found, "request_seconds_count", route="pid") == sum(answered.values())
        assert value(found, "worker_restarts_total", reason="renewed") == 4
        assert value(found, "worker_failed_starts_total") == 0
        assert value(await page(port), "workers", state="ready") == 4
        assert value(found, "workers", state="hung") == 0

        async def all_tell() -> bool:
            found = await page(port)
            return {dict(key[1])["worker"] for key in found if key[0] == "torngas_websockets_open"} == set("0123")

        await until(all_tell)
    finally:
        server.terminate()
        await asyncio.to_thread(server.__exit__, None, None, None)


async def test_a_parent_that_does_not_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute:
        counts: Any = None

        def report(self) -> None: ...

        async def totals(self) -> dict[str, Any]:
            raise TimeoutError

    monkeypatch.setattr(metrics, "current_worker", Mute)
    async with TestClient(made()) as client:
        assert (await client.get("/-/metrics")).status_code == 503


@pytest.fixture(autouse=True)
async def _declared(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(declaring, "declared", {})
    monkeypatch.setattr("torngas_aio.jobs.worker.declared", declaring.declared)
    monkeypatch.setattr("torngas_aio.jobs.worker.declared", declaring.declared)
    monkeypatch.setattr("torngas_aio.jobs.worker.LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(metrics, "ASK_EVERY_SECONDS", 0.0)
    yield
    await close_all()


async def test_jobs_are_counted_by_name_from_their_queue_to_their_end() -> None:
    go = asyncio.Event()

    @job(name="mail", queue="post")
    async def mail(number: int) -> None:
        await go.wait()

    @job(name="fails", retries=1)
    async def fails() -> None:
        raise ValueError("secret of the job")

    class Enqueues(WebHandler):
        async def get(self) -> None:
            for number in range(3):
                await mail.enqueue(number)
            await fails.enqueue()
            self.finish("sent")

    application = Application([("/", Enqueues, {}, "front")])
    add_metrics(application)
    async with TestClient(application) as client:
        await client.get("/")

        async def told(job: str, event: str, count: int) -> Samples | None:
            found = await scraped(client)
            return found if value(found, "jobs_total", job=job, event=event) == count else None

        found = await until(lambda: told("fails", "dead", 1))
        assert value(found, "jobs_running", worker="0", job="mail") == 3
        assert value(found, "job_queue_jobs", jobs="default", queue="post", state="running") == 3
        assert value(found, "job_store_up", jobs="default") == 1
        assert [
            value(found, "jobs_total", job="fails", event=event)
            for event in ("enqueued", "started", "failed", "retried", "dead", "succeeded")
        ] == [1, 2, 2, 1, 1, None]
        assert value(found, "job_seconds_count", job="fails") == 2
        go.set()
        found = await until(lambda: told("mail", "succeeded", 3))
        assert value(found, "jobs_running", worker="0", job="mail") is None
        assert not [key for key in found if "secret" in str(key)]


async def test_a_name_from_the_store_that_is_not_declared_is_no_label() -> None:
    application = Application([])
    counts = add_metrics(application)
    async with TestClient(application):
        for number in range(50):
            data = b'{"task_id": "1", "task_name": "evil%d", "labels": {"queue_name": "q"}, "args": [], "kwargs": {}}'
            await run_message(jobs["default"], "q", data % number, lambda: None)
        assert counts.peek()["jobs"] == {"(none)": {"dead": 50}}


async def test_a_job_that_its_worker_gives_back_does_not_run_any_more() -> None:
    started = asyncio.Event()

    @job(name="long")
    async def long() -> None:
        started.set()
        await asyncio.sleep(60)

    application = Application([])
    counts = add_metrics(application)
    async with TestClient(application):
        data = jobs["default"].formatter.dumps(long.message()).message
        running = asyncio.create_task(run_message(jobs["default"], "default", data, lambda: None))
        await started.wait()
        assert counts.now()["jobs"] == {"long": 1}
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert counts.now()["jobs"] == {}
        assert counts.peek()["jobs"]["long"]["given back"] == 1


async def test_a_store_that_does_not_answer_holds_no_scrape_up(monkeypatch: pytest.MonkeyPatch) -> None:
    @job(name="any")
    async def any_job() -> None: ...

    asked = []

    async def sizes(*args: Any) -> Any:
        asked.append(1)
        await asyncio.Event().wait()

    monkeypatch.setattr("torngas_aio.jobs.memory.MemoryJobs.sizes", sizes)
    monkeypatch.setattr(metrics, "DEADLINE_SECONDS", 0.01)
    async with TestClient(made()) as client:
        found = await scraped(client)
        assert value(found, "job_store_up", jobs="default") == 0
        assert not [key for key in found if "queue_jobs" in key[0]]
    monkeypatch.setattr(metrics, "ASK_EVERY_SECONDS", 60.0)
    sizes_of = QueueSizes(is_alone=True)
    assert await asyncio.gather(*(sizes_of.ask() for _ in range(5))) == [{"default": None}] * 5
    assert len(asked) == 2


async def test_without_jobs_nothing_is_asked_and_nothing_listens() -> None:
    from torngas_aio._job_events import job_listeners

    application = made()
    async with TestClient(application):
        await until(lambda: job_listeners)
        assert await QueueSizes(is_alone=True).ask() == {}
    assert not job_listeners
