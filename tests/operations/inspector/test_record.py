"""One record and the last of them: bounds, masked texts, statements behind a loop, readers of changes."""

import asyncio
import json
from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.operations.inspector import site
from tests.operations.inspector.site import last, made, of_kind, project
from tests.polling import until
from torngas_aio.handler import WebHandler
from torngas_aio.operations.inspector import record
from torngas_aio.testing import TestClient


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


def sql(kept: record.Record, title: str, **fields: Any) -> None:
    kept.add("sql", 0.0, 0.001, title=title, **fields)


def new_record() -> record.Record:
    return record.Record(1, 0.0, 0.0, "GET", "/?token=abcdef")


def test_texts_are_masked_and_cut_and_say_so() -> None:
    kept = new_record()
    kept.add("log", 0.0, title="password=hunter2 " + "x" * record.MAX_TEXT, count=3, flags=None)
    (entry,) = kept.as_details()["entries"]
    assert "hunter2" not in entry["title"]
    assert entry["title"].endswith("… (cut)")
    assert (entry["count"], entry["flags"]) == (3, None)
    assert "abcdef" not in kept.as_summary()["url"]


def test_entries_are_shown_in_the_order_in_which_they_began() -> None:
    kept = new_record()
    for at in (0.3, 0.1, 0.2):
        kept.add("stage", at, 0.05, title=str(at))
    shown = kept.as_details()["entries"]
    assert [(entry["title"], entry["at"], entry["ms"]) for entry in shown] == [
        ("0.1", 100, 50), ("0.2", 200, 50), ("0.3", 300, 50),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("statements", "shape"),
    [
        (["SELECT * FROM t WHERE id = 1", "SELECT * FROM t WHERE id = 2", "select 1", "SELECT  * FROM t\nWHERE id = 3"],
         "SELECT * FROM t WHERE id = ?"),
        (["SELECT 'it''s'", "SELECT 'a'", "SELECT ''"], "SELECT ?"),
        ([f"INSERT INTO t VALUES ({', '.join('?' * n)})" for n in (1, 2, 3)], "INSERT INTO t VALUES (…)"),
        (["SELECT t1.a FROM t1 WHERE b = :b_1"] * 3, "SELECT t1.a FROM t1 WHERE b = :b_1"),
        (["UPDATE t SET a = $1 WHERE b IN ($2, $3)", "UPDATE t SET a = $1 WHERE b IN ($2)"] * 2,
         "UPDATE t SET a = $1 WHERE b IN (…)"),
    ],
)  # fmt: skip
def test_statements_that_differ_in_values_alone_are_one_that_is_repeated(statements: list[str], shape: str) -> None:
    kept = new_record()
    for statement in statements:
        sql(kept, statement)
    (group,) = kept.repeated()
    assert group["title"] == shape
    assert group["count"] >= 3
    assert group["is_same"] == (len(set(statements)) == 1)


def test_what_is_meant_to_be_repeated_is_not_pointed_out() -> None:
    kept = new_record()
    for statement in ["BEGIN", "SAVEPOINT a", "COMMIT"] * 5 + ["SELECT 1", "SELECT a FROM t", "DELETE FROM t"] * 2:
        sql(kept, statement)
    assert list(kept.repeated()) == []
    assert kept.as_summary()["repeated"] == 0
    assert kept.as_summary()["sql_ms"] == 21


async def test_a_reader_is_told_the_newest_state_of_what_has_changed() -> None:
    records = record.Records()
    first = records.begin(0.0, 0.0, "GET", "/1")
    changes = records.changed()
    assert await anext(changes) == [first]
    second = records.begin(0.0, 0.0, "GET", "/2")
    for _ in range(3):
        records.note_change(second)
    assert await anext(changes) == [second], "once, however often it changed meanwhile"
    waiting: asyncio.Future[Any] = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    assert not waiting.done()
    records.note_change(first)
    assert await waiting == [first]
    await changes.aclose()  # type: ignore[attr-defined]  # a generator
    assert not records._waiting


async def test_a_reader_that_is_cancelled_keeps_nothing_waiting() -> None:
    records = record.Records()

    async def read() -> None:
        async for _ in records.changed():
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    assert len(records._waiting) == 1
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not records._waiting


def test_the_oldest_go_first_and_numbers_go_on() -> None:
    records = record.Records()
    for _ in range(record.MAX_RECORDS + 3):
        last = records.begin(0.0, 0.0, "GET", "/")
    assert last.number == record.MAX_RECORDS + 3
    assert records.find(3) is None
    assert records.find(4) is not None
    assert records.find(last.number) is last
    assert records.find(0) is None


async def test_a_request_is_recorded_with_its_hooks_in_order_and_their_times(client: TestClient) -> None:
    await client.get("/post/7?page=2&token=abcdef")
    found = await last(client)
    assert (found["method"], found["url"], found["status"]) == ("GET", "/post/7?page=2&token=••••••••", 200)
    assert (found["pattern"], found["handler"]) == (r"/post/(\d+)", f"{site.__name__}.Front")
    stages = of_kind(found, "stage")
    assert [entry["title"].removeprefix(f"{site.__name__}.") for entry in stages] == [
        "Guard.process_request", "Front.get", "Guard.process_response", "send the answer",
    ]  # fmt: skip
    assert all(0 <= entry["at"] <= found["ms"] and 0 <= entry["ms"] <= found["ms"] for entry in stages)
    headers = dict(found["request"]["Headers"])
    assert headers["Host"].startswith("127.0.0.1")


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
    assert found["status"] == 202
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
            await until(lambda: not inspector.records._waiting)
    assert found["ms"] is not None
    assert [entry["stage"] for entry in of_kind(found, "stage")][-1:] == ["method"]
