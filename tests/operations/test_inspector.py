"""The inspector over sockets: what it records of a request, how much of it, and who may see it."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders
from tornado.web import RequestHandler, url

from tests.db.conftest import sqlite
from tests.db.models import User
from tests.db.support import configured, prepared
from torngas_aio import Application
from torngas_aio.cache import caches
from torngas_aio.db.basedb import database
from torngas_aio.dispatch import Signal
from torngas_aio.exception import Http404
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.operations.access import is_own_page
from torngas_aio.operations.inspector import Inspector, record
from torngas_aio.session.session import Session
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

__all__ = ["sqlite"]

SECRET = "a long random text for these tests"
happened = Signal()


async def on_happened(**kwargs: Any) -> None: ...


class Guard(BaseMiddleware):
    """A guard that refuses strangers, and has a response hook."""

    async def process_request(self, handler: Any, clear: Any) -> Any:
        if "no" in handler.request.query_arguments:
            handler.set_status(403)
            await handler.finish("no")
        return None

    async def process_response(self, handler: Any, clear: Any, chunk: Any) -> None: ...


class Front(WebHandler):
    async def get(self, *args: str) -> None:
        logging.getLogger("shop").warning("The db_password=%s was asked for.", "hunter2")
        await asyncio.to_thread(logging.getLogger("shop").error, "from a thread")
        self.write("front")


class Hidden(WebHandler):
    async def get(self) -> None:
        self.write("never")


class Broken(WebHandler):
    async def get(self) -> None:
        raise ValueError("token=abcdef went wrong")


class Absent(ApiHandler):
    async def get(self) -> None:
        raise Http404("not today")


class Statements(WebHandler):
    async def get(self) -> None:
        for number in range(4):
            await User.Q.filter(User.id == number).all()
        User.session.add(User(name="Ann"))
        await User.session.flush()
        self.write("read")


class Small(WebHandler):
    async def get(self) -> None:
        db = self.application.settings["small"]
        await db.query("CREATE TABLE logins (name text, password text)")
        await db.insert("logins", name="Ann", password="hunter2")
        for name in ("a", "b", "c"):
            await db.select("logins", where={"name": name})
        with pytest.raises(Exception, match="no such table"):
            await db.query("SELECT * FROM absent")
        async for _ in db.select("logins"):
            pass
        self.write("small")


class Cached(WebHandler):
    async def get(self) -> None:
        cache = caches["default"]
        await cache.get("none")
        await cache.set("some", 1)
        await cache.get("some")
        await cache.get_many(["some", "none", "other"])
        await cache.get_or_set("made", 7)
        await happened.send(self)
        self.write("cached")


class Visits(WebHandler):
    async def get(self) -> None:
        self.session["visits"] = (self.session["visits"] or 0) + 1
        self.session["api_token"] = "hunter2"
        self.session.pop("visits")
        self.write(self.session.sessionid or "")


class Socket(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


RULES: list[Any] = [
    (r"/", Front),
    (r"/post/(\d+)", Front),
    (r"/post/1", Hidden),
    (r"/broken", Broken),
    (r"/absent", Absent),
    (r"/statements", Statements),
    (r"/small", Small),
    (r"/cached", Cached),
    (r"/visits", Visits),
    (r"/socket", Socket),
    (r"/quite/(.*)", Front),
]


def made(*middlewares: Any, **options: Any) -> tuple[Application, Inspector]:
    application = Application(RULES, middlewares=middlewares or (Guard,), debug=True, autoreload=False, **options)
    return application, Inspector(application)


@contextmanager
def project(**values: Any) -> Iterator[None]:
    conf = {"cookie_secret": SECRET}
    with settings.override(DEBUG=True, TORNADO_CONF=conf, **values):
        yield


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    application, _ = made()
    with project():
        async with TestClient(application) as client:
            yield client


async def last(client: TestClient) -> dict[str, Any]:
    """What is shown of the last request, once it has ended."""
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = (await client.get(f"/-/inspector/requests/{await count(client)}")).json()
            if found["ms"] is not None:
                return found
            await asyncio.sleep(0.01)


async def count(client: TestClient) -> int:
    async with client.stream("GET", "/-/inspector/events") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                return max((each["id"] for each in json.loads(line[5:])), default=0)
    raise AssertionError("no event")


def of_kind(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in found["entries"] if entry["kind"] == kind]


async def test_a_request_is_recorded_with_its_hooks_in_order_and_their_times(client: TestClient) -> None:
    await client.get("/post/7?page=2&token=abcdef")
    found = await last(client)
    assert (found["method"], found["url"], found["status"]) == ("GET", "/post/7?page=2&token=••••••••", 200)
    assert (found["pattern"], found["handler"]) == (r"/post/(\d+)", f"{__name__}.Front")
    stages = of_kind(found, "stage")
    assert [entry["title"].removeprefix(f"{__name__}.") for entry in stages] == [
        "Guard.process_request", "Front.get", "Guard.process_response", "send the answer",
    ]  # fmt: skip
    assert all(0 <= entry["at"] <= found["ms"] and 0 <= entry["ms"] <= found["ms"] for entry in stages)
    headers = dict(found["request"]["Headers"])
    assert headers["Host"].startswith("127.0.0.1")


async def test_log_lines_are_recorded_from_threads_too_and_masked(client: TestClient) -> None:
    await client.get("/")
    lines = of_kind(await last(client), "log")
    assert [line["title"] for line in lines] == ["The db_password=•••••••• was asked for.", "from a thread"]
    assert [line["level"] for line in lines] == ["WARNING", "ERROR"]
    assert Path(lines[0]["place"].rpartition(":")[0]).name == "test_inspector.py"


@pytest.mark.parametrize(
    ("path", "reasons"),
    [
        ("/post/1", {r"/post/(\d+)": "taken", "/post/1": "matches too, and comes later"}),
        ("/post/x", {r"/post/(\d+)": r"after /post/ it wants (\d+), the path has x"}),
        ("/quite/another/address/7", {r"/quite/(.*)": "taken"}),
        ("/post", {r"/post/(\d+)": r"after / it wants post/(\d+), the path has post"}),
        ("/post/5/edit", {r"/post/(\d+)": r"after /post/ it wants (\d+), the path has 5/edit"}),
    ],
)
async def test_the_route_is_told_and_why_others_did_not_match(
    client: TestClient, path: str, reasons: dict[str, str]
) -> None:
    await client.get(path)
    candidates = (await last(client))["candidates"]
    assert {each["pattern"]: each["reason"] for each in candidates}.items() >= reasons.items()
    assert candidates[0]["is_taken"] == ("taken" in reasons.values())


async def test_an_exception_is_told_with_its_place_and_the_error_page_links_to_it(client: TestClient) -> None:
    page = (await client.get("/broken", headers={"Accept": "text/html"})).text
    found = await last(client)
    assert f'href="/-/inspector#/requests/{found["id"]}"' in page
    (error,) = found["errors"]
    assert (error["type"], error["message"]) == ("ValueError", "token=•••••••• went wrong")
    own = error["frames"][0]
    assert (own["function"], own["is_own"]) == ("get", True)
    assert own["source"].startswith("raise ValueError")
    assert client.errors  # who asked before is still told
    answer = await client.get("/absent", headers={"Accept": "application/json"})
    assert answer.json()["inspected_at"] == f"/-/inspector#/requests/{found['id'] + 1}"


async def test_statements_are_told_with_server_role_and_place_and_repeated_ones_pointed_out(sqlite: Any) -> None:
    application, _ = made("torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware")
    with configured(sqlite), project():
        async with prepared(), TestClient(application) as client:
            assert (await client.get("/statements")).status_code == 200
            found = await last(client)
    statements = of_kind(found, "sql")
    reads = [entry for entry in statements if entry["title"].startswith("SELECT")]
    assert {(entry["role"], entry["database"]) for entry in reads} == {("slave", "default")}
    assert {entry["role"] for entry in statements if entry["title"].startswith("INSERT")} == {"master"}
    assert reads[0]["server"].endswith("/default")
    assert reads[0]["place"].partition(":")[0].endswith("test_inspector.py")
    assert [entry["parameters"] for entry in reads] == ["(0)", "(1)", "(2)", "(3)"]
    (repeat,) = found["repeats"]
    assert (repeat["count"], repeat["is_same"]) == (4, False)
    assert found["repeated"] == 4
    assert found["sql_ms"] > 0


async def test_the_small_database_is_told_as_well_and_secret_columns_are_masked() -> None:
    application, _ = made(small=database(dbn="sqlite", db=":memory:"))
    with project():
        async with TestClient(application) as client:
            assert (await client.get("/small")).status_code == 200
            found = await last(client)
    statements = of_kind(found, "sql")
    assert [entry["title"].split()[0] for entry in statements] == ["CREATE", "INSERT", *["SELECT"] * 5]
    assert "hunter2" not in json.dumps(found)
    assert statements[1]["parameters"] == "••••••••"
    assert "no such table" in statements[5]["error"]
    assert [repeat["count"] for repeat in found["repeats"]] == [3]


@pytest.mark.parametrize("backend", ["localcache.LocMemCache", "filecache.FileBasedCache"])
async def test_cache_calls_are_told_with_hit_or_miss_and_signals_with_receivers(backend: str, tmp_path: Path) -> None:
    application, _ = made()
    happened.connect(on_happened)
    entry = {"BACKEND": f"torngas_aio.cache.backends.{backend}", "LOCATION": str(tmp_path)}
    try:
        with project(CACHES={"default": entry}):
            async with TestClient(application) as client:
                assert (await client.get("/cached")).status_code == 200
                found = await last(client)
    finally:
        happened.disconnect(on_happened)
    calls = [(entry["operation"], entry["outcome"]) for entry in of_kind(found, "cache")]
    assert calls[:3] == [("get", "miss"), ("set", ""), ("get", "hit")]
    assert ("add", "") in calls
    assert {entry["alias"] for entry in of_kind(found, "cache")} == {"default"}
    (signal,) = of_kind(found, "signal")
    assert (signal["title"], signal["receivers"]) == (f"{__name__}.happened", "on_happened")


async def test_the_session_is_told_and_neither_its_id_nor_secrets_in_it() -> None:
    cache = {"default": {"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache"}}
    application, _ = made("torngas_aio.middleware.session.SessionMiddleware")
    with project(CACHES=cache, SESSION={"session_cache_alias": "default", "secret_key": SECRET}):
        async with TestClient(application) as client:
            first = await client.get("/visits")
            again = await client.get("/visits")
            found = await last(client)
    used = [(entry["operation"], entry["title"], entry["value"]) for entry in of_kind(found, "session")]
    assert used == [
        ("get", "visits", "None"), ("set", "visits", "1"), ("set", "api_token", "••••••••"), ("pop", "visits", "1"),
    ]  # fmt: skip
    shown = json.dumps(found)
    assert again.text == first.text
    assert first.text not in shown
    assert "hunter2" not in shown
    assert not any(value in shown for value in client.cookies.values())
    assert {(entry["title"], entry["place"]) for entry in of_kind(found, "cache")} == {("a session", "")}


async def test_changes_are_sent_as_they_happen(client: TestClient) -> None:
    async with client.stream("GET", "/-/inspector/events") as answer:
        lines = answer.aiter_lines()

        async def event() -> tuple[str, Any]:
            async with asyncio.timeout(10):
                name = ""
                async for line in lines:
                    if line.startswith("event:"):
                        name = line[7:]
                    elif line.startswith("data:"):
                        return name, json.loads(line[5:])
            raise AssertionError("no event")

        assert await event() == ("all", [])
        await client.get("/")
        status = None
        while status is None:
            name, (summary,) = await event()
            assert (name, summary["url"]) == ("changed", "/")
            status = summary.get("status")
        assert (status, summary["counts"]["log"]) == (200, 2)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_guards_of_the_project_shut_nobody_out_and_own_pages_are_not_recorded(
    client: TestClient, method: str
) -> None:
    answer = await client.request(method, "/-/inspector?no=1")
    assert answer.status_code == (200 if method == "GET" else 405)
    assert (await client.get("/-/inspector/")).status_code == 200
    assert (await client.get("/-/inspector/nothing")).status_code == 404
    assert await count(client) == 0
    assert (await client.get("/?no=1")).status_code == 403


@pytest.mark.parametrize("number", ["2", "0", "-1", "x", "9" * 30, "1/2", "%00"])
async def test_a_request_that_is_not_kept_is_answered_404(client: TestClient, number: str) -> None:
    await client.get("/")
    assert (await client.get(f"/-/inspector/requests/{number}")).status_code == 404


FILES = {"": "text/html", "/": "text/html", "/inspector.js": "text/javascript", "/inspector.css": "text/css"}


@pytest.mark.parametrize("path", FILES)
async def test_the_page_works_under_a_strict_policy_and_asks_nobody_else(client: TestClient, path: str) -> None:
    answer = await client.get(f"/-/inspector{path}")
    assert answer.headers["content-type"] == f"{FILES[path]}; charset=UTF-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    if path == "":
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert "<script src=" in answer.text
        assert answer.text.count("<script") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "127.0.0.1"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "localhost@evil.example"},
        {"Host": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["", "/inspector.js", "/events", "/requests/1", "/routes", "/state", "/pipeline?of=/"])
async def test_who_may_not_see_it_gets_the_applications_404(
    client: TestClient, headers: dict[str, str], path: str
) -> None:
    await client.get("/")
    with settings.override(TRUSTED_PROXY_HEADERS=("CF-Connecting-IP",)):
        answer = await client.get(f"/-/inspector{path}", headers=headers)
    assert answer.status_code in {400, 404}
    assert "hunter2" not in answer.text
    assert "started_at" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8000", "blog.localhost", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
@pytest.mark.parametrize(
    "address", [("127.0.0.1", 1), ("127.8.9.1", 1), ("::1", 1, 0, 0), ("::ffff:127.0.0.1", 1, 0, 0)], ids=str
)
def test_this_machine_may_see_it(address: Any, host: str) -> None:
    assert is_own_page(asked_from(address, host))


@pytest.mark.parametrize("address", [("10.0.0.5", 1), ("192.168.1.2", 1), ("fe80::1%eth0", 1, 0, 2), "", None], ids=str)
def test_the_peers_own_address_counts_whatever_a_proxy_says(address: Any) -> None:
    assert not is_own_page(asked_from(address, "localhost"))


def asked_from(address: Any, host: str) -> Any:
    context = SimpleNamespace(address=address, remote_ip="127.0.0.1")
    return SimpleNamespace(connection=SimpleNamespace(context=context), headers=HTTPHeaders({"Host": host}))


async def test_memory_is_bounded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(record.MAX_RECORDS + 5):
        await client.get("/")
    assert (await client.get("/-/inspector/requests/5")).status_code == 404
    assert (await client.get("/-/inspector/requests/6")).status_code == 200

    kept = record.Record(1, 0.0, 0.0, "GET", "/" + "x" * 100_000)
    for _ in range(5000):
        kept.add("log", 0.0, title="x" * 100_000)
    shown = kept.as_details()
    assert len(json.dumps(shown)) < 2 * record.MAX_RECORD_BYTES
    assert shown["omitted"]["log"] + len(shown["entries"]) == 5000
    few = record.Record(1, 0.0, 0.0, "GET", "/")
    for _ in range(5000):
        few.add("session", 0.0)
    assert len(few.as_details()["entries"]) == record.MAX_ENTRIES


async def test_routes_are_listed_with_what_comes_before_them(client: TestClient) -> None:
    found = {each["pattern"]: each for each in (await client.get("/-/inspector/routes")).json()}
    assert list(found) == [pattern for pattern, _ in RULES]
    assert {pattern: each["shadowed_by"] for pattern, each in found.items() if each["shadowed_by"]} == {
        "/post/1": r"/post/(\d+)"
    }
    assert found["/"]["handler"] == f"{__name__}.Front"


@pytest.mark.parametrize("wanted", ["/post/7", "Named"])
async def test_the_pipeline_of_a_path_or_name_is_shown(wanted: str) -> None:
    application = Application(
        [url(r"/post/(\d+)", Front, name="Named")], middlewares=[Guard], debug=True, autoreload=False
    )
    Inspector(application)
    with project():
        async with TestClient(application) as client:
            found = (await client.get("/-/inspector/pipeline", params={"of": wanted})).json()
            assert (await client.get("/-/inspector/pipeline?of=Unknown")).status_code == 404
            assert (await client.get("/-/inspector/pipeline")).status_code == 400
    stages = {
        step["stage"]: [line["name"].removeprefix(f"{__name__}.") for line in step["lines"]] for step in found["steps"]
    }
    assert stages == {
        "route": [r"/post/(\d+)  name Named"],
        "request": ["Guard.process_request"],
        "handler": ["Front"],
        "response": ["Guard.process_response"],
    }


async def test_open_sockets_and_background_tasks_are_shown(client: TestClient) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    client.application.background.start_soon(work, name="sending mail")
    async with client.websocket("/socket?token=abcdef") as socket:
        await socket.send_text("open?")
        assert await socket.receive_text() == "open?"
        found = (await client.get("/-/inspector/state")).json()
    (shown,) = found["sockets"]
    assert (shown["url"], shown["handler"]) == ("/socket?token=••••••••", f"{__name__}.Socket")
    assert shown["record"] == "/requests/1"
    assert [task["name"] for task in found["tasks"] if task["is_background"]] == ["sending mail"]


async def test_what_was_put_around_the_services_is_taken_away_with_the_last_application(sqlite: Any) -> None:
    from torngas_aio.db.basedb.drivers.sqlite import SQLiteDriver

    def state() -> list[Any]:
        return [logging.getLogRecordFactory(), Session.get, Session.__setitem__, Signal.send, SQLiteDriver.execute]

    before = state()
    with project():
        async with TestClient(made()[0]):
            during = state()
            async with TestClient(made()[0]):
                assert state() == during
            assert state() == during
    assert all(one is not other for one, other in zip(before, during, strict=True))
    assert state() == before


@pytest.mark.parametrize("is_debug", [True, False])
def test_without_debug_nothing_of_it_is_loaded(is_debug: bool, tmp_path: Path) -> None:
    script = f"""
