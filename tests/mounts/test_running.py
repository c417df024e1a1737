"""ASGI applications under a URL, over sockets, behind each front door."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.http.wire import Client, get
from tests.mounts.conftest import OpenClient, Site, answer
from tests.polling import until_still
from torngas_aio import BaseHttpModule, BaseMiddleware, mount
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError, HTTPError
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient
from torngas_aio.urlhelper import include, route


@pytest.mark.parametrize(
    ("rules", "address", "root", "path"),
    [
        (lambda site: [mount("/admin", site)], "/admin", "/admin", "/admin"),
        (lambda site: [mount("/admin/", site)], "/admin/", "/admin", "/admin/"),
        (lambda site: [mount("/admin", site)], "/admin/a/b?c=%20d", "/admin", "/admin/a/b"),
        (lambda site: [mount("/admin", site)], "/admin/%C3%A4%2Fb", "/admin", "/admin/ä/b"),
        (lambda site: [mount("/a.b", site)], "/a.b/c", "/a.b", "/a.b/c"),
        (lambda site: [mount("/ä b", site)], "/%C3%A4%20b/c", "/ä b", "/ä b/c"),
        (lambda site: [mount("/", site)], "/a", "", "/a"),
        (lambda site: include("/admin", [mount("/admin", site)]), "/admin/admin/admin/x", "/admin/admin", None),
        (lambda site: include(r"/(\d+)", [mount("/x", site)]), "/7/x/y", "/7/x", "/7/x/y"),
        (lambda site: include(r"/(?P<project>\d+)/", [mount("/x", site)]), "/7/x/y", "/7/x", "/7/x/y"),
        (lambda site: include("/(?:a|b)", [mount("/x", site)]), "/b/x/x", "/b/x", "/b/x/x"),
    ],
)
async def test_the_application_sees_its_root_and_the_whole_path(
    open_client: OpenClient, site: Site, rules: Any, address: str, root: str, path: str | None
) -> None:
    client = await open_client(route(await asyncio.to_thread(rules, site)))
    shown = (await client.get(address)).json()
    assert (shown["root_path"], shown["path"]) == (root, path or address)
    assert shown["raw_path"] == address.partition("?")[0]
    assert shown["query_string"] == address.partition("?")[2]
    assert shown["state"] == {"started": True}


@pytest.mark.parametrize("address", ["/adminx", "/admi", "/x/admin"])
async def test_other_paths_are_not_the_application_s(open_client: OpenClient, site: Site, address: str) -> None:
    client = await open_client([mount("/admin", site)])
    assert (await client.get(address)).status_code == 404


async def test_the_lifespan_runs_with_ours(site: Site) -> None:
    application = Application([mount("/", site)])
    for _ in range(2):
        await application.startup()
        assert site.notes.pop() == "lifespan.startup"
        await application.shutdown()
        assert site.notes.pop() == "lifespan.shutdown"


@pytest.mark.parametrize("reason", ["", "no database"])
async def test_an_application_that_does_not_start_stops_ours(reason: str) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": reason})

    with pytest.raises(ConfigError, match=reason or "no reason"):
        await Application([mount("/", broken)]).startup()


@pytest.mark.parametrize("does", ["raises", "returns"])
async def test_an_application_needs_no_lifespan(open_client: OpenClient, does: str) -> None:
    async def without(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send, b"fine")
        elif does == "raises":
            raise AssertionError(scope["type"])

    client = await open_client([mount("/", without)])
    assert (await client.get("/")).text == "fine"


async def test_bodies_are_streamed_both_ways(open_client: OpenClient, site: Site) -> None:
    client = await open_client([mount("/a", site)])
    may_go_on = asyncio.Event()

    async def parts() -> Any:
        yield b"one"
        await asyncio.wait_for(may_go_on.wait(), 10)
        yield b"two"

    async def permit() -> None:
        await site.until("3 True")
        may_go_on.set()

    permitting = asyncio.create_task(permit())
    response = await client.post("/a/echo", content=parts())
    await permitting
    assert (response.status_code, response.text) == (201, "onetwo")
    assert response.headers.get_list("x-a") == ["1", "2"]
    assert "content-type" not in response.headers


@pytest.mark.parametrize("turns", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 200_000])
async def test_a_receive_that_is_cancelled_loses_nothing(open_client: OpenClient, size: int, turns: int) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        body, message, cancels = b"", {"more_body": True}, 0
        while message["more_body"]:
            receiving = asyncio.ensure_future(receive())
            if cancels < 100:
                for _ in range(turns):
                    await asyncio.sleep(0)
                receiving.cancel()
                await asyncio.wait([receiving])
                cancels += 1
            if not receiving.cancelled():
                message = await receiving
                body += message["body"]
        await answer(send, str(len(body)).encode())

    client = await open_client([mount("/a", application)])
    assert (await client.post("/a", content=b"x" * size)).text == str(size)


async def test_a_client_that_does_not_read_stops_the_application(open_client: OpenClient, site: Site) -> None:
    client = await open_client([mount("/a", site)])
    async with await Client.connect((client.base_url.host, client.base_url.port)) as wire:
        wire.send(get("/a/flood"))
        assert (
            0 < await until_still(lambda: len(site.notes)) < 5000
        )  # 64 KiB each; the system takes up to some 70 MB for a connection
    await site.until("gone")


async def test_the_application_is_told_that_its_client_has_gone(open_client: OpenClient, site: Site) -> None:
    client = await open_client([mount("/a", site)])
    async with client.stream("GET", "/a/waits") as response:
        assert await anext(response.aiter_raw()) == b"begun"
    await site.until("http.disconnect")


@pytest.mark.parametrize("door", ["torngas_aio", "tornado"])
async def test_a_stop_cancels_the_application(site: Site, door: str) -> None:
    async with TestClient(Application([mount("/a", site)]), http_server=door) as client:
        asking = asyncio.ensure_future(client.get("/a/cancelled"))
        await site.until("waiting")
    assert "cancelled" in site.notes
    await asyncio.wait([asking])
    asking.exception()


@pytest.mark.parametrize("name", ["fails", "silent", "half", "odd_status", "odd_header"])
async def test_a_fault_of_the_application_is_answered_500(
    open_client: OpenClient, site: Site, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await open_client([mount("/a", site)])
    response = await client.get(f"/a/{name}")
    assert response.status_code == 500
    assert "set-cookie" not in response.headers
    assert caplog.records


@pytest.mark.parametrize("door", ["torngas_aio", "tornado"], indirect=True)
async def test_a_fault_after_the_head_cuts_the_response(open_client: OpenClient, site: Site) -> None:
    client = await open_client([mount("/a", site)])
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get("/a/fails_late")


async def test_responses_without_a_body(open_client: OpenClient, site: Site) -> None:
    client = await open_client([mount("/a", site)], etag=True)
    assert (await client.head("/a/head")).headers["content-length"] == "7"
    response = await client.get("/a/unmodified")
    assert (response.status_code, response.content) == (304, b"")
    assert (await client.head("/a/")).content == b""


async def test_a_body_over_the_limit_is_answered_413(open_client: OpenClient, site: Site) -> None:
    """The application's answer to the error that `receive` raises does not count."""
    client = await open_client([mount("/a", site, max_body_size=10), mount("/b", site, max_body_size=20_000_000)])
    assert (await client.post("/a/swallows", content=b"x" * 11)).status_code == 413
    assert (await client.post("/b/swallows", content=b"x" * 20_000_000)).status_code == 201


