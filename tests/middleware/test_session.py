"""The session middleware through real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tornado.web import HTTPError
from tornado.websocket import websocket_connect

from torngas_aio.application import Application
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.exception import CacheUnavailable, ConfigError, SessionError
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.middleware.session import SessionMiddleware
from torngas_aio.session import session_store
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

SECRET = "a long random text for these tests"


class WatchedCache(LocMemCache):
    """Counts what reaches the store; can be down."""

    asked: list[str]
    is_down = False

    async def raw_read(self, key: str, touch: float | None = 0.0) -> Any:
        self._ask("read")
        return await super().raw_read(key, touch)

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        self._ask("add")
        return await super().raw_add(key, data, timeout)

    async def raw_swap(self, *args: Any) -> Any:
        self._ask("swap")
        return await super().raw_swap(*args)

    async def raw_delete(self, key: str) -> bool:
        self._ask("delete")
        return await super().raw_delete(key)

    def _ask(self, what: str) -> None:
        type(self).asked.append(what)
        if type(self).is_down:
            raise CacheUnavailable("CACHES['default'] at 10.9.9.9:6379: no answer.")


class Data(WebHandler):
    async def get(self) -> None:
        self.write(dict(self.session))

    async def post(self) -> None:
        for name in self.request.arguments:
            self.session[name] = self.get_argument(name)


class Act(WebHandler):
    late: list[Exception]

    async def get(self, action: str) -> None:
        await getattr(self, f"do_{action}")()

    async def do_nothing(self) -> None:
        self.write(str(self.session["absent"]))

    async def do_logout(self) -> None:
        self.session.expired()

    async def do_login(self) -> None:
        self.session.cycle_id()
        self.session["user"] = "ann"
        self.write(str(self.session.sessionid))

    async def do_remember(self) -> None:
        self.session["user"] = "ann"
        self.set_expire(3600)

    async def do_crash(self) -> None:
        self.session["crashed"] = True
        self.session.cycle_id()
        raise RuntimeError("the method failed")

    async def do_crash_after_logout(self) -> None:
        self.session["crashed"] = True
        self.session.expired()
        raise RuntimeError("the method failed")

    async def do_forbid(self) -> None:
        self.session.incr("refused")
        raise HTTPError(403)

    async def do_stream(self) -> None:
        self.session["streamed"] = 1
        self.write("first")
        await self.flush()
        self.write("last")

    async def do_finish_early(self) -> None:
        self.session["early"] = 1
        await self.finish("sent")
        try:
            self.session["late"] = 1
        except SessionError as exc:
            self.late.append(exc)

    async def do_begin_late(self) -> None:
        self.write("first")
        await self.flush()
        try:
            self.session["late"] = 1
        except SessionError as exc:
            self.late.append(exc)

    async def do_untouched(self) -> None:
        self.write("untouched")

    async def do_remember_only(self) -> None:
        self.set_expire(3600)

    async def do_dying_logout(self) -> None:
        self.session.expired()
        WatchedCache.is_down = True

    async def do_late_change(self) -> None:
        self.session.get("user")
        self.write("first")
        await self.flush()
        self.session.clear()
        try:
            await self.session.save()
        except CacheUnavailable as exc:
            self.late.append(exc)

    async def do_refuse(self) -> None:
        self.session["thing"] = object()


class Plain(WebHandler):
    uses_session = False

    async def get(self, action: str) -> None:
        self.write(str(self.session) if action == "touches" else action)


class Socket(WebSocketHandler):
    def open(self, *args: str, **kwargs: str) -> None:
        self.session["opened"] = 1

    async def on_message(self, message: str | bytes) -> None:
        self.session.incr("messages")
        await self.session.save()
        await self.write_message("saved")


class ClearingMiddleware(BaseMiddleware):
    async def process_response(self, handler: Any, clear: Callable[[], None], chunk: list[bytes]) -> None:
        clear()


@pytest.fixture
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"secret_key": SECRET, **getattr(request, "param", {})}


@pytest.fixture
async def client(config: dict[str, Any], request: pytest.FixtureRequest) -> AsyncIterator[TestClient]:
    WatchedCache.asked, WatchedCache.is_down, Act.late = [], False, []
    caches = {"default": {"BACKEND": f"{__name__}.WatchedCache", "LOCATION": request.node.nodeid}}
    with settings.override(SESSION=config, CACHES=caches):
        application = Application(
            [(r"/", Data), (r"/socket", Socket), (r"/plain/(\w+)", Plain), (r"/(\w+)", Act)],
            middlewares=[SessionMiddleware, ClearingMiddleware],
        )
        async with TestClient(application) as client:
            yield client


async def test_what_one_request_puts_the_next_finds(client: TestClient) -> None:
    response = await client.post("/", data={"a": "1"})
    assert response.headers["set-cookie"].startswith("__TORNADOSSID=")
    assert response.headers["set-cookie"].endswith("; Path=/; SameSite=Lax; HttpOnly")
    response = await client.get("/")
    assert response.json() == {"a": "1"}
    assert "set-cookie" not in response.headers
    assert WatchedCache.asked == ["add", "read"]


async def test_without_cookie_and_data_the_store_is_not_asked(client: TestClient) -> None:
    for path in ("/", "/nothing", "/absent-page", "/logout"):
        response = await client.get(path)
        assert "set-cookie" not in response.headers
    client.cookies.set("__TORNADOSSID", "forged")
    assert (await client.get("/")).json() == {}
    assert WatchedCache.asked == []


async def test_login_and_logout(client: TestClient) -> None:
    await client.post("/", data={"cart": "full"})
    before = dict(client.cookies)
    await client.get("/login")
    assert dict(client.cookies) != before
    assert (await client.get("/")).json() == {"cart": "full", "user": "ann"}
    response = await client.get("/logout")
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert not client.cookies
    client.cookies.update(before)
    assert (await client.get("/")).json() == {}


async def test_set_expire_of_the_handler_makes_the_cookie_last(client: TestClient) -> None:
    response = await client.get("/remember")
    assert response.headers["set-cookie"].endswith("; Max-Age=3600")
    assert (await client.get("/")).json() == {"user": "ann"}


async def test_what_a_request_did_that_failed_is_not_kept(client: TestClient) -> None:
    await client.post("/", data={"a": "1"})
    assert (await client.get("/crash")).status_code == 500
    assert (await client.get("/")).json() == {"a": "1"}


async def test_a_logout_holds_even_if_the_request_failed(client: TestClient) -> None:
    await client.post("/", data={"a": "1"})
    before = dict(client.cookies)
    assert (await client.get("/crash_after_logout")).status_code == 500
    client.cookies.update(before)
    assert (await client.get("/")).json() == {}


async def test_what_a_refused_request_counted_is_kept(client: TestClient) -> None:
    assert (await client.get("/forbid")).status_code == 403
    assert (await client.get("/forbid")).status_code == 403
    assert (await client.get("/")).json() == {"refused": 2}


async def test_a_stream_is_saved_before_its_first_byte(client: TestClient) -> None:
    response = await client.get("/stream")
    assert response.text == "firstlast"
    assert "set-cookie" in response.headers
    assert (await client.get("/")).json() == {"streamed": 1}


async def test_changes_after_the_response_are_told_of(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    assert (await client.get("/finish_early")).text == "sent"
    assert (await client.get("/")).json() == {"early": 1}
    assert "changed after its response had left" in caplog.text


async def test_a_session_cannot_begin_after_the_header(client: TestClient) -> None:
    response = await client.get("/begin_late")
    assert response.text == "first"
    (error,) = Act.late
    assert "before the first flush()" in str(error)
    assert WatchedCache.asked == []


async def test_a_value_that_json_cannot_hold_fails_the_request(client: TestClient) -> None:
    assert (await client.get("/refuse")).status_code == 500
    assert "session['thing'] is of type object" in str(client.errors[-1])


async def test_concurrent_requests_of_one_browser_lose_nothing(client: TestClient) -> None:
    await client.post("/", data={"a": "1"})
    await asyncio.gather(*(client.post("/", data={f"k{number}": "1"}) for number in range(30)))
    assert len((await client.get("/")).json()) == 31


async def test_a_store_that_is_down_is_an_error_for_those_who_touch_their_session(client: TestClient) -> None:
    await client.post("/", data={"a": "1"})
    before = dict(client.cookies)
    WatchedCache.is_down = True
    assert (await client.get("/")).status_code == 503
    assert "10.9.9.9" in str(client.errors[-1])
    assert (await client.get("/logout")).status_code == 503
    assert (await client.get("/remember_only")).status_code == 503
    assert (await client.get("/untouched")).text == "untouched"
    assert dict(client.cookies) == before
    client.cookies.clear()
    assert (await client.get("/")).json() == {}
    assert (await client.post("/", data={"a": "1"})).status_code == 503
    WatchedCache.is_down = False


async def test_a_handler_without_session_costs_no_round_trip(client: TestClient) -> None:
    await client.post("/", data={"a": "1"})
    WatchedCache.asked.clear()
    assert (await client.get("/plain/nothing")).text == "nothing"
    assert WatchedCache.asked == []
    assert (await client.get("/plain/touches")).status_code == 500
    assert "uses_session = False" in str(client.errors[-1])
    assert (await client.get("/")).json() == {"a": "1"}
    WatchedCache.is_down = True
    assert (await client.get("/plain/nothing")).text == "nothing"


async def test_without_the_middleware_the_session_says_what_is_missing() -> None:
    async with TestClient(Application([(r"/", Data)])) as client:
        assert (await client.get("/")).status_code == 500
        assert "torngas_aio.middleware.session.SessionMiddleware" in str(client.errors[-1])


@pytest.mark.parametrize("config", [{"when_unavailable": "empty"}], indirect=True)
async def test_a_store_that_is_down_may_mean_an_empty_session(client: TestClient) -> None:
    await client.post("/", data={"a": "1"})
    before = dict(client.cookies)
    WatchedCache.is_down = True
    assert (await client.get("/")).json() == {}
    for change in ("/login", "/remember"):
        response = await client.get(change)
        assert response.status_code == 503, "no change is acknowledged that was not stored"
        assert "Set-Cookie" not in response.headers
    assert (await client.post("/", data={"b": "1"})).status_code == 503
    assert dict(client.cookies) == before
    WatchedCache.is_down = False
    assert (await client.get("/")).json() == {"a": "1"}


@pytest.mark.parametrize("config", [{"when_unavailable": "empty"}], indirect=True)
async def test_a_logout_that_was_not_stored_takes_the_cookie_and_answers_503(client: TestClient) -> None:
    await client.post("/", data={"user": "ann"})
    WatchedCache.is_down = True
    response = await client.get("/logout")
    assert response.status_code == 503
    assert response.headers.get_list("Set-Cookie")[0].count("Max-Age=0") == 1
    assert not client.cookies
    WatchedCache.is_down = False
    assert (await client.get("/")).json() == {}


@pytest.mark.parametrize("config", [{"when_unavailable": mode} for mode in ("fail", "empty")], indirect=True)
async def test_a_store_that_dies_before_the_logout_is_stored_takes_the_cookie(client: TestClient) -> None:
    await client.post("/", data={"user": "ann"})
    response = await client.get("/dying_logout")
    assert response.status_code == 503
    assert not client.cookies
    WatchedCache.is_down = False
    assert (await client.get("/")).json() == {}


@pytest.mark.parametrize("config", [{"when_unavailable": "empty"}], indirect=True)
async def test_a_change_after_the_first_byte_raises_in_save(client: TestClient) -> None:
    await client.post("/", data={"user": "ann"})
    WatchedCache.is_down = True
    assert (await client.get("/late_change")).text == "first"
    assert [type(error) for error in Act.late] == [CacheUnavailable]


async def test_a_socket_saves_what_it_is_told_to(client: TestClient) -> None:
    await client.post("/", data={"a": "1"})
    (name, value), *_ = client.cookies.items()
    from tornado.httpclient import HTTPRequest

    request = HTTPRequest(f"ws://127.0.0.1:{client.port}/socket", headers={"Cookie": f"{name}={value}"})
    socket = await websocket_connect(request)
    for _ in range(3):
        await socket.write_message("count")
        assert await socket.read_message() == "saved"
    socket.close()
    assert (await client.get("/")).json() == {"a": "1", "opened": 1, "messages": 3}


async def test_sessions_are_revoked_from_anywhere(client: TestClient) -> None:
    session_id = (await client.get("/login")).text
    (store,) = {id(session_store()): session_store() for _ in range(3)}.values()
    assert (await client.get("/")).json() == {"user": "ann"}
    cookie = (await client.get("/login")).text
    assert cookie != session_id
    await store.revoke(cookie)
    assert (await client.get("/")).json() == {}


@pytest.mark.parametrize("name", ["session_name", "secret_key"])
async def test_faults_of_the_settings_are_found_at_the_start(name: str) -> None:
    with settings.override(SESSION={"secret_key": SECRET, name: ""}):
        application = Application([(r"/", Data)], middlewares=[SessionMiddleware])
        with pytest.raises(ConfigError, match=name):
            await application.startup()


def test_the_signal_middleware_is_found_where_the_document_has_it() -> None:
    from torngas_aio.middleware import session, signal

    assert session.SignalMiddleware is signal.SignalMiddleware
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        session.Nothing  # noqa: B018  reading it is the test


@pytest.mark.parametrize("server", ["torngas_aio", "tornado"])
async def test_both_front_doors_hand_on_the_cookie(server: str, request: pytest.FixtureRequest) -> None:
    caches = {"default": {"BACKEND": LocMemCache, "LOCATION": request.node.nodeid}}
    with settings.override(SESSION={"secret_key": SECRET}, CACHES=caches):
        application = Application([(r"/", Data)], middlewares=[SessionMiddleware])
        async with TestClient(application, http_server=server) as client:
            client.cookies.set("other", "1")
            await client.post("/", data={"a": "1"})
            assert (await client.get("/")).json() == {"a": "1"}
