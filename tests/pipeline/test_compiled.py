"""HTTP modules within the walk, and the printed pipeline against the one that runs."""

import asyncio
import re
from typing import Any

import pytest

from tests.pipeline.recording import ENDED, K1, K2, LOG, MISCHIEF, R, RecordingModule, X
from tests.pipeline.test_run import CALL, DONE, ENDCALL, METHOD, REQUEST, RESPONSE, ended
from tests.polling import until
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.httpmodule import BaseHttpModule
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.testing import TestClient


@pytest.mark.parametrize("place", ["K1.request", "R.request", "K2.response", "K1.endcall"])
async def test_a_true_value_of_a_module_ends_its_stage_for_everybody(client: TestClient, place: str) -> None:
    MISCHIEF[place] = "return"
    response = await client.get("/plain")
    await ended()
    assert (response.status_code, response.text) == (200, "body")

    def until(places: list[str]) -> list[str]:
        return places[: places.index(place) + 1] if place in places else places

    assert [*CALL, *until(REQUEST), *METHOD, *until(RESPONSE), *until(ENDCALL), *DONE] == LOG


@pytest.mark.parametrize("place", ["K1.request", "R.response"])
async def test_clear_in_a_module_ends_every_stage_of_everybody(client: TestClient, place: str) -> None:
    MISCHIEF[place] = "clear"
    response = await client.get("/plain")
    await ended()
    assert (response.status_code, response.text) == (200, "body")
    everything = [*CALL, *REQUEST, *METHOD, *RESPONSE, *ENDCALL]
    seen = everything[: everything.index(place) + 1]
    assert [*seen, *(METHOD if place == "K1.request" else []), *DONE] == LOG


async def test_a_module_that_finishes_keeps_the_method_from_running(client: TestClient) -> None:
    MISCHIEF["R.request"] = "finish"
    response = await client.get("/plain")
    async with asyncio.timeout(5):
        await ENDED["A"].wait()
    assert (response.status_code, response.text) == (403, "finished by R.request")
    assert [*CALL, *REQUEST[:-1], *RESPONSE, *ENDCALL] == LOG[: len(CALL + REQUEST[:-1] + RESPONSE + ENDCALL)]
    assert "get" not in LOG


async def test_what_is_printed_is_what_runs(client: TestClient) -> None:
    application = client.application
    route = next(each for each in application.wildcard_router.routes() if each.name == "plain")
    hooks = list(application.pipeline.describe(application.stages_of(route, "/plain")))
    printed = [f"{hook.owner.__name__}.{hook.stage}" for hook in hooks]
    await client.get("/plain")
    await ended()
    ran = [place for place in LOG if "." in place]
    for stage in ("call", "request", "response", "endcall"):
        assert [each for each in printed if each.endswith(stage)] == [each for each in ran if each.endswith(stage)]
    assert len(ran) == len(CALL + REQUEST + RESPONSE + ENDCALL)


class Empty(WebHandler):
    async def get(self) -> None:
        self.finish()


@pytest.mark.parametrize(
    ("by_route", "expected"),
    [
        ({"^/ap": [R], "i$": [X]}, ["K1", "K2", "R", "X"]),
        ({"i$": [X], "^/ap": [R]}, ["K1", "K2", "X", "R"]),
        ({"^/ap": [R], "i$": [R, X, K1]}, ["K1", "K2", "R", "X"]),
        ({"^/ap": [R], "i$": ["!all"]}, ["R"]),
        ({"^/ap": [f"!{K1.__module__}.K1"], "i$": [f"!{K2.__module__}.K2", X]}, ["X"]),
        ({"^/none": [R], "i$": [X]}, ["K1", "K2", "X"]),
    ],
)
async def test_a_path_may_match_several_keys(by_route: dict[str, Any], expected: list[str]) -> None:
    MISCHIEF.clear()
    modules = HttpModuleMiddleware(common=(K1, K2), by_route=by_route)
    async with TestClient(Application([("/api", Empty)], middlewares=[modules])) as client:
        LOG.clear()
        await client.get("/api")
    for stage in ("request", "response", "endcall"):  # declared order, in every stage
        assert [place.split(".")[0] for place in LOG if place.endswith(stage)] == expected


class Careless(BaseHttpModule):
    def begin_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:  # type: ignore[override]  # refused
        """Not async."""


def test_a_plain_hook_of_a_module_is_refused_with_its_place_and_the_mend() -> None:
    with pytest.raises(ConfigError) as told:
        Application([("/", Empty)], middlewares=[HttpModuleMiddleware(common=(Careless,), by_route={})])
    line = Careless.begin_response.__code__.co_firstlineno
    assert re.search(rf"Careless\.begin_response.*test_compiled\.py:{line}.*async def", str(told.value))


class Guarded(WebSocketHandler):
    async def prepare(self) -> None:
        async def settle(outcome: Any) -> None:
            await asyncio.sleep(0)
            LOG.append("saved")
            self.set_header("X-Saved", "yes")

        self.scope.add("session", object(), settle=settle)

    def open(self, *args: str, **kwargs: str) -> None:
        LOG.append("open")

    def on_message(self, message: str | bytes) -> None:
        LOG.append("message")
        self.close()


class Guard(RecordingModule):
    name = "G"


async def test_a_socket_saves_its_session_and_runs_its_modules_before_the_handshake(door: str) -> None:
    MISCHIEF.clear()
    modules = HttpModuleMiddleware(common=(Guard,), by_route={})
    application = Application([("/ws", Guarded)], middlewares=[modules])
    async with TestClient(application, http_server=door) as client:
        LOG.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"X-Saved: yes" in head
        writer.close()
        await writer.wait_closed()
        await until(lambda: "G.endcall" in LOG)
    assert LOG == ["G.request", "G.response", "saved", "open", "G.endcall"]


async def test_a_module_refuses_a_socket(door: str) -> None:
    MISCHIEF.clear()
    MISCHIEF["G.request"] = "finish"
    modules = HttpModuleMiddleware(common=(Guard,), by_route={})
    async with TestClient(Application([("/ws", Guarded)], middlewares=[modules]), http_server=door) as client:
        LOG.clear()
        with pytest.raises(Exception, match="403"):
            async with client.websocket("/ws"):
                raise AssertionError("It was opened.")
    assert "open" not in LOG
    MISCHIEF.clear()