HEADERS = [
    ({"sec-fetch-site": "cross-site", "origin": "https://evil.test"}, 403),
    ({"sec-fetch-site": "same-site"}, 403),
    ({"origin": "https://evil.test"}, 403),
    ({"origin": "null"}, 403),
    ({"sec-fetch-site": "same-origin"}, 201),
    ({"sec-fetch-site": "cross-site", "origin": "https://friend.test"}, 201),
    ({}, 201),
]


@pytest.mark.parametrize(("headers", "status"), HEADERS)
async def test_unsafe_requests_of_other_sites_are_refused(
    open_client: OpenClient, site: Site, headers: dict[str, str], status: int
) -> None:
    routes = [mount("/a", site), mount("/open", site, allows_cross_site=True)]
    client = await open_client(routes, trusted_origins=["https://friend.test"], xsrf_cookies=True)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await client.request(method, "/a/echo", headers=headers)).status_code == status
        assert (await client.request(method, "/open/echo", headers=headers)).status_code == 201
    assert (await client.get("/a/", headers=headers)).status_code == 200


class Refuses(BaseHttpModule):
    async def begin_request(self, handler: Any, clear: Any) -> None:
        raise HTTPError(403, "guarded")


class Breaks(BaseHttpModule):
    before_body = True

    async def begin_request(self, handler: Any, clear: Any) -> None:
        raise LookupError("the guard itself failed")


GUARDED = [
    ({"admin": [Refuses]}, "/a/admin/x", 403),
    ({"admin": [Breaks]}, "/a/admin/x", 500),
    ({"^/a/admin/": [Refuses]}, "/a/admin/x", 403),
    ({"^/a/admin/": [Refuses]}, "/a/other", 200),
    ({"^/a/admin/": [Refuses]}, "/a/%61dmin/x", 400),
    ({"^/a/admin/": [Refuses]}, "/a/admin%2Fx", 400),
    ({"^/a/admin/": [Refuses]}, "/a//admin/x", 400),
    ({"^/a/admin/": [Refuses]}, "/a/x/../admin/x", 400),
    ({"^/a/admin/": [Refuses]}, "/a/x/%2e%2e/admin/x", 400),
    ({"^/a/admin/": [Refuses]}, "/a/%C3%A4", 200),
    ({"^/a/(?!public/)": [Refuses]}, "/a/public/x", 200),
    ({"^/a/(?!public/)": [Refuses]}, "/a/public/../x", 400),
]


@pytest.mark.parametrize(("modules", "address", "status"), GUARDED)
async def test_guards_stand_before_the_application(
    open_client: OpenClient, site: Site, modules: Any, address: str, status: int
) -> None:
    with settings.override(ROUTE_MODULES=modules):
        client = await open_client([mount("/a", site, name="admin")], (HttpModuleMiddleware(),))
        async with await Client.connect((client.base_url.host, client.base_url.port)) as wire:
            assert (await wire.ask(get(address))).status == status


async def test_hooks_and_the_access_log_see_the_request(
    open_client: OpenClient, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    class Notes(BaseMiddleware):
        async def process_request(self, handler: Any, clear: Any) -> None:
            handler.current_user = "ann"

        async def process_response(self, handler: Any, clear: Any, chunk: Any) -> None:
            handler.set_header("X-Hook", "seen")

    caplog.set_level("INFO", "tornado.access")
    client = await open_client([mount("/a", site)], (Notes(),))
    response = await client.get("/a/user")
    assert (response.text, response.headers["x-hook"]) == ("ann", "seen")
    assert any("/a/user" in record.getMessage() for record in caplog.records)
