"""One record and the last of them: bounds, masked texts, statements behind a loop, readers of changes."""

import asyncio
import json
from typing import Any

import pytest

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


def made() -> record.Record:
    return record.Record(1, 0.0, 0.0, "GET", "/?token=abcdef")


def test_texts_are_masked_and_cut_and_say_so() -> None:
    kept = made()
    kept.add("log", 0.0, title="password=hunter2 " + "x" * record.MAX_TEXT, count=3, flags=None)
    (entry,) = kept.as_details()["entries"]
    assert "hunter2" not in entry["title"]
    assert entry["title"].endswith("… (cut)")
    assert (entry["count"], entry["flags"]) == (3, None)
    assert "abcdef" not in kept.as_summary()["url"]


def test_entries_are_shown_in_the_order_in_which_they_began() -> None:
    kept = made()
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
    kept = made()
    for statement in statements:
        sql(kept, statement)
    (group,) = kept.repeated()
    assert group["title"] == shape
    assert group["count"] >= 3
    assert group["is_same"] == (len(set(statements)) == 1)


def test_what_is_meant_to_be_repeated_is_not_pointed_out() -> None:
    kept = made()
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
