"""Targets, hosts and old versions: every server judges them alike."""

from typing import Any

import pytest
import tornado.httpserver
from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine
from tornado.netutil import bind_sockets

from tests.contracts.front_doors.conftest import HTTPServerOf
from tests.http.wire import Client, get
from torngas_aio import Application, WebHandler
from torngas_aio.handler import WebSocketHandler
from torngas_aio.http.server import HTTPServer
from torngas_aio.http.target import check_line, is_host, path_of


class Echo(WebHandler):
    def get(self, *_: str) -> None:
        self.write(self.request.path)

    post = get


class Socket(WebSocketHandler):
    pass


HANDSHAKE = (
    "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)  # fmt: skip
CODED = b"POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
REFUSED = {
    "raw UTF-8 in the path": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: t\r\n\r\n",
    "raw UTF-8 in the query": b"GET /?a=\xc3\xa4 HTTP/1.1\r\nHost: t\r\n\r\n",
    "raw Latin-1": b"GET /\xe4 HTTP/1.1\r\nHost: t\r\n\r\n",
    "raw UTF-8 in a URL": b"GET http://t/\xc3\xa4 HTTP/1.1\r\nHost: t\r\n\r\n",
    "raw UTF-8 in HTTP/1.0": b"GET /\xc3\xa4 HTTP/1.0\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n",
    "NUL in the path": b"GET /a\x00b HTTP/1.1\r\nHost: t\r\n\r\n",
    "a control character": b"GET /a\x1bb HTTP/1.1\r\nHost: t\r\n\r\n",
    "a tab in the query": b"GET /?a=\tb HTTP/1.1\r\nHost: t\r\n\r\n",
    "DEL in a URL": b"GET http://t/\x7f HTTP/1.1\r\nHost: t\r\n\r\n",
    "a method that is no token": b"G(T / HTTP/1.1\r\nHost: t\r\n\r\n",
    "no slash": b"GET a HTTP/1.1\r\nHost: t\r\n\r\n",
    "another host": b"GET http://u/a HTTP/1.1\r\nHost: t\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: %00\r\n\r\n",
    "NUL inside": b"GET / HTTP/1.1\r\nHost: a%00b\r\n\r\n",
    "a line's end": b"GET / HTTP/1.1\r\nHost: a%0d%0a\r\n\r\n",
    "no octet": b"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n",
    "a coding in HTTP/1.0": CODED,
    "a coding and a length in HTTP/1.0": CODED.replace(b"Transfer", b"Content-Length: 5\r\nTransfer"),
    "another coding in HTTP/1.0": CODED.replace(b"chunked", b"gzip"),
    "a coding without a body in HTTP/1.0": CODED.replace(b"POST", b"GET"),
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc",
    "two lengths": b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a signed length": b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc",
    "an empty length": b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\n",
    "a WebSocket in HTTP/1.0": get("/ws", *HANDSHAKE, version="1.0"),
}


@pytest.fixture(params=[HTTPServer, tornado.httpserver.HTTPServer], ids=["ours", "tornado's"])
async def client(request: pytest.FixtureRequest) -> Any:
    door = HTTPServerOf(request.param, Application([("/ws", Socket), ("(.*)", Echo)]), {})
    sockets = bind_sockets(0, "127.0.0.1")
    await door.start(sockets)
    async with await Client.connect(sockets[0].getsockname()) as connected:
        yield connected
    await door.stop()


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_standards_forbid_is_answered_400(client: Client, case: str) -> None:
    client.send(REFUSED[case])
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("target", "path"),
    [("/%C3%A4", "/%C3%A4"), ("http://test/a?b", "/a"), ("HTTP://TEST", "/"), ("http://test?a", "/")],
)
async def test_what_they_allow_reaches_the_handler(client: Client, target: str, path: str) -> None:
    assert (await client.ask(get(target))).body == path.encode()


@pytest.mark.parametrize("host", ["", "   ", ":80", "%C3%A4", "a%20"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_host_may_be_empty_or_encoded(client: Client, host: str, version: str) -> None:
    assert (await client.ask(get("/a", version=version).replace(b"test", host.encode()))).body == b"/a"


async def test_a_websocket_in_http_1_1_is_opened(client: Client) -> None:
    assert (await client.ask(get("/ws", *HANDSHAKE))).status == 101


async def test_the_refusal_of_a_coding_in_http_1_0_says_why() -> None:
    headers = HTTPHeaders({"Host": "t", "Transfer-Encoding": "chunked"})
    with pytest.raises(HTTPInputError, match=r"HTTP/1\.0 has no Transfer-Encoding"):
        check_line(RequestStartLine("POST", "/", "HTTP/1.0"), headers)


@pytest.mark.parametrize("octet", range(256))
def test_an_encoded_octet_of_a_host_is_no_control_character(octet: int) -> None:
    is_allowed = octet >= 32 and octet != 127
    for text in (f"a%{octet:02x}", f"%{octet:02X}b:80"):
        assert (is_host(text.encode()) is not None) is is_allowed


@pytest.mark.parametrize("host", ["a", "a.b:80", "a:", "127.0.0.1", "[::1]:80", "[v1.a:b]", "a_b", "A"])
def test_a_host_is_a_host(host: str) -> None:
    assert is_host(host.encode())


@pytest.mark.parametrize("octet", [*range(0x21), 0x7F, 0x80, 0xFF])
@pytest.mark.parametrize("target", [b"/a%cb", b"/?%c", b"http://t/%c", b"http://t?%c"])
def test_a_target_is_visible_ascii(octet: int, target: bytes) -> None:
    with pytest.raises(ValueError, match="percent-encoded"):
        path_of("GET", target % octet, b"t")


@pytest.mark.parametrize("method", ["", "G T", "GET\r\n", "G\xe9T", "GET\0", "G:T"])
def test_a_method_is_a_token(method: str) -> None:
    with pytest.raises(HTTPInputError, match="The method is not a token"):
        check_line(RequestStartLine(method, "/", "HTTP/1.1"), HTTPHeaders({"Host": "t"}))


def test_an_asterisk_is_for_options() -> None:
    assert path_of("OPTIONS", b"*", b"t") == "*"
    with pytest.raises(ValueError, match="neither a path nor a URL"):
        path_of("GET", b"*", b"t")
