"""Which hooks run, in which order: seen from a client over a socket."""

import asyncio
import itertools

import pytest

from tests.pipeline.recording import ENDED, LOG, MISCHIEF, Waiting
from tests.polling import until
from torngas_aio.testing import TestClient

CALL = ["A.call", "B.call", "C.call"]
REQUEST = ["A.request", "B.request", "K1.request", "K2.request", "R.request", "C.request"]
METHOD = ["on_prepare", "get"]
RENDER = ["C.render", "K1.render", "K2.render", "R.render", "B.render", "A.render"]
RESPONSE = ["C.response", "K1.response", "K2.response", "R.response", "B.response", "A.response"]
ENDCALL = ["C.endcall", "K1.endcall", "K2.endcall", "R.endcall", "B.endcall", "A.endcall"]
EXCEPTION = ["C.exception", "B.exception", "A.exception"]
DONE = ["complete_finish"]


def plain(places: list[str]) -> list[str]:
    """Middlewares only: what runs where no route was matched."""
    return [place for place in places if place[0] in "ABC"]


async def ended() -> None:
    """Wait until the handler has said its last word."""
    await until(lambda: LOG and LOG[-1] == "complete_finish")


async def test_every_stage_runs_in_its_order(client: TestClient) -> None:
    response = await client.get("/plain")
    await ended()
    assert (response.status_code, response.text) == (200, "body")
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE, *ENDCALL, *DONE] == LOG


async def test_head_runs_the_same_hooks_and_sends_no_body(client: TestClient) -> None:
    response = await client.head("/plain")
    await ended()
    assert (response.status_code, response.text, response.headers["content-length"]) == (200, "", "4")
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE, *ENDCALL, *DONE] == LOG


async def test_a_path_without_route_runs_the_middlewares_alone(client: TestClient) -> None:
    response = await client.get("/nowhere")
    async with asyncio.timeout(5):
        await ENDED["A"].wait()
    assert response.status_code == 404
    assert [*CALL, *plain(REQUEST), *EXCEPTION, *plain(RESPONSE), *plain(ENDCALL)] == LOG


async def test_a_static_file_runs_the_middlewares_alone(client: TestClient) -> None:
    response = await client.get("/static/file.txt")
    async with asyncio.timeout(5):
        await ENDED["A"].wait()
    assert (response.status_code, response.text) == (200, "static")
    assert [*CALL, *plain(REQUEST), *plain(RESPONSE), *plain(ENDCALL)] == LOG


async def test_a_plain_def_that_finishes_unawaited_is_completed_when_it_returns(client: TestClient) -> None:
    response = await client.get("/plaindef")
    await ended()
    assert response.text == "un-awaited"
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE, *ENDCALL, *DONE] == LOG


async def test_an_unawaited_finish_is_completed_at_the_next_turn_of_the_loop(client: TestClient) -> None:
    response = await client.get("/early")
    await until(lambda: {"after the response", "complete_finish"} <= set(LOG))
    assert (response.status_code, response.text) == (200, "settled")
    assert "x-late" not in response.headers
    seen = [*CALL, *REQUEST, *METHOD, "before yielding", *RESPONSE, *ENDCALL]
    assert LOG[: len(seen)] == seen
    assert sorted(LOG[len(seen) :]) == ["after the response", "complete_finish"]


async def test_an_error_after_an_unawaited_finish_runs_exception_hooks_and_changes_nothing(client: TestClient) -> None:
    MISCHIEF["handler"] = "raise"
    response = await client.get("/early")
    await until(lambda: "A.exception" in LOG)
    assert (response.status_code, response.text) == (200, "settled")
    assert LOG[-3:] == EXCEPTION
    assert [place for place in LOG if place.endswith((".response", ".endcall"))] == [*RESPONSE, *ENDCALL]


async def test_an_awaited_finish_completes_there_and_then(client: TestClient) -> None:
    response = await client.get("/awaited")
    await until(lambda: "after finish" in LOG)
    assert response.text == "awaited"
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE, *ENDCALL, *DONE, "after finish"] == LOG


async def test_the_first_flush_runs_the_response_hooks_once(client: TestClient) -> None:
    response = await client.get("/streaming")
    await ended()
    assert (response.text, response.headers["transfer-encoding"]) == ("one two", "chunked")
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE, "flushed", *ENDCALL, *DONE] == LOG


async def test_a_stream_that_breaks_is_cut_not_completed(client: TestClient) -> None:
    MISCHIEF["handler"] = "raise"
    with pytest.raises(Exception, match=r"(?i)incomplete|closed|disconnect"):
        await client.get("/streaming")
    await ended()
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE, "flushed", *EXCEPTION, *ENDCALL, *DONE] == LOG


