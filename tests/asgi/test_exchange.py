"""What an ASGI server may do to a request, and uvicorn cannot be made to do."""

import asyncio
import json
import logging
from pathlib import Path

import pytest
from tornado.template import Template

from tests.asgi.client import Site, whole
from tests.asgi.server import Server, http_scope
from torngas_aio.application import Application
from torngas_aio.asgi import exchange
from torngas_aio.handler import WebHandler


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


class Waits(WebHandler):
    async def get(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("slow", [False, True])
async def test_a_request_that_the_server_cancels_before_its_answer_is_answered_503(
    slow: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the log says: uvicorn would answer 500 at the end of its graceful time. A slow client is not waited for."""
    monkeypatch.setattr(exchange, "LAST_SECONDS", 0.05)
    server = Server(Application([(r"/", Waits)]), http_scope("/"), slow=slow)
    for _ in range(5):
        await asyncio.sleep(0)
    with caplog.at_level(logging.INFO):
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
    assert [message.get("status") for message in server.sent] == ([] if slow else [503, None])
    assert "503 GET /" in caplog.text


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
