"""Tornado still has what `_compat.tornado` takes from it, and it does the same."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tornado import autoreload, template, web
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.routing import PathMatches
from tornado.tcpserver import TCPServer

from torngas_aio._compat.tornado import (
    BaseRouter,
    BufferedStream,
    UIModuleNamespace,
    answer_exception,
    block_source,
    close_after_response,
    connection_callback,
    cross_origin_fault,
    gzip_file_of,
    has_header,
    has_idle_loop,
    has_modules,
    header_lists,
    header_text,
    regex_of,
    restart,
    rewrite_reversed,
    scheme_of,
    unquote_to_bytes,
    websocket_mask,
    wrap_execution,
)


def test_an_application_makes_routers_of_this_class() -> None:
    application = web.Application([("/", web.RequestHandler)])
    assert type(application.wildcard_router) is BaseRouter


def test_a_handler_answers_an_exception_by_itself() -> None:
    told: list[BaseException] = []

    class Handler:
        _handle_request_exception = web.RequestHandler._handle_request_exception

        def log_exception(self, kind: type, error: BaseException, traceback: object) -> None:
            told.append(error)

        _finished = True

    error = ValueError()
    try:
        raise error
    except ValueError as exc:
        answer_exception(Handler(), exc)  # type: ignore[arg-type]
    assert told == [error]


def test_methods_that_a_handler_lacks_are_one_function() -> None:
    missing = {getattr(web.RequestHandler, name.lower()) for name in web.RequestHandler.SUPPORTED_METHODS}
    assert missing == {web.RequestHandler.get}


def test_a_handler_judges_cross_origin_requests() -> None:
    class Handler(web.RequestHandler):
        def __init__(self, headers: dict[str, str]) -> None:
            self.request = SimpleNamespace(headers=HTTPHeaders(headers))  # type: ignore[assignment]

        def check_trusted_origin(self, origin: str) -> bool:
            return False

    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://b.example"}
    assert cross_origin_fault(Handler({"Sec-Fetch-Site": "same-origin"})) is None
    assert cross_origin_fault(Handler(foreign))


def test_a_handler_makes_text_of_header_values() -> None:
    handler = object.__new__(web.RequestHandler)
    assert [header_text(handler, value) for value in ("a", b"b", 1)] == ["a", "b", "1"]
    with pytest.raises(ValueError, match="Unsafe header value"):
        header_text(handler, "a\nb")


def test_a_transform_keeps_its_gzip_file() -> None:
    request = SimpleNamespace(headers={"Accept-Encoding": "gzip"})
    transform = web.GZipContentEncoding(request)  # type: ignore[arg-type]
    headers = HTTPHeaders({"Content-Type": "text/plain"})
    transform.transform_first_chunk(200, headers, b"a" * 2000, finishing=False)
    assert not gzip_file_of(transform).closed
    gzip_file_of(transform).close()


def test_a_namespace_makes_modules_by_name() -> None:
    handler: Any = SimpleNamespace(_ui_module=lambda name, module: (name, module))
    modules: Any = UIModuleNamespace(handler, {"Entry": web.UIModule})
    assert modules.Entry == ("Entry", web.UIModule)


def made_handler() -> web.RequestHandler:
    line = RequestStartLine("GET", "/", "HTTP/1.0")
    connection: Any = SimpleNamespace(set_close_callback=lambda _: None)
    return web.RequestHandler(web.Application(), HTTPServerRequest(start_line=line, connection=connection))


def test_a_handler_keeps_its_headers() -> None:
    handler = made_handler()
    assert not has_header(handler, "Allow")
    handler.set_header("allow", "GET")
    assert has_header(handler, "Allow")


@pytest.mark.asyncio
async def test_what_runs_the_methods_of_a_handler_can_be_wrapped() -> None:
    told: list[object] = []

    async def wrapped(execute: Callable[..., Awaitable[None]], *args: Any, **kwargs: Any) -> None:
        told.append("before")
        await execute(*args, **kwargs)
        told.append("after")

    class Page(web.RequestHandler):
        def initialize(self) -> None:
            wrap_execution(self, wrapped)

        async def get(self) -> None:
            told.append("get")
            await self.finish("page")

    server = HTTPServer(web.Application([("/", Page)]))
    server.listen(0, "127.0.0.1")
    (listener,) = server._sockets.values()
    try:
        answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    finally:
        server.stop()
    assert (answer.body, told) == (b"page", ["before", "get", "after"])


@pytest.mark.asyncio
async def test_a_connection_can_be_told_to_close_after_its_answer() -> None:
    class Page(web.RequestHandler):
        async def get(self) -> None:
            close_after_response(self.request.connection)
            await self.finish("page")

    server = HTTPServer(web.Application([("/", Page)]))
    server.listen(0, "127.0.0.1")
    (listener,) = server._sockets.values()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.read()).endswith(b"\r\n\r\npage")
    writer.close()
    await writer.wait_closed()
    server.stop()


def test_a_handler_keeps_the_modules_that_it_has_rendered() -> None:
    class Entry(web.UIModule):
        def render(self, *args: object) -> str:
            return "entry"

    handler = made_handler()
    assert not has_modules(handler)
    modules: Any = UIModuleNamespace(handler, {"Entry": Entry})
    modules.Entry()
    assert has_modules(handler)


def test_headers_keep_lists_by_usual_names() -> None:
    headers = HTTPHeaders({"a-b": "1"})
    headers.add("A-B", "2")
    assert header_lists(headers) == {"A-B": ["1", "2"]}
    filled = HTTPHeaders()
    assert header_lists(filled) == {}
    header_lists(filled)["A-B"] = ["1", "2"]
    assert filled.get("a-b") == headers["A-B"] == "1,2"
    assert list(filled.get_all()) == list(headers.get_all())


def test_a_path_matcher_reverses_by_its_address() -> None:
    matcher = PathMatches(r"/a/(\d+)")
    assert regex_of(matcher).pattern == r"/a/(\d+)$"
    rewrite_reversed(matcher, lambda path: path.replace("/a/", "/b/"))
    assert matcher.reverse(7) == "/b/7"


def test_a_path_matcher_without_an_address_keeps_none() -> None:
    matcher = PathMatches(r"/(?:a|b)/x")
    rewrite_reversed(matcher, lambda path: "/c")
    with pytest.raises(ValueError, match="Cannot reverse"):
        matcher.reverse()


def test_a_restart_runs_the_reload_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(autoreload, "_reload_hooks", [lambda: ran.append("hook")])
    monkeypatch.setattr(autoreload.os, "execv", lambda *words: ran.append("execv"))  # type: ignore[attr-defined]
    monkeypatch.setattr(autoreload.os, "execve", lambda *words: ran.append("execv"))  # type: ignore[attr-defined]
    monkeypatch.setattr(autoreload, "_reload_attempted", False)
    restart()
    assert ran == ["hook", "execv"]


async def test_an_accepted_socket_becomes_a_stream() -> None:
    taken: list[object] = []

    class Server(TCPServer):
        async def handle_stream(self, stream: IOStream, address: object) -> None:
            taken.append(address)
            stream.close()

    one, other = socket.socketpair()
    with other:
        connection_callback(Server())(one, "address")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert taken == ["address"]


def test_a_context_remembers_the_scheme_of_its_connection() -> None:
    from tornado.httpserver import _HTTPRequestContext

    one, other = socket.socketpair()
    with one, other:
        stream = SimpleNamespace(socket=one)
        context = _HTTPRequestContext(stream, ("127.0.0.1", 1), None)  # type: ignore[arg-type]
        context.protocol = "https"
        assert scheme_of(context) == "http"


def test_one_block_of_a_page_is_generated() -> None:
    loader = template.DictLoader(
        {
            "base.html": "<{% block one %}base{% end %}>{% block two %}{% end %}",
            "page.html": "{% extends base.html %}{% block one %}page{% end %}",
        }
    )
    page = loader.load("page.html")
    source, names = block_source(page, loader, "one")
    assert names == ["one", "two"]
    assert "page" in source
    assert "base" not in source.replace("base.html", "")
    assert block_source(page, loader, "none") == ("", ["one", "two"])


@pytest.mark.parametrize(("text", "data"), [(b"a%20b%", b"a b%"), (b"%41%zz", b"A%zz"), (b"%C3%a9", "é".encode())])
def test_escapes_are_unquoted_to_bytes(text: bytes, data: bytes) -> None:
    assert unquote_to_bytes(text) == data


def test_a_payload_is_masked() -> None:
    assert websocket_mask(b"\x01\x02\x03\x04", b"\x00\x00\x00\x00\xff") == b"\x01\x02\x03\x04\xfe"


async def test_a_stream_tells_what_it_waits_for() -> None:
    class Stream(BufferedStream):
        def fileno(self) -> int:
            return -1

        def close_fd(self) -> None:
            pass

        def _add_io_state(self, state: int) -> None:
            pass

        def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
            data, self.inbox = self.inbox, b""
            buf[: len(data)] = data
            return len(data) or None

        inbox = b""

    stream = Stream()
    assert (stream.is_quiet, stream.is_awaited, stream.is_filling) == (True, False, False)
    reading = stream.read_bytes(2)
    assert (stream.is_quiet, stream.is_awaited, stream.is_filling) == (False, True, False)
    stream.inbox = b"ab"
    stream.read_now()
    assert await reading == b"ab"
    filling = stream.read_into(bytearray(2))
    assert stream.is_filling
    stream.inbox = b"cd"
    stream.read_now()
    assert await filling == 2
    assert stream.is_quiet
    stream.close()
    assert not stream.is_quiet


def test_an_ioloop_that_does_not_run_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IOLoop, "_ioloop_for_asyncio", {})  # without those that other tests have left
    assert not has_idle_loop()
    loop = IOLoop(make_current=False)
    assert has_idle_loop()
    loop.close(all_fds=True)
    assert not has_idle_loop()