async def test_an_unawaited_render_runs_the_render_hooks(client: TestClient) -> None:
    response = await client.get("/rendered")
    await ended()
    assert response.text == "un-awaited"
    assert [*CALL, *REQUEST, *METHOD, *RENDER, *RESPONSE, *ENDCALL, *DONE] == LOG


@pytest.mark.parametrize("place", ["K1.request", "A.request", "C.request"])
async def test_a_request_hook_that_finishes_keeps_the_method_from_running(client: TestClient, place: str) -> None:
    MISCHIEF[place] = "finish"
    response = await client.get("/plain")
    await ended()
    assert (response.status_code, response.text) == (403, f"finished by {place}")
    ran = REQUEST[: REQUEST.index(place) + 1]
    assert [*CALL, *ran, *RESPONSE, *ENDCALL, *DONE] == LOG


async def test_a_request_hook_that_forgets_the_true_value_ends_the_stage_with_a_warning(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    MISCHIEF["B.request"] = "forget"
    response = await client.get("/plain")
    await ended()
    assert response.text == "finished by B.request"
    assert [*CALL, "A.request", "B.request", *RESPONSE, *ENDCALL, *DONE] == LOG
    assert "let it return a true value" in caplog.text


@pytest.mark.parametrize("stage", ["call", "request", "response", "endcall"])
async def test_a_true_value_ends_its_stage_only(client: TestClient, stage: str) -> None:
    stages = {"call": CALL, "request": REQUEST, "response": RESPONSE, "endcall": ENDCALL}
    MISCHIEF[f"B.{stage}"] = "return"
    response = await client.get("/plain")
    await ended()
    assert response.text == "body"
    cut = {
        name: places[: places.index(f"B.{stage}") + 1] if name == stage else places for name, places in stages.items()
    }
    assert [*cut["call"], *cut["request"], *METHOD, *cut["response"], *cut["endcall"], *DONE] == LOG


@pytest.mark.parametrize("place", ["B.call", "B.request", "K1.request", "R.response", "B.response", "K2.endcall"])
async def test_clear_ends_every_stage_of_every_middleware(client: TestClient, place: str) -> None:
    MISCHIEF[place] = "clear"
    response = await client.get("/plain")
    await ended()
    assert (response.status_code, response.text) == (200, "body")
    everything = [*CALL, *REQUEST, *METHOD, *RESPONSE, *ENDCALL]
    ran = everything[: everything.index(place) + 1]
    after = [entry for entry in everything[len(ran) :] if entry in METHOD]
    assert [*ran, *after, *DONE] == LOG


async def test_clear_in_a_render_hook(client: TestClient) -> None:
    MISCHIEF["R.render"] = "clear"
    assert (await client.get("/rendered")).text == "un-awaited"
    await ended()
    assert [*CALL, *REQUEST, *METHOD, *RENDER[: RENDER.index("R.render") + 1], *DONE] == LOG


async def test_clear_in_an_exception_hook(client: TestClient) -> None:
    MISCHIEF.update({"handler": "raise", "C.exception": "clear"})
    assert (await client.get("/plain")).status_code == 500
    await ended()
    assert [*CALL, *REQUEST, *METHOD, "C.exception", *DONE] == LOG


ERRORS = {"raise": 500, "http": 418}


@pytest.mark.parametrize(("deed", "status"), list(ERRORS.items()))
async def test_an_error_of_the_method_runs_exception_hooks_then_the_rest(
    client: TestClient, deed: str, status: int
) -> None:
    MISCHIEF["handler"] = deed
    response = await client.get("/plain")
    await ended()
    assert response.status_code == status
    assert [*CALL, *REQUEST, *METHOD, *EXCEPTION, *RESPONSE, *ENDCALL, *DONE] == LOG


@pytest.mark.parametrize(("deed", "status"), list(ERRORS.items()))
async def test_an_error_of_a_call_hook_runs_no_request_hooks(client: TestClient, deed: str, status: int) -> None:
    MISCHIEF["B.call"] = deed
    response = await client.get("/plain")
    async with asyncio.timeout(5):
        await ENDED["A"].wait()
    assert response.status_code == status
    assert ["A.call", "B.call", *EXCEPTION, *plain(RESPONSE), *plain(ENDCALL)] == LOG


@pytest.mark.parametrize(
    ("place", "deed"), list(itertools.product(["A.request", "K2.request", "R.request", "C.request"], ERRORS))
)
async def test_an_error_of_a_request_hook_fails_closed(client: TestClient, place: str, deed: str) -> None:
    MISCHIEF[place] = deed
    response = await client.get("/plain")
    await ended()
    assert response.status_code == ERRORS[deed]
    ran = REQUEST[: REQUEST.index(place) + 1]
    assert [*CALL, *ran, *EXCEPTION, *RESPONSE, *ENDCALL, *DONE] == LOG


@pytest.mark.parametrize(("deed", "status"), list(ERRORS.items()))
async def test_an_error_of_a_render_hook_is_the_handlers(client: TestClient, deed: str, status: int) -> None:
    MISCHIEF["K2.render"] = deed
    response = await client.get("/rendered")
    await ended()
    assert response.status_code == status
    ran = RENDER[: RENDER.index("K2.render") + 1]
    assert [*CALL, *REQUEST, *METHOD, *ran, *EXCEPTION, *RESPONSE, *ENDCALL, *DONE] == LOG


@pytest.mark.parametrize(
    ("place", "deed"), list(itertools.product(["C.response", "R.response", "B.response", "A.response"], ERRORS))
)
async def test_after_an_error_of_a_response_hook_the_others_run_on_the_error_page(
    client: TestClient, place: str, deed: str
) -> None:
    MISCHIEF[place] = deed
    response = await client.get("/plain")
    await ended()
    assert response.status_code == ERRORS[deed]
    assert not response.text.startswith("body")
    split = RESPONSE.index(place) + 1
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE[:split], *EXCEPTION, *RESPONSE[split:], *ENDCALL, *DONE] == LOG


