"""Observers are told of requests and stages; without them the request path is as it was."""

import asyncio
from typing import Any

import pytest

from tests.operations.observers import URLS, Recorder, made
from tests.pipeline.conftest import door
from torngas_aio import Application
from torngas_aio.handler import WebHandler
from torngas_aio.operations import observed
from torngas_aio.operations.observed import observe
from torngas_aio.operations.observing import Observation, Observer, current_observation
from torngas_aio.testing import TestClient

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


class Refuses(Observer):
    def wants(self, request: Any) -> bool:
        return False


class Breaks(Observer):
    def wants(self, request: Any) -> bool:
        raise ZeroDivisionError


@pytest.mark.parametrize("observer", [Refuses, Breaks])
async def test_what_an_observer_does_not_want_is_not_observed_for_it(
    observer: type[Observer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made for such a request, and the other observers see it all the same."""
    other, alone = Recorder(), Application(URLS)
    both = made(other)
    observe(both, [observer()])
    async with TestClient(both) as client:
        assert (await client.get("/plain")).text == "12345"
        assert len(await other.whole()) == 1
    observe(alone, [observer()])
    monkeypatch.setattr(observed, "Observation", None)
    async with TestClient(alone) as client:
        assert (await client.get("/plain")).text == "12345"


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
