"""What is told of log lines, statements, caches, signals and sessions, without secrets; and taken away again."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.db.support import configured, prepared
from tests.operations.inspector import site
from tests.operations.inspector.site import SECRET, happened, last, made, of_kind, on_happened, project
from tests.polling import until
from torngas_aio.db.basedb import database
from torngas_aio.dispatch import Signal
from torngas_aio.handler import WebHandler
from torngas_aio.jobs import job
from torngas_aio.operations.inspector import watches
from torngas_aio.session.session import Session
from torngas_aio.testing import TestClient


async def test_log_lines_are_recorded_from_threads_too_and_masked(client: TestClient) -> None:
    await client.get("/")
    lines = of_kind(await last(client), "log")
    assert [line["title"] for line in lines] == ["The db_password=•••••••• was asked for.", "from a thread"]
    assert [line["level"] for line in lines] == ["WARNING", "ERROR"]
    assert Path(lines[0]["place"].rpartition(":")[0]).name == "site.py"


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
    assert reads[0]["place"].partition(":")[0].endswith("site.py")
    assert [entry["parameters"] for entry in reads] == ["(0)", "(1)", "(2)", "(3)"]
    assert statements[-1]["parameters"] == "••••••••"  # only the parameter's name says that it is secret
    assert "hunter2" not in json.dumps(found)
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
    assert [entry["title"].split()[0] for entry in statements] == ["CREATE", "INSERT", *["SELECT"] * 6]
    assert "hunter2" not in json.dumps(found)
    assert statements[1]["parameters"] == "••••••••"
    assert "no such table" in statements[5]["error"]
    assert statements[6]["error"] == ""
    assert "no such table" in statements[7]["error"]  # of a stream
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
    assert (signal["title"], signal["receivers"]) == (f"{site.__name__}.happened", "on_happened")


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


async def test_what_was_put_around_the_services_is_taken_away_with_the_last_application() -> None:
    def state() -> list[Any]:
        return [logging.getLogRecordFactory(), Session.get, Session.__setitem__, Signal.send]

    before = state()
    with project():
        async with TestClient(made()[0]):
            during = state()
            async with TestClient(made()[0]):
                assert state() == during
            assert state() == during
    assert all(one is not other for one, other in zip(before, during, strict=True))
    assert state() == before


async def test_jobs_that_a_request_enqueues_are_told_masked_and_how_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torngas_aio.jobs.worker.LONGEST_PAUSE", 0.01)
    watches.job_runs.clear()

    @job(name="mail", queue="post")
    async def mail(number: int, password: str) -> None: ...

    @job(name="fails", retries=1)
    async def fails() -> None:
        raise ValueError("password=hunter2")

    class Enqueues(WebHandler):
        async def get(self) -> None:
            await mail.enqueue(7, password=SECRET)
            await fails.enqueue()
            self.finish("sent")

    application, _ = made()
    application.add_handlers(".*", [("/enqueues", Enqueues)])
    with project():
        async with TestClient(application) as client:
            assert (await client.get("/enqueues")).status_code == 200
            sent = of_kind(await last(client), "job")
            await until(lambda: len(watches.job_runs) == 3 and watches.job_runs[-1]["outcome"] == "failed for good")
            shown = (await client.get("/-/inspector/state")).json()["jobs"]
    assert [(each["title"], each["queue"], each["arguments"]) for each in sent] == [
        ("mail", "post", ["number = 7", "password = ••••••••"]), ("fails", "default", []),
    ]  # fmt: skip
    assert [(run["name"], run["attempt"], run["outcome"]) for run in shown] == [
        ("fails", 2, "failed for good"), ("fails", 1, "failed, tried again"), ("mail", 1, "succeeded"),
    ]  # fmt: skip
    assert SECRET not in json.dumps([sent, shown])
    assert "hunter2" not in json.dumps(shown)
