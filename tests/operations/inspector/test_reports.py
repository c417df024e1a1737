"""Routes and why they were not taken, pipelines, sockets and tasks, as values for JSON."""

import asyncio

import pytest
from tornado.web import url

from tests.operations.inspector import site
from tests.operations.inspector.site import RULES, Front, Guard, last, project
from torngas_aio import Application
from torngas_aio.operations.inspector import Inspector
from torngas_aio.testing import TestClient


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


async def test_routes_are_listed_with_what_comes_before_them(client: TestClient) -> None:
    found = {each["pattern"]: each for each in (await client.get("/-/inspector/routes")).json()}
    assert list(found) == [pattern for pattern, _ in RULES]
    assert {pattern: each["shadowed_by"] for pattern, each in found.items() if each["shadowed_by"]} == {
        "/post/1": r"/post/(\d+)"
    }
    assert found["/"]["handler"] == f"{site.__name__}.Front"


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
        step["stage"]: [line["name"].removeprefix(f"{site.__name__}.") for line in step["lines"]]
        for step in found["steps"]
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
    assert (shown["url"], shown["handler"]) == ("/socket?token=••••••••", f"{site.__name__}.Socket")
    assert shown["record"] == "/requests/1"
    assert [task["name"] for task in found["tasks"] if task["is_background"]] == ["sending mail"]
