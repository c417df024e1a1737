"""What is recorded of a request: stages in order, errors with their places, requests that no one waits for."""

import asyncio

import pytest
from tornado.web import RequestHandler

from tests.operations.inspector import site
from tests.operations.inspector.site import last, made, of_kind, project
from tests.polling import until
from torngas_aio.handler import WebHandler
from torngas_aio.testing import TestClient


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
