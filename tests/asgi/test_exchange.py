"""What an ASGI server may do to a request, and uvicorn cannot be made to do."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tornado.iostream import StreamClosedError
from tornado.template import Template
from tornado.web import stream_request_body

from tests.asgi.server import Server, http_scope
from torngas_aio.application import Application
from torngas_aio.asgi.body import IncomingBody
from torngas_aio.handler import WebHandler
from torngas_aio.http.limits import Limits

GONE = {"type": "http.disconnect"}
LENGTH = [(b"host", b"test"), (b"content-length", b"10")]


class Site:
    """An application, and what its handlers have noted."""

    def __init__(self) -> None:  # noqa: C901  many small classes
        self.notes: list[str] = []
        self.went_on = asyncio.Event()
        notes, went_on = self.notes, self.went_on

        class Echo(WebHandler):
            def post(self) -> None:
                self.write(self.request.body)

            put = patch = post

            def get(self) -> None:
                self.write({"ip": self.request.remote_ip, "path": self.request.path})

        @stream_request_body
        class Upload(WebHandler):
            def data_received(self, chunk: bytes) -> None:
                notes.append(chunk.decode())

            def on_connection_close(self) -> None:
                super().on_connection_close()
                notes.append("left")

            def post(self) -> None:
                notes.append("posted")

        class Large(WebHandler):
            async def get(self) -> None:
                try:
                    for _ in range(100):
                        self.write(b"x" * 40_000)
                        await self.flush()
                        notes.append("flushed")
                except StreamClosedError:
                    notes.append("closed")

        @stream_request_body
        class Answers(Upload):
            async def prepare(self) -> None:
                self.write("begun")
                await self.flush()
                if self.get_argument("waits", None):
                    await went_on.wait()

            def on_connection_close(self) -> None:
                super().on_connection_close()
                went_on.set()

        class Waits(WebHandler):
            def on_connection_close(self) -> None:
                super().on_connection_close()
                notes.append("left")
                went_on.set()

            async def get(self) -> None:
                await went_on.wait()

        class Breaks(WebHandler):
            async def get(self) -> None:
                self.write("begun")
                await self.flush()
                raise LookupError("broken")

        class Lengths(WebHandler):
            async def get(self, promised: str, given: str) -> None:
                self.set_header("Content-Length", promised)
                self.write(b"x" * int(given))
                await self.flush()

        class Hints(WebHandler):
            async def get(self) -> None:
                self.set_status(103)
                await self.flush()

        self.application = Application(
            [
                (r"/echo", Echo), (r"/upload", Upload), (r"/large", Large), (r"/waits", Waits), (r"/breaks", Breaks),
                (r"/lengths/(\w+)/(\d+)", Lengths), (r"/hints", Hints), (r"/answers", Answers),
            ]
        )  # fmt: skip


@pytest.fixture
async def site() -> Any:
    site = Site()
    yield site
    await site.application.shutdown()


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


def whole(sent: list[Any]) -> bytes:
    assert sent[0]["type"] == "http.response.start"
    assert not sent[-1].get("more_body")
    return b"".join(message["body"] for message in sent[1:])


async def test_a_client_that_goes_before_its_body_is_told_of_once(site: Site) -> None:
    scope = http_scope("/upload", "POST", headers=LENGTH)
    assert await Server(site.application, scope, [GONE, GONE]).ended() == []
    assert site.notes == ["left"]


async def test_a_client_that_goes_midway_through_its_body_is_told_of_once(site: Site) -> None:
    scope = http_scope("/upload", "POST", headers=LENGTH)
    assert await Server(site.application, scope, [body(b"half", True), GONE]).ended() == []
    assert site.notes == ["half", "left"]


@pytest.mark.parametrize(
    "messages", [[GONE], [body(b"half", True), GONE], [body(b"a", True), body(b"b"), GONE], [body(b"0123456789"), GONE]]
)
@pytest.mark.parametrize("headers", [LENGTH, LENGTH[:1]], ids=["length", "none"])
async def test_a_client_that_goes_while_it_is_answered_and_its_body_is_not_read(
    site: Site, headers: Any, messages: list[Any]
) -> None:
    scope = http_scope("/answers", "POST", headers=headers, query_string=b"waits=1")
    async with asyncio.timeout(5):
        await Server(site.application, scope, messages).ended()
    assert site.notes.count("left") == 1


async def test_what_was_received_ahead_is_read_in_order(site: Site) -> None:
    server = Server(site.application, http_scope("/answers", "POST"), [body(b"a", True), body(b"b", True), body(b"c")])
    await server.ended()
    assert site.notes == ["a", "b", "c", "posted"]


async def test_little_is_received_ahead() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(10):
        messages.put_nowait(body(b"x" * 40_000, True))
    messages.put_nowait(body(b"end"))
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits())
    await incoming.receive_ahead()
    assert messages.qsize() == 9
    assert len(await incoming.read_all()) == 400_003


async def test_a_reader_and_the_one_ahead_share_what_comes() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits())
    reading, ahead = asyncio.ensure_future(incoming.read_all()), asyncio.ensure_future(incoming.receive_ahead())
    for text in (b"a", b"b", b"c"):
        messages.put_nowait(body(text, text != b"c"))
        await asyncio.sleep(0.01)
    assert await reading == b"abc"
    await ahead


async def test_the_end_of_the_body_may_be_said_again_and_again(site: Site) -> None:
    server = Server(site.application, http_scope("/waits"), [body(), body(), body()])
    server.give(GONE)
    await server.ended()
    assert site.notes == ["left"]


async def test_a_body_over_http_2_has_no_length_beforehand(site: Site) -> None:
    scope = http_scope("/echo", "POST", http_version="2")
    assert whole(await Server(site.application, scope, [body(b"a", True), body(b"b")]).ended()) == b"ab"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "3"])
async def test_a_body_that_the_head_does_not_announce_is_read(site: Site, version: str, method: str) -> None:
    scope = http_scope("/echo", method, http_version=version)
    assert whole(await Server(site.application, scope, [body(b"a", True), body(b"b")]).ended()) == b"ab"
    assert whole(await Server(site.application, scope, [body()]).ended()) == b""


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"body_rate_timeout": 0.05}, [b"x"]),
        ({"body_rate_timeout": 0.05}, []),
        ({"body_timeout": 0.05}, [b"x" * 100_000]),
    ],
)
async def test_a_body_that_comes_too_slowly_is_answered_408(site: Site, options: Any, parts: list[bytes]) -> None:
    scope = http_scope("/echo", "POST")
    server = Server(site.application, scope, [body(part, True) for part in parts], **options)
    sent = await server.ended()
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_body_at_a_good_pace_has_all_the_time() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    limits = Limits(body_rate_timeout=0.02, min_rate=10)
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, limits)
    reading = asyncio.ensure_future(incoming.read_all())
    for _ in range(10):
        messages.put_nowait(body(b"x", True))
        await asyncio.sleep(0.01)
    messages.put_nowait(body())
    assert await reading == b"x" * 10


async def test_the_time_that_the_handler_takes_is_not_the_clients() -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits(body_rate_timeout=0.02))
    messages.put_nowait(body(b"x", True))
    assert await incoming.read_chunk() == b"x"
    await asyncio.sleep(0.05)
    messages.put_nowait(body(b"y"))
    assert await incoming.read_chunk() == b"y"


@pytest.mark.parametrize("how", ["read_all", "read_chunk"])
async def test_a_reader_that_was_cancelled_loses_nothing(how: str) -> None:
    messages: asyncio.Queue[Any] = asyncio.Queue()
    incoming = IncomingBody(http_scope("/", "POST"), messages.get, lambda: None, Limits())
    if how == "read_all":
        messages.put_nowait(body(b"a", True))
    reading = asyncio.ensure_future(getattr(incoming, how)())
    await asyncio.sleep(0.01)
    reading.cancel()
    messages.put_nowait(body(b"b"))  # taken by the receive that is under way
    await asyncio.wait([reading])
    assert await incoming.read_all() == (b"ab" if how == "read_all" else b"b")
    await incoming.aclose()


async def test_an_empty_length_is_no_body(site: Site) -> None:
    scope = http_scope("/echo", "POST", headers=[(b"content-length", b"0"), (b"host", b"test")])
    assert whole(await Server(site.application, scope).ended()) == b""


@pytest.mark.parametrize(("version", "closes"), [("1.1", True), ("2", False)])
async def test_a_body_that_is_too_large_is_refused(site: Site, version: str, closes: bool) -> None:
    scope = http_scope("/echo", "POST", headers=LENGTH, http_version=version)
    sent = await Server(site.application, scope, [body(b"x" * 10)], max_body_size=9).ended()
    assert sent[0]["status"] == 413
    assert ((b"connection", b"close") in sent[0]["headers"]) is closes


@pytest.mark.parametrize("part", ["http.response.start", "http.response.body"])
async def test_a_send_that_fails_is_a_client_that_has_gone(site: Site, part: str) -> None:
    await Server(site.application, http_scope("/large"), failing=part).ended()
    assert site.notes[-1] == "closed"


async def test_a_slow_server_holds_the_handler_back(site: Site) -> None:
    server = Server(site.application, http_scope("/large"), slow=True)
    server.take(3)
    await server.said(3)
    for _ in range(20):  # the handler could run on, if it were let
        await asyncio.sleep(0)
    assert len(site.notes) <= 5
    server.take(200)
    assert len(whole(await server.ended())) == 4_000_000


async def test_a_client_that_goes_frees_a_handler_that_waits_for_room(site: Site) -> None:
    server = Server(site.application, http_scope("/large"), slow=True)
    server.take(1)
    await server.said(1)
    server.give(GONE)
    server.take(1)
    await server.ended()
    assert site.notes[-1] == "closed"


async def test_what_breaks_after_the_header_stays_incomplete(site: Site) -> None:
    sent = await Server(site.application, http_scope("/breaks")).ended()
    assert all(message.get("more_body", True) for message in sent)


async def test_a_broken_promise_stays_incomplete(site: Site) -> None:
    sent = await Server(site.application, http_scope("/lengths/6/5")).ended()
    assert all(message.get("more_body", True) for message in sent)
    assert sum(len(message.get("body", b"")) for message in sent) <= 6


async def test_a_promise_that_cannot_be_kept_is_500(site: Site) -> None:
    sent = await Server(site.application, http_scope("/lengths/5/6")).ended()
    assert sent[0]["status"] == 500
    assert b"500" in whole(sent)


async def test_hints_are_left_out(site: Site) -> None:
    sent = await Server(site.application, http_scope("/hints")).ended()
    assert all(message["status"] >= 200 for message in sent if message["type"] == "http.response.start")


async def test_a_request_without_a_client_below_a_root_path(site: Site) -> None:
    scope = http_scope("/mounted/echo", root_path="/mounted", client=None)
    answer = json.loads(whole(await Server(site.application, scope).ended()))
    assert answer == {"ip": "0.0.0.0", "path": "/echo"}


async def test_a_head_that_is_malformed_never_reaches_the_application(site: Site) -> None:
    sent = await Server(site.application, http_scope("/echo", headers=[(b"host", b"a"), (b"host", b"b")])).ended()
    assert sent[0]["status"] == 400
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_cancelling_the_server_cancels_the_request(site: Site) -> None:
    server = Server(site.application, http_scope("/large"), slow=True)
    server.take(1)
    await server.said(1)
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert len(asyncio.all_tasks()) == 1


TARGETS = [("http://test/echo", 200), ("HTTP://TEST/echo", 200), ("http://other/echo", 400), ("ftp://test/echo", 400)]


@pytest.mark.parametrize("root", ["", "/app"])
@pytest.mark.parametrize(("target", "status"), TARGETS)
async def test_a_target_may_be_a_whole_url(site: Site, target: str, status: int, root: str) -> None:
    raw = target.replace("/echo", f"{root}/echo").encode()
    sent = await Server(site.application, http_scope(target, raw_path=raw, root_path=root)).ended()
    assert sent[0]["status"] == status
    if status == 200:
        assert json.loads(whole(sent))["path"] == "/echo"


class Links(WebHandler):
    async def get(self) -> None:
        files = [await asyncio.to_thread(self.static_url, "a.txt", include_host) for include_host in (None, True)]
        urls = [self.reverse_url("named", "7"), *files]
        page = Template("{{ reverse_url('named', '8') }}").generate(**self.get_template_namespace())
        self.write({"urls": urls, "full": self.request.full_url(), "path": self.request.path, "page": page.decode()})


class Named(WebHandler):
    async def get(self, number: str) -> None:
        self.redirect(self.reverse_url("named", number))


MOUNTS = [("", "/links", ""), ("/app", "/app/links", "/app"), ("/app/", "/app/links", "/app"),
          ("/app", "/links", "/app")]  # fmt: skip


@pytest.mark.parametrize(("root_path", "path", "mount"), MOUNTS)
@pytest.mark.parametrize("prefix", ["/static/", "https://cdn.example/"])
async def test_urls_begin_with_the_root_path(
    tmp_path: Path, root_path: str, path: str, mount: str, prefix: str
) -> None:
    settings = {"static_path": str(tmp_path), "static_url_prefix": prefix}
    application = Application([("/links", Links), ("/n/(.*)", Named, {}, "named")], **settings)
    scope = http_scope(path, root_path=root_path, headers=[(b"host", b"h.example")], query_string=b"q=1")
    answer = json.loads(whole(await Server(application, scope).ended()))
    if prefix == "/static/":
        file = f"{mount}/static/a.txt"
        assert answer["urls"] == [f"{mount}/n/7", file, f"http://h.example{file}"]
    else:
        assert answer["urls"][:2] == [f"{mount}/n/7", "https://cdn.example/a.txt"]
    assert answer["page"] == f"{mount}/n/8"
    assert (answer["full"], answer["path"]) == (f"http://h.example{mount}/links?q=1", "/links")
