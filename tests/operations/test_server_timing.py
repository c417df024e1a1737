"""`Server-Timing` tells the stages before the header; with DEBUG only."""

import re

import pytest

from tests.operations.observers import URLS
from torngas_aio import Application
from torngas_aio.operations.observed import observe
from torngas_aio.operations.server_timing import ServerTiming
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient
from torngas_aio.webserver.building import build_application


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


@pytest.mark.parametrize("is_debug", [True, False])
async def test_only_debug_adds_it(is_debug: bool) -> None:
    with settings.override(DEBUG=is_debug, TORNADO_CONF={"cookie_secret": "x1y2" * 10}):
        application = build_application(None, URLS)
        async with TestClient(application) as client:
            answer = await client.get("/plain")
    assert ("server-timing" in answer.headers) is is_debug