import sys
from torngas_aio.settings_manager import settings
settings.configure(DEBUG={is_debug}, TORNADO_CONF={{"cookie_secret": "{SECRET}"}})
from torngas_aio.webserver.building import build_application
from torngas_aio import Application
made = build_application(None, [])
names = ("inspector", "observ", "calls")
loaded = [name for name in sys.modules if name.startswith("torngas_aio.operations.") and any(map(name.count, names))]
print("inspector" if loaded else "none", type(made) is Application)
"""
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.split() == (["inspector", "False"] if is_debug else ["none", "True"]), found.stderr


@pytest.mark.parametrize("http_server", ["torngas_aio", "tornado"])
async def test_every_server_tells_the_peer_and_a_plain_tornado_handler_is_recorded(http_server: str) -> None:
    class Plain(RequestHandler):
        def get(self) -> None:
            self.set_status(202)

    application, _ = made()
    application.add_handlers(".*", [(r"/plain", Plain)])
    with project():
        async with TestClient(application, http_server=http_server) as client:
            assert (await client.get("/plain")).status_code == 202
            found = await last(client)
            assert (await client.get("/-/inspector", headers={"X-Forwarded-For": "127.0.0.1"})).status_code == 404
    assert found["status"] == (202 if http_server == "torngas_aio" else None)  # Tornado's server does not tell
    assert (found["pattern"], found["handler"].rpartition(".")[2]) == ("/plain", "Plain")


async def test_a_client_that_leaves_ends_its_record_and_its_stream() -> None:
    application, inspector = made()
    is_waiting = asyncio.Event()

    class Waiting(WebHandler):
        cancel_on_disconnect = True

        async def get(self) -> None:
            is_waiting.set()
            await asyncio.Event().wait()

    application.add_handlers(".*", [(r"/waiting", Waiting)])
    with project():
        async with TestClient(application) as client:
            async with client.stream("GET", "/-/inspector/events") as answer:
                await anext(answer.aiter_lines())
                assert len(inspector.records._waiting) == 1
                asking = asyncio.create_task(client.get("/waiting"))
                await is_waiting.wait()
                asking.cancel()
            found = await last(client)
            async with asyncio.timeout(10):
                while inspector.records._waiting:
                    await asyncio.sleep(0.01)
    assert found["ms"] is not None
    assert [entry["stage"] for entry in of_kind(found, "stage")][-1:] == ["method"]
