"""The contract of every server, with Tornado's handlers and with ours."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.contracts.front_doors.conftest import StartSite
from tests.http.wire import get


def post(path: str, body: bytes, *lines: str, length: int | None = None) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


def chunked(path: str, *chunks: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("where", ["tcp", "unix", "tls"])
async def test_requests_on_one_connection(start_site: StartSite, where: str) -> None:
    site = await start_site(unix=where == "unix", tls=where == "tls")
    async with await site.client() as client:
        for name in ("ada", "bob"):
            answer = await client.ask(get(f"/hello/{name}"))
            assert (answer.status, answer.body) == (200, f"Hello, {name}!".encode())
            assert answer.headers["content-type"] == "text/html; charset=UTF-8"
            assert answer.headers["x-name"] == name
            assert int(answer.headers["content-length"]) == len(answer.body)
        assert (await client.ask(get("/nowhere"))).status == 404
        assert json.loads((await client.ask(get("/peer"))).body) == {
            "ip": "0.0.0.0" if where == "unix" else "127.0.0.1",
            "scheme": "https" if where == "tls" else "http",
            "host": "test",
        }


async def test_pipelined_requests_are_answered_in_order(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        client.send(get("/hello/a") + post("/echo", b"body") + get("/parts") + get("/hello/b"))
        assert [(await client.answer()).body for _ in range(4)] == [b"Hello, a!", b"body", b"onetwothree", b"Hello, b!"]


async def test_head_is_get_without_its_body(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        answer = await client.ask(b"HEAD /hello/ada HTTP/1.1\r\nHost: test\r\n\r\n", "HEAD")
        assert answer.headers["content-length"] == "11"
        assert (await client.ask(get())).body == b"Hello, world!"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_that_has_no_body(start_site: StartSite, status: int) -> None:
    site = await start_site()
    async with await site.client() as client:
        answer = await client.ask(get(f"/status/{status}"))
        assert answer.status == status
        assert "transfer-encoding" not in answer.headers
        assert (await client.ask(get())).body == b"Hello, world!"


@pytest.mark.parametrize("size", [0, 5, 100_000, 3_000_000])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_arrives_whole(start_site: StartSite, size: int, framing: str) -> None:
    site = await start_site()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with await site.client() as client:
        if framing == "length":
            client.send(post("/echo", body))
        else:
            client.send(chunked("/echo", *(body[at : at + 30_000] for at in range(0, size, 30_000))))
        assert (await client.answer()).body == body
        assert (await client.ask(get())).status == 200


async def test_a_form_is_parsed(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        request = post("/form?a=1", b"a=2&b=%C3%A4", "Content-Type: application/x-www-form-urlencoded")
        assert json.loads((await client.ask(request)).body) == {"a": ["1", "2"], "b": "\xe4"}
        bad = post("/form", b"--x\r\nbroken", "Content-Type: multipart/form-data; boundary=x")
        assert (await client.ask(bad)).status == 400


async def test_an_answer_in_parts_is_chunked(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        answer = await client.ask(get("/parts"))
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.body == b"onetwothree"
        assert (await client.ask(get())).status == 200


async def test_an_answer_in_parts_to_an_old_client_ends_with_the_connection(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        answer = await client.ask(get("/parts", version="1.0"))
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"onetwothree"


async def test_connection_close_is_obeyed_and_said(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        answer = await client.ask(get("/", "Connection: close"))
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""


async def test_an_old_client_may_ask_to_be_kept(start_site: StartSite) -> None:
    site = await start_site(wants="keep-alive")
    async with await site.client() as client:
        for _ in range(2):
            answer = await client.ask(get("/", "Connection: keep-alive", version="1.0"))
            assert answer.headers["connection"].lower() == "keep-alive"


async def test_expect_100_continue(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        assert (await client.ask(post("/echo", b"", "Expect: 100-continue", length=4))).status == 100
        assert (await client.ask(b"body")).body == b"body"


@pytest.mark.parametrize(("promised", "given"), [(5, 6), (6, 5)])
async def test_an_answer_that_breaks_its_promise_is_500_or_closes_the_connection(
    start_site: StartSite, pair: tuple[str, str], promised: int, given: int
) -> None:
    site = await start_site()
    _, kind = pair
    async with await site.client() as client:
        client.send(get(f"/lengths/{promised}/{given}") + get())
        if kind == "torngas_aio" and given > promised:  # detected before the first byte is sent
            assert (await client.answer()).status == 500
            return
        data = await client.rest()
    assert b"Hello, world!" not in data


async def test_a_handler_that_breaks_is_500(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        assert (await client.ask(get("/breaks"))).status == 500
        assert (await client.ask(get())).status == 200


async def test_an_upload_is_handed_on_as_it_comes(start_site: StartSite) -> None:
    site = await start_site(max_body_size=1000)
    async with await site.client() as client:
        assert (await client.ask(post("/upload", b"x" * 2_000_000))).body == b"2000000"
        assert (await client.ask(chunked("/upload", b"x" * 1_000_000, b"y"))).body == b"1000001"


async def test_a_client_that_leaves_midway_through_its_upload(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        client.send(post("/upload", b"x" * 1000, length=100_000))
        await client.writer.drain()
        await asyncio.sleep(0.05)
    await site.noted("client left")


async def test_a_client_that_leaves_while_its_handler_runs(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        client.send(get("/waits"))
        await site.noted("waiting")
    await site.noted("went on")
    assert site.notes == ["waiting", "client left", "went on"]


async def test_a_client_that_leaves_midway_through_its_answer(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        client.send(get("/large"))
        await client.reader.readexactly(100)
    await site.noted("stream closed")


async def test_a_file_whole_and_in_part(start_site: StartSite) -> None:
    site = await start_site()
    async with await site.client() as client:
        answer = await client.ask(get("/files/file.txt"))
        assert answer.body == b"0123456789" * 20_000
        part = await client.ask(get("/files/file.txt", "Range: bytes=5-14"))
        assert (part.status, part.body) == (206, b"5678901234")
        same = await client.ask(get("/files/file.txt", f"If-None-Match: {answer.headers['etag']}"))
        assert (same.status, same.body) == (304, b"")
        assert (await client.ask(get("/files/../secret"))).status in (400, 403, 404)


@pytest.mark.parametrize("where", ["tcp", "unix", "tls"])
async def test_a_detached_stream_gets_every_byte_in_order(start_site: StartSite, where: str) -> None:
    site = await start_site(wants="detach", unix=where == "unix", tls=where == "tls")
    async with await site.client() as client:
        client.send(get("/detach") + b"ear")
        assert await client.reader.readexactly(6) == b"yours:"
        client.send(b"ly\n")
        assert await client.rest() == b"EARLY\n"


async def socket_of(site: Any) -> WebSocketClientConnection:
    scheme = "wss" if site.tls else "ws"
    name = "localhost" if site.tls else "127.0.0.1"
    options = {"ssl_options": site.tls} if site.tls else {}
    return await websocket_connect(HTTPRequest(f"{scheme}://{name}:{site.address[1]}/socket", **options))


@pytest.mark.parametrize("where", ["tcp", "tls"])
async def test_a_web_socket(start_site: StartSite, where: str) -> None:
    site = await start_site(tls=where == "tls")
    socket = await socket_of(site)
    for message in ("text", b"bytes", "x" * 300_000):
        await socket.write_message(message, binary=isinstance(message, bytes))
        assert await socket.read_message() == message
    await socket.write_message("close")
    assert await socket.read_message() is None
    assert (socket.close_code, socket.close_reason) == (4000, "as asked")
    socket.close()
    await site.noted("closed 4000")


async def test_frames_sent_with_the_handshake_are_not_lost(start_site: StartSite) -> None:
    site = await start_site(wants="raw bytes")
    handshake = get(
        "/socket",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    frame = b"\x81\x82\0\0\0\0hi"
    async with await site.client() as client:
        answer = await client.ask(handshake + frame)
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert await client.reader.readexactly(4) == b"\x81\x02hi"
    await site.noted("closed None")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_gzip_body_is_unpacked_when_asked(start_site: StartSite, stream: bool) -> None:
    site = await start_site(wants="unpacking", decompress_request=True, max_body_size=1_000_000)
    packed = gzip.compress(b"x" * 500_000)
    async with await site.client() as client:
        path = "/upload" if stream else "/echo"
        answer = await client.ask(post(path, packed, "Content-Encoding: gzip"))
        assert answer.body == (b"500000" if stream else b"x" * 500_000)


def _bomb() -> bytes:
    engine = zlib.compressobj(9, wbits=31)
    return b"".join([engine.compress(b"x" * 1_000_000) for _ in range(50)]) + engine.flush()


@pytest.mark.parametrize(
    ("path", "packed", "status"),
    [
        pytest.param("/echo", _bomb(), b"413", id="bomb"),
        pytest.param("/echo", gzip.compress(b"x" * 600_000) * 2, b"413", id="two members beyond the limit"),
        pytest.param("/echo", gzip.compress(b"x") * 17, b"400", id="17 members"),
        pytest.param("/upload", gzip.compress(b"") * 40_000, b"400", id="40,000 members"),
        pytest.param("/echo", gzip.compress(b"x" * 5000)[:-4], b"400", id="cut off"),
        pytest.param("/upload", gzip.compress(b"x" * 5000)[:-4], b"400", id="cut off, streamed"),
        pytest.param("/echo", b"no gzip at all", b"400", id="no gzip"),
    ],
)
async def test_a_gzip_body_that_costs_too_much_is_refused(
    start_site: StartSite, pair: tuple[str, str], path: str, packed: bytes, status: bytes
) -> None:
    site = await start_site(wants="unpacking", decompress_request=True, max_body_size=1_000_000)
    if pair == ("tornado's", "tornado"):
        pytest.skip("Tornado's server and application have no such limit")
    async with await site.client() as client:
        client.send(post(path, packed, "Content-Encoding: gzip") + get())
        data = await client.rest()
    assert data.startswith(b"HTTP/1.1 %b " % status)
    assert b"Hello, world!" not in data


@pytest.mark.parametrize("path", ["/echo", "/upload"])
@pytest.mark.parametrize(
    ("size", "count", "status"),
    [(1, 150_000, 400), (3, 100_000, 400), (40, 60_000, 400), (1, 5000, 200), (120, 20_000, 200)],
)
async def test_a_body_that_is_mostly_framing_is_refused(
    start_site: StartSite, pair: tuple[str, str], path: str, size: int, count: int, status: int
) -> None:
    site = await start_site(wants="raw bytes")
    if pair == ("tornado's", "tornado"):
        pytest.skip("Tornado's server and application have no such limit")
    async with await site.client() as client:
        chunks = b"%x\r\n%b\r\n" % (size, b"x" * size) * count
        client.send(
            b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode() + chunks + b"0\r\n\r\n"
        )
        answer = await client.answer()
        assert answer.status == status
        if status == 200:
            assert (await client.ask(get())).status == 200  # the connection stays open


async def test_a_body_beyond_the_limit_is_refused(start_site: StartSite) -> None:
    site = await start_site(max_body_size=1000)
    async with await site.client() as client:
        client.send(post("/echo", b"x" * 1001) + get())
        data = await client.rest()
    assert data.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))
    assert b"Hello, world!" not in data


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        post("/echo", b"", "Transfer-Encoding: chunked"),
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_what_is_malformed_ends_the_connection(start_site: StartSite, request_bytes: bytes) -> None:
    site = await start_site(wants="raw bytes")
    async with await site.client() as client:
        client.send(request_bytes + get())
        data = await client.rest()
    assert data.startswith(b"HTTP/1.1 400 ")
    assert b"Hello, world!" not in data