async def test_two_response_hooks_that_fail_still_run_once_each(client: TestClient) -> None:
    MISCHIEF.update({"K1.response": "raise", "B.response": "http"})
    response = await client.get("/plain")
    await ended()
    assert response.status_code == 418
    assert [entry for entry in LOG if entry.endswith(".response")] == RESPONSE


@pytest.mark.parametrize("deed", ERRORS)
async def test_an_error_of_an_endcall_hook_is_logged_and_the_rest_run(
    client: TestClient, deed: str, caplog: pytest.LogCaptureFixture
) -> None:
    MISCHIEF["K1.endcall"] = deed
    response = await client.get("/plain")
    await ended()
    assert response.text == "body"
    assert [*CALL, *REQUEST, *METHOD, *RESPONSE, *ENDCALL, *DONE] == LOG
    assert "complete_response failed" in caplog.text


async def test_an_exception_hook_that_finishes_replaces_the_error_page(client: TestClient) -> None:
    MISCHIEF.update({"handler": "raise", "B.exception": "replace"})
    response = await client.get("/plain")
    await ended()
    assert (response.status_code, response.text) == (403, "finished by B.exception")
    assert [*CALL, *REQUEST, *METHOD, "C.exception", "B.exception", *RESPONSE, *ENDCALL, *DONE] == LOG


async def test_an_exception_hook_that_fails_is_logged_and_the_rest_run(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    MISCHIEF.update({"handler": "http", "C.exception": "raise"})
    response = await client.get("/plain")
    await ended()
    assert response.status_code == 418
    assert [*CALL, *REQUEST, *METHOD, *EXCEPTION, *RESPONSE, *ENDCALL, *DONE] == LOG
    assert "process_exception failed" in caplog.text


async def leave(client: TestClient, path: str) -> None:
    """Ask for *path*, and close the connection once the handler runs."""
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await Waiting.started.wait()
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves_lets_the_method_and_the_hooks_run_on(client: TestClient) -> None:
    await leave(client, "/waiting")
    await ended()
    assert [*CALL, *REQUEST, *METHOD, "client left", "went on", *RESPONSE, *ENDCALL, *DONE] == LOG


async def test_cancel_on_disconnect_cancels_the_method(client: TestClient) -> None:
    await leave(client, "/cancelled")
    await ended()
    assert [*CALL, *REQUEST, *METHOD, "client left", "cancelled", *ENDCALL, *DONE] == LOG


async def test_a_client_that_leaves_while_its_body_is_awaited_gets_its_endcall_hooks_once(client: TestClient) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    async with asyncio.timeout(5):
        await until(lambda: "C.call" in LOG)
        writer.close()
        await writer.wait_closed()
        await ENDED["A"].wait()
    await ended()
    assert [*CALL, *ENDCALL, *DONE] == LOG


async def test_a_request_that_the_parser_refuses_runs_no_hooks(client: TestClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /plain HTTP/1.1\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert LOG == []


async def test_init_and_shutdown_run_once_in_order_and_reverse(door: str) -> None:
    from tests.pipeline.recording import recording_application

    LOG.clear()
    async with TestClient(recording_application(), http_server=door) as client:
        await client.get("/plain")
        await client.get("/plain")
    assert [entry for entry in LOG if entry.endswith((".init", ".shutdown"))] == [
        "A.init", "B.init", "C.init", "C.shutdown", "B.shutdown", "A.shutdown",
    ]  # fmt: skip
