"""A store that is down answers 503, in one log line a second without a traceback."""

import asyncio
import logging
from typing import Any

import pytest

from tests.handler.conftest import OpenClient
from tests.polling import until
from torngas_aio.exception import CacheUnavailable, DatabaseUnavailable, OutcomeUnknown, PoolExhausted, Unavailable
from torngas_aio.handler import WebHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.middleware.signal import SignalMiddleware
from torngas_aio.signal import call_finished


class Down(WebHandler):
    error: Exception

    async def get(self) -> None:
        raise self.error


class DownHook(BaseMiddleware):
    error: Exception

    async def process_request(self, handler: Any, clear: Any) -> None:
        raise self.error


@pytest.mark.parametrize("kind", [CacheUnavailable, DatabaseUnavailable, OutcomeUnknown, PoolExhausted, Unavailable])
@pytest.mark.parametrize("place", ["method", "hook"])
async def test_an_outage_is_503_and_one_line(
    open_client: OpenClient,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    kind: type[Exception],
    place: str,
) -> None:
    error = kind(f"the store of {request.node.name} is down")
    routes = [("/", type("Failing", (Down,), {"error": error}))]
    hooks = (type("Hook", (DownHook,), {"error": error})(),) if place == "hook" else ()
    client = await open_client(routes, hooks)
    with caplog.at_level(logging.ERROR):
        answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {503}
    retry = {answer.headers.get("retry-after") for answer in answers}
    assert retry == {None if kind is OutcomeUnknown else "1"}, "what may have been done is not to be done again"
    assert "is down" not in answers[0].text, "what failed is for the log only"
    told = [record for record in caplog.records if "is down" in record.getMessage()]
    assert 1 <= len(told) <= 3
    assert [record.exc_info for record in told] == [None] * len(told)


@pytest.mark.parametrize(("kind", "most"), [(CacheUnavailable, 6), (KeyError, 40)])
async def test_streams_that_an_outage_cuts_off_are_one_line(
    open_client: OpenClient,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    kind: type[Exception],
    most: int,
) -> None:
    class Cut(WebHandler):
        async def get(self) -> None:
            await self.flush()
            raise kind(f"the store of {request.node.name} is down")

    client = await open_client([("/", Cut)], ())
    with caplog.at_level(logging.ERROR):
        ended = await asyncio.gather(*(client.get("/") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(each, Exception) for each in ended)
    told = [each for each in caplog.messages if "is down" in each or "the connection is cut" in each]
    assert 2 <= len(told) <= most
    assert kind is CacheUnavailable or len(told) >= 20, "errors of the program are told each"


class Afterwards(WebHandler):
    error: Exception

    async def get(self) -> None:
        self.write("answered")

    async def complete_finish(self) -> None:
        await asyncio.sleep(0)
        raise self.error


class EndHook(BaseMiddleware):
    error: Exception

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        raise self.error


class Signals(SignalMiddleware):
    """A receiver of `call_finished` fails."""

    error: Exception

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        async def fail(**kwargs: Any) -> None:
            raise self.error

        call_finished.connect(fail, weak=False)
        try:
            await super().process_endcall(handler, clear)
        finally:
            call_finished.disconnect(fail)


@pytest.mark.parametrize("failing", [Afterwards, EndHook, Signals])
async def test_an_outage_after_the_answer_is_one_line(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest, failing: type[Any]
) -> None:
    made = type("Failing", (failing,), {"error": CacheUnavailable(f"the store of {request.node.name}: no answer")})
    is_handler = issubclass(failing, WebHandler)
    client = await open_client([("/", made if is_handler else Plain)], () if is_handler else (made(),))
    with caplog.at_level(logging.ERROR):
        answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
        await until(lambda: "no answer" in caplog.text)
    assert {answer.status_code for answer in answers} == {200}
    told = [record for record in caplog.records if "no answer" in record.getMessage()]
    assert 1 <= len(told) <= 3
    assert "Traceback" not in caplog.text


class Plain(WebHandler):
    async def get(self) -> None:
        self.write("answered")


async def test_an_outage_whose_message_tells_seconds_is_one_line(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    name = f"database of {request.node.name}"

    class Silent(WebHandler):
        async def get(self) -> None:
            raise DatabaseUnavailable(f"{name}: no answer for {self.get_argument('n')} s.")

    client = await open_client([("/", Silent)], ())
    with caplog.at_level(logging.ERROR):
        for number in range(20):
            assert (await client.get(f"/?n={number}")).status_code == 503
    assert 1 <= sum(name in message for message in caplog.messages) <= 3
