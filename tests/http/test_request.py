"""What a request says of itself."""

import pytest

from tests.http.conftest import Start
from tests.http.test_protocol import hello
from tests.http.wire import Direct, get
from torngas_aio.http.base import Exchange
from torngas_aio.http.request import Request


@pytest.mark.parametrize("xheaders", [False, True])
async def test_a_request_knows_its_client(start: Start, xheaders: bool) -> None:
    async def who(request: Request, exchange: Exchange) -> None:
        exchange.respond(200, "OK", [], f"{request.remote_ip} {request.protocol}".encode(), is_head=False)

    served = await start(Direct(who), xheaders=xheaders)
    forwarded = get("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
    async with await served.client() as client:
        assert (await client.ask(forwarded)).body == (b"1.2.3.4 https" if xheaders else b"127.0.0.1 http")
        assert (await client.ask(get())).body == b"127.0.0.1 http"  # nothing stays from the request before


async def test_the_request_says_what_the_client_said(start: Start) -> None:
    application = Direct(hello)
    served = await start(application)
    await served.ask(get("/a?b=c&b=d", "X-Odd:  \t v\xe4lue \t", "Cookie: k=v", "X-Two: 1", "x-two: 2"))
    request = application.requests[0]
    assert (request.method, request.path, request.query, request.version) == ("GET", "/a", "b=c&b=d", "HTTP/1.1")
    assert request.raw_header(b"x-odd") == b"v\xe4lue"
    assert request.raw_header(b"x-two") == b"1"
    assert [request.first_header(name) for name in (b"x-odd", b"x-two", b"x-none")] == ["v\xe4lue", "1", None]
    assert request.headers["X-Two"] == "1,2"
    assert request.headers.get_list("X-TWO") == ["1", "2"]
    request.headers["X-Odd"] = "changed"
    del request.headers["X-Two"]
    assert [request.first_header(name) for name in (b"x-odd", b"x-two", b"x-none")] == ["changed", None, None]
    assert request.arguments == {"b": [b"c", b"d"]}
    assert request.cookies["k"].value == "v"
    assert (request.remote_ip, request.protocol, request.host) == ("127.0.0.1", "http", "test")
