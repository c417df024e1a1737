"""The head of a response: nothing in it can begin another line."""

import pytest
from tornado.httputil import HTTPHeaders

from tests.http.conftest import Start
from tests.http.test_exchange import head, outcome_of
from torngas_aio.http.exchange import HTTPExchange


@pytest.mark.parametrize(("name", "value"), [("X", "a\r\nSet-Cookie: b"), ("X", "a\nb"), ("X", "a\rb"), ("X", "a\0b")])
async def test_a_value_cannot_begin_another_line(start: Start, name: str, value: str) -> None:
    async def serve(exchange: HTTPExchange) -> None:
        headers = HTTPHeaders()
        headers[name] = value
        exchange.write_headers(head(), headers)

    raised, data = await outcome_of(start, serve)
    assert "would end its line" in str(raised[0])
    assert data.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in data


@pytest.mark.parametrize("name", ["X Y", "X\r\nY", "", "X:", "\xe4"])
async def test_a_name_must_be_a_token(start: Start, name: str) -> None:
    async def serve(exchange: HTTPExchange) -> None:
        headers = HTTPHeaders()
        headers[name] = "value"
        exchange.write_headers(head(), headers)

    raised, data = await outcome_of(start, serve)
    assert "is not the name of a header" in str(raised[0])
    assert data.startswith(b"HTTP/1.1 500 ")


async def test_a_reason_cannot_end_the_status_line(start: Start) -> None:
    async def serve(exchange: HTTPExchange) -> None:
        exchange.respond(200, "OK\r\nX: y", [], b"", is_head=False)

    raised, data = await outcome_of(start, serve)
    assert "cannot be sent" in str(raised[0])
    assert data.startswith(b"HTTP/1.1 500 ")
