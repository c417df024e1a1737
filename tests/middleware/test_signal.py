"""The signals of a request, over a socket: one sending a stage."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tornado.httputil import HTTPServerRequest
from tornado.template import DictLoader

from torngas_aio import signal
from torngas_aio.application import Application
from torngas_aio.handler import WebHandler
from torngas_aio.middleware.signal import SignalMiddleware
from torngas_aio.operations.observed import observe
from torngas_aio.operations.observing import Observer
from torngas_aio.testing import TestClient

STAGES = ["call_started", "handler_started", "handler_render", "handler_response", "call_finished"]


class Plain(WebHandler):
    async def get(self) -> None:
        self.write("plain")


class Rendered(WebHandler):
    def create_template_loader(self, template_path: str) -> DictLoader:  # type: ignore[override]  # plain Tornado's
        return DictLoader({"page.html": "hello {{ name }}"})

    async def get(self) -> None:
        await self.render("page.html", name="jack")


class Fails(WebHandler):
    async def get(self) -> None:
        raise ValueError


@pytest.fixture(params=[False, True], ids=["alone", "observed"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[TestClient]:
    routes = [("/plain", Plain), ("/rendered", Rendered), ("/fails", Fails)]
    application = Application(routes, middlewares=[SignalMiddleware])
    if request.param:
        observe(application, [Observer()])
    async with TestClient(application) as made:
        yield made


@pytest.fixture
def sent() -> Iterator[list[tuple[str, Any, dict[str, Any]]]]:
    """What was sent, by name of the signal, sender and arguments."""
    found: list[tuple[str, Any, dict[str, Any]]] = []
    receivers = []
    for name in STAGES:

        async def note(name: str = name, **kwargs: Any) -> None:
            kwargs.pop("signal")
            found.append((name, kwargs.pop("sender"), kwargs))

        getattr(signal, name).connect(note)
        receivers.append((getattr(signal, name), note))
    yield found
    for each, receiver in receivers:
        each.disconnect(receiver)


async def test_each_stage_sends_once_with_its_sender(
    client: TestClient, sent: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    assert (await client.get("/rendered")).text == "hello jack"
    assert [name for name, _, _ in sent] == STAGES
    assert [sender for _, sender, _ in sent] == [HTTPServerRequest, *[Rendered] * 4]
    assert sent[0][2]["request"].path == "/rendered"
    assert sent[2][2]["template_name"] == "page.html"
    assert sent[2][2]["namespace"]["name"] == "jack"
    assert isinstance(sent[3][2]["handler"], Rendered)


async def test_without_a_template_there_is_no_render_signal(
    client: TestClient, sent: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    await client.get("/plain")
    assert [name for name, _, _ in sent] == [name for name in STAGES if name != "handler_render"]


@pytest.mark.parametrize("path", ["/fails", "/nothing"])
async def test_an_error_sends_response_and_end_all_the_same(
    client: TestClient, sent: list[tuple[str, Any, dict[str, Any]]], path: str
) -> None:
    await client.get(path)
    names = [name for name, _, _ in sent]
    assert names[-2:] == ["handler_response", "call_finished"]
    assert len(names) == len(set(names))


async def test_a_receiver_may_listen_to_one_handler_and_change_its_answer(client: TestClient) -> None:
    @signal.receiver(signal.handler_response, sender=Plain)
    def louder(chunk: list[bytes], **kwargs: Any) -> None:
        chunk[:] = [part.upper() for part in chunk]

    assert (await client.get("/plain")).text == "PLAIN"
    assert (await client.get("/rendered")).text == "hello jack"
    signal.handler_response.disconnect(louder, sender=Plain)


async def test_a_receivers_error_becomes_the_answer(client: TestClient) -> None:
    @signal.receiver(signal.handler_started, sender=Plain)
    async def refuse(**kwargs: Any) -> None:
        raise RuntimeError("not today")

    assert (await client.get("/plain")).status_code == 500
    assert "not today" in str(client.errors[0])
    assert signal.handler_started.disconnect(refuse, sender=Plain)
    assert (await client.get("/plain")).status_code == 200
