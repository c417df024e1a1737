"""The two ways to an application: ours takes a request, all others are driven as Tornado's own server does."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    ResponseStartLine,
)

from tests.http.conftest import Start
from tests.http.wire import Direct, get
from torngas_aio.http.adapters import DelegateAdapter, DirectAdapter, adapter_for

POST = b"POST /a?b=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabcdef"


class Site(HTTPServerConnectionDelegate):
    """Notes what it is shown; answers, or does something else, at a stage."""

    def __init__(self, stage: str = "finish", does: str = "answer") -> None:
        self.stage, self.does = stage, does
        self.notes: list[Any] = []
        self.has_closed = asyncio.Event()

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return Message(self, request_conn)

    def on_close(self, server_conn: object) -> None:
        self.notes.append("closed")
        self.has_closed.set()


class Message(HTTPMessageDelegate):
    def __init__(self, site: Site, connection: Any) -> None:
        self.site, self.connection = site, connection

    def _note(self, stage: str, told: Any = None) -> None:
        self.site.notes.append(stage if told is None else (stage, told))
        if stage != self.site.stage:
            return
        match self.site.does:
            case "answer":
                fields = HTTPHeaders({"Content-Length": "2"})
                self.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), fields, b"ok")
                self.connection.finish()
            case "input":
                raise HTTPInputError("no such thing")
            case "break":
                raise ZeroDivisionError
            case "detach":
                stream = self.connection.detach()
                stream.write(b"another protocol")
                stream.close()

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        self._note("headers", (start_line.method, start_line.path, headers["Host"]))
        return asyncio.sleep(0)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._note("data", bytes(chunk))
        return asyncio.sleep(0)

    def finish(self) -> None:
        self._note("finish")

    def on_connection_close(self) -> None:
        self.site.notes.append("gone")


HEAD = ("headers", ("POST", "/a?b=1", "test"))


async def test_a_delegate_is_shown_head_body_and_end_in_order(start: Start) -> None:
    site = Site()
    served = await start(site)
    async with await served.client() as client:
        assert (await client.ask(POST)).body == b"ok"
        assert (await client.ask(get())).body == b"ok"
    await site.has_closed.wait()
    body = [told for stage, told in (each for each in site.notes if each[0] == "data")]
    assert b"".join(body) == b"abcdef"
    stages = [each if isinstance(each, str) else each[0] for each in site.notes if each[0] != "data"]
    assert stages == ["headers", "finish", "headers", "finish", "closed"]
    assert site.notes[0] == HEAD


async def test_an_answer_before_the_body_is_in_ends_the_request(start: Start) -> None:
    site = Site("headers")
    served = await start(site)
    async with await served.client() as client:
        client.send(POST[:-6])
        assert (await client.answer()).body == b"ok"
    await site.has_closed.wait()
    assert site.notes[:2] == [HEAD, "gone"]
    assert "finish" not in site.notes


@pytest.mark.parametrize(("does", "status"), [("input", 400), ("break", 500)])
@pytest.mark.parametrize("stage", ["headers", "data", "finish"])
async def test_what_a_delegate_raises_is_answered_and_it_is_told(
    start: Start, stage: str, does: str, status: int
) -> None:
    site = Site(stage, does)
    served = await start(site)
    async with await served.client() as client:
        assert (await client.ask(POST)).status == status
    await site.has_closed.wait()
    assert site.notes.count("gone") == 1
    assert site.notes[-1] == "closed"


async def test_a_body_that_is_refused_is_told_to_the_delegate(start: Start) -> None:
    site = Site()
    served = await start(site, max_body_size=5)
    async with await served.client() as client:
        assert (await client.ask(POST)).status == 413
    await site.has_closed.wait()
    assert site.notes == [HEAD, "gone", "closed"]


async def test_a_client_that_goes_midway_is_told_to_the_delegate(start: Start) -> None:
    site = Site()
    served = await start(site)
    async with await served.client() as client:
        client.send(POST[:-3])
        while len(site.notes) < 2:
            await asyncio.sleep(0)
    await site.has_closed.wait()
    assert "gone" in site.notes
    assert "finish" not in site.notes


async def test_a_delegate_may_take_the_connection_over(start: Start) -> None:
    site = Site("headers", "detach")
    served = await start(site)
    async with await served.client() as client:
        client.send(POST)
        assert await client.rest() == b"another protocol"
    assert site.notes[:1] == [HEAD]
    assert "finish" not in site.notes


async def test_a_function_is_given_each_request_with_its_body_parsed(start: Start) -> None:
    def greet(request: HTTPServerRequest) -> None:
        assert request.connection is not None
        body = repr((request.method, request.body, request.body_arguments, request.path)).encode()
        fields = HTTPHeaders({"Content-Length": str(len(body))})
        request.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), fields, body)
        request.connection.finish()

    served = await start(greet)
    lines = "Content-Type: application/x-www-form-urlencoded", "Content-Length: 3"
    form = get("/form", *lines).replace(b"GET", b"POST", 1) + b"a=1"
    async with await served.client() as client:
        assert (await client.ask(form)).body.startswith(b"('POST', b'a=1', {'a': [b'1']}")
        assert (await client.ask(get("/b"))).body.startswith(b"('GET', b'', {}")


async def test_each_kind_of_application_has_its_way() -> None:
    async def serve(request: Any, exchange: Any) -> None: ...

    direct = Direct(serve)
    assert isinstance(adapter_for(direct), DirectAdapter)
    assert adapter_for(direct).serve == direct.serve_request
    assert isinstance(adapter_for(Site()), DelegateAdapter)
    assert isinstance(adapter_for(print), DelegateAdapter)


@pytest.mark.parametrize("application", [None, "module:application", 7, {}])
def test_what_is_no_application_is_refused(application: Any) -> None:
    with pytest.raises(TypeError, match="cannot be served: give an Application, an HTTPServerConnectionDelegate"):
        adapter_for(application)
