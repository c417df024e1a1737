"""Observers are told of requests and stages; without them the request path is as it was."""

import asyncio
import re
from typing import Any

import pytest

from tests.operations.observers import URLS, Recorder, made
from tests.pipeline.conftest import door
from torngas_aio import Application
from torngas_aio.handler import WebHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.operations.observed import observe
from torngas_aio.operations.observing import Observation, Observer, ServerTiming, current_observation
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient
from torngas_aio.webserver.building import build_application

__all__ = ["door"]


async def test_several_observers_and_one_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def stage_ended(self, *args: Any) -> None:
            raise ZeroDivisionError

        def request_ended(self, *args: Any) -> None:
            raise LookupError

    class Uninterested(Recorder):
        def request_started(self, observation: Observation) -> bool:
            return False

    first, broken, uninterested = Recorder(), Broken(), Uninterested()
    application = made(first)
    observe(application, [broken, uninterested])
    async with TestClient(application) as client:
        assert (await client.get("/plain")).text == "12345"
        assert (await client.get("/plain")).text == "12345"
        await first.whole(2)
    assert broken.started == 2
    assert not uninterested.stages
    assert caplog.text.count("this is said once") == 2


async def test_a_request_that_no_observer_wants_has_no_observation() -> None:
    seen: list[Any] = []

    class Uninterested(Observer):
        def request_started(self, observation: Observation) -> bool:
            return False

    class Looks(WebHandler):
        async def get(self) -> None:
            seen.append((current_observation(), type(self)))

    application = Application([("/", Looks)])
    observe(application, [Uninterested()])
    async with TestClient(application) as client:
        await client.get("/")
    assert seen == [(None, Looks)]


class Breaks(Observer):
    def request_started(self, observation: Observation) -> bool:
        raise ZeroDivisionError


async def test_the_others_see_what_an_observer_fails_on() -> None:
    other = Recorder()
    application = made(other)
    observe(application, [Breaks()])
    async with TestClient(application) as client:
        assert (await client.get("/plain")).text == "12345"
        assert len(await other.whole()) == 1


async def test_tasks_of_a_request_know_its_observation() -> None:
    recorder, seen = Recorder(), []

    class Starts(WebHandler):
        async def get(self) -> None:
            seen.append(await asyncio.create_task(self.look()))

        async def look(self) -> Any:
            return current_observation()

    application = Application([("/", Starts, {}, "starts")])
    observe(application, [recorder])
    async with TestClient(application) as client:
        await client.get("/")
        await recorder.whole()
    assert seen[0].route_name == "starts"
    assert current_observation() is None


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("GET", "/plain", ["method", "total"]),
        ("POST", "/plain", ["method", "total"]),
        ("GET", "/streams", ["method", "total"]),
        ("GET", "/stores", ["method", "commit", "save", "total"]),
        ("GET", "/absent", ["render", "total"]),
    ],
)
async def test_the_stages_of_the_answer_are_told(method: str, path: str, names: list[str]) -> None:
    application = Application(URLS)
    observe(application, [ServerTiming()])
    async with TestClient(application) as client:
        answer = await client.request(method, path)
    told = re.findall(r"([a-z]+);dur=(\d+\.\d\d)(?:, |$)", answer.headers["server-timing"])
    assert [name for name, _ in told] == names
    assert sum(float(seconds) for _, seconds in told[:-1]) <= float(told[-1][1]) + 0.1


async def test_what_a_hook_takes_is_told_where_each_is_timed_by_itself() -> None:
    """As it is with DEBUG on, where the inspector wants that."""

    class Slow(BaseMiddleware):
        async def process_request(self, handler: Any, clear: Any) -> None:
            await asyncio.sleep(0.03)

    application = Application(URLS, middlewares=[Slow])
    observe(application, [ServerTiming(), Recorder(wants_hooks=True)])
    async with TestClient(application) as client:
        answer = await client.get("/plain")
    told = dict(re.findall(r"([a-z]+);dur=([\d.]+)", answer.headers["server-timing"]))
    assert list(told) == ["hooks", "method", "total"]
    assert float(told["hooks"]) >= 25


@pytest.mark.parametrize("is_debug", [True, False])
async def test_only_debug_adds_it(is_debug: bool) -> None:
    with settings.override(DEBUG=is_debug, TORNADO_CONF={"cookie_secret": "x1y2" * 10}):
        application = build_application(None, URLS)
        async with TestClient(application) as client:
            answer = await client.get("/plain")
    assert ("server-timing" in answer.headers) is is_debug
