"""REQUEST_TIMEOUT: ends a method that waits, not a body that is slow, nor an answer that has begun; on every clock."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from torngas_aio import Application, WebHandler
from torngas_aio.http.exchange import HTTPExchange
from torngas_aio.middleware.base import BaseMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

LIMIT = 0.15
CLOCKS: dict[str, Any] = {
    "sweep": {"server_options": {"write_timeout": 0.1}},  # looks every 0.01 s
    "timer": {},  # the sweep is not used for so short a limit
    "tornado": {"http_server": "tornado"},
}


@pytest.fixture(params=CLOCKS)
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = CLOCKS[request.param]
    if request.param == "sweep":
        monkeypatch.setattr(HTTPExchange, "swept_from", 0.0)
    return found


def client_of(handler: type[WebHandler], clock: dict[str, Any], *middlewares: Any, **more: Any) -> TestClient:
    application = Application([("/", handler)], middlewares=middlewares, **{"request_timeout": LIMIT, **more})
    return TestClient(application, **clock)


def test_a_minute_is_the_default() -> None:
    assert settings.REQUEST_TIMEOUT == 60
    assert Application([]).request_timeout == 60


@pytest.mark.parametrize("verb", ["get", "post"])
async def test_a_method_that_waits_is_cancelled_and_answered_503(clock: dict[str, Any], verb: str) -> None:
    told: list[str] = []

    class Waits(WebHandler):
        async def get(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                told.append("cancelled")

        post = get

    async with client_of(Waits, clock) as client:
        answer = await client.request(verb, "/", content=b"x" if verb == "post" else None)
        assert (answer.status_code, told) == (503, ["cancelled"])


async def test_request_hooks_are_counted(clock: dict[str, Any]) -> None:
    class Hangs(BaseMiddleware):
        async def process_request(self, handler: Any, clear: Any) -> None:
            if handler.get_argument("at") == "request":
                await asyncio.Event().wait()

    class Quick(WebHandler):
        async def get(self) -> None:
            await self.finish("ok")

    async with client_of(Quick, clock, Hangs) as client:
        assert (await client.get("/?at=request")).status_code == 503
        assert (await client.get("/?at=none")).status_code == 200


async def test_the_arrival_of_the_body_is_not_counted(clock: dict[str, Any]) -> None:
    class Takes(WebHandler):
        async def post(self) -> None:
            await asyncio.sleep(LIMIT / 3)
            self.write(str(len(self.request.body)))

    async with client_of(Takes, clock) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nConnection: close\r\n\r\n")
        for _ in range(8):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(LIMIT / 3)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"8")
        writer.close()
        await writer.wait_closed()


async def test_an_answer_that_has_begun_may_take_its_time(clock: dict[str, Any]) -> None:
    class Streams(WebHandler):
        async def get(self) -> None:
            for _ in range(4):
                self.write("x")
                await self.flush()
                await asyncio.sleep(LIMIT / 2)

    async with client_of(Streams, clock) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.text) == (200, "xxxx")


async def test_a_method_that_swallows_its_cancellation_is_answered_as_it_says(clock: dict[str, Any]) -> None:
    cancelling: list[int] = []

    class Stubborn(WebHandler):
        async def get(self) -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            self.write("still here")

        async def on_finish_check(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            cancelling.append(task.cancelling())

    class Looks(BaseMiddleware):
        async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
            await handler.on_finish_check()

    async with client_of(Stubborn, clock, Looks) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.text, cancelling) == (200, "still here", [0])


async def test_what_the_method_makes_of_its_cancellation_counts(clock: dict[str, Any]) -> None:
    class Own(WebHandler):
        async def get(self) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("of its own") from None

        async def post(self) -> None:
            raise TimeoutError

    async with client_of(Own, clock) as client:
        assert (await client.get("/")).status_code == 500
        assert (await client.post("/")).status_code == 500


@pytest.mark.parametrize("limit", [None, 0])
async def test_a_handler_may_have_no_limit_or_another(clock: dict[str, Any], limit: float | None) -> None:
    class Waits(WebHandler):
        async def get(self) -> None:
            await asyncio.sleep(LIMIT * 2)
            self.write("ok")

    class Own(Waits):
        request_timeout = 0 if limit == 0 else 9.0

    async with client_of(Waits, clock, request_timeout=limit) as client:
        assert (await client.get("/")).status_code == 200
    async with client_of(Own, clock) as client:
        assert (await client.get("/")).status_code == 200


async def test_a_client_that_left_does_not_stop_the_clock(clock: dict[str, Any]) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Waits(WebHandler):
        async def get(self) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    async with client_of(Waits, clock) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        writer.close()
        await writer.wait_closed()
        await ended.wait()


@pytest.mark.parametrize(("limit", "has_timer"), [(60.0, False), (5.0, False), (4.0, True), (0, False), (None, False)])
async def test_only_a_short_limit_costs_a_timer(limit: float | None, has_timer: bool) -> None:
    """Of others the server's sweep learns when it comes by: a request that is answered before tells it nothing."""
    seen: list[Any] = []

    class Looks(WebHandler):
        async def get(self) -> None:
            seen.append(self._timer)

    async with client_of(Looks, {}, request_timeout=limit) as client:
        assert (await client.get("/")).status_code == 200
    assert [timer is not None for timer in seen] == [has_timer]
