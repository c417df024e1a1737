"""Errors of handlers and hooks, asked for over a socket."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.exception import Http404, HttpForbiddenError
from torngas_aio.handler import ApiHandler, WebHandler
from torngas_aio.handler.failure import _may_show_debug
from torngas_aio.middleware.base import BaseMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


class Fails(WebHandler):
    async def get(self) -> None:
        values = {"password": "hunter2"}
        raise ZeroDivisionError(f"at {len(values)}")


class Missing(WebHandler):
    async def get(self) -> None:
        raise Http404("no post %s", 12)


class Api(ApiHandler):
    async def get(self) -> None:
        raise HttpForbiddenError("not yours")

    async def post(self) -> None:
        self.write_api(self.get_json_body())


class Answers(Fails):
    def exception_response(self, status_code: int, **kwargs: Any) -> None:
        self.write(f"sorry, {status_code}: {kwargs['exc_info'][0].__name__}")


class AnswersLater(Fails):
    async def exception_response(self, status_code: int, **kwargs: Any) -> None:
        self.write(f"sorry later, {status_code}")


class Guard(BaseMiddleware):
    async def process_request(self, handler: Any, clear: Any) -> None:
        if handler.get_query_argument("guard", ""):
            raise LookupError("guarded")


def application(**settings: Any) -> Application:
    settings.setdefault("template_path", "no-such-directory")
    routes = [
        ("/fails", Fails, None, "fails"),
        ("/missing", Missing),
        ("/api", Api),
        ("/answers", Answers),
        ("/later", AnswersLater),
    ]
    return Application(routes, middlewares=[Guard], **settings)


async def get(path: str, accept: str = "text/html", **settings: Any) -> Any:
    async with TestClient(application(**settings)) as client:
        return await client.get(path, headers={"Accept": accept})


async def test_the_debug_page_of_a_handler() -> None:
    response = await get("/fails", debug=True)
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "script-src 'sha256-" in response.headers["Content-Security-Policy"]
    assert "ZeroDivisionError" in response.text
    assert "hunter2" not in response.text
    assert "<li class=failed>handler    " in response.text
    assert "Fails.get" in response.text


async def test_the_failed_hook_is_marked() -> None:
    response = await get("/fails?guard=1", debug=True)
    assert "<li class=failed>request    " in response.text
    assert "Guard.process_request" in response.text


async def test_a_404_lists_the_nearest_routes_first() -> None:
    text = (await get("/fail", "text/plain", debug=True)).text
    routes = text[text.index("Routes tried") :]
    assert routes.index("/fails") < routes.index("/api")
    assert "Routes tried" not in (await get("/missing", "text/plain", debug=True)).text, "it matched a route"


async def test_json_and_text_by_accept() -> None:
    response = await get("/fails", "application/json", debug=True)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["exceptions"][0]["type"] == "ZeroDivisionError"
    assert (await get("/fails", "text/plain", debug=True)).text.startswith("500 Internal Server Error\nGET /fails")


async def test_with_debug_off_the_page_is_short() -> None:
    response = await get("/fails")
    assert response.status_code == 500
    assert "ZeroDivisionError" not in response.text
    assert len(response.content) < 2000
    assert (await get("/nowhere")).text.count("There is no page at this address.") == 1


async def test_api_handlers_answer_problem_details_whatever_is_accepted() -> None:
    for given in ({}, {"debug": True}):
        response = await get("/api", "text/html", **given)
        assert response.status_code == 403
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.json()["title"] == "Forbidden"
        assert "not yours" in response.text  # the text is for the client


async def test_a_json_body_that_is_none_is_a_400_that_says_why() -> None:
    async with TestClient(application()) as client:
        response = await client.post("/api", content=b"{nope")
        assert response.status_code == 400
        assert response.json()["detail"].startswith("This is not valid JSON at line 1")
        response = await client.post("/api", content=b"[" * 200 + b"]" * 200)
        assert (response.status_code, response.json()["detail"][:17]) == (400, "The JSON is neste")
        response = await client.post("/api", content=json.dumps(["x" * 2_000_000]))
        assert response.status_code == 413
        assert (await client.post("/api", json={"a": [1]})).json() == {"a": [1]}


async def test_exception_response_answers_with_debug_off_only() -> None:
    assert (await get("/answers")).text == "sorry, 500: ZeroDivisionError"
    assert (await get("/later")).text == "sorry later, 500"
    assert "sorry" not in (await get("/answers", "text/plain", debug=True)).text.splitlines()[0]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "404.html").write_text("<h1>{{ status }} {{ request.path }} {{ reason }}</h1>")
    (tmp_path / "error.html").write_text("<p>{{ status }} {{ request_id }}</p>")
    (tmp_path / "403.html").write_text("{{ 1 / 0 }}")
    return tmp_path


async def test_pages_of_the_project_s_own_by_status(pages: Path) -> None:
    own = {"template_path": str(pages)}
    response = await get("/nowhere<b>", **own)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert response.text == "<h1>404 /nowhere%3Cb%3E Not Found</h1>"
    assert (await get("/missing", **own)).text == "<h1>404 /missing Not Found</h1>"
    assert (await get("/fails", **own)).text.startswith("<p>500 ")
    assert "<h1>404" not in (await get("/missing", "application/json", **own)).text
    assert "<h1>404 /missing" not in (await get("/missing", debug=True, **own)).text, "DEBUG shows its own"


async def test_an_error_page_that_fails_itself_gives_way_to_the_built_in_one(
    pages: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Forbidden(WebHandler):
        async def get(self) -> None:
            raise HttpForbiddenError

    async with TestClient(Application([("/", Forbidden)], template_path=str(pages))) as client:
        response = await client.get("/")
    assert response.status_code == 403
    assert "You may not see this page." in response.text
    assert "'403.html' failed" in caplog.text


@pytest.mark.parametrize(
    ("host", "allowed", "is_shown"),
    [
        ("127.0.0.1", (), True),
        ("localhost:8000", (), True),
        ("app.localhost", (), True),
        ("[::1]:80", (), True),
        ("rebound.example", (), False),
        ("rebound.example", ("*",), False),
        ("rebound.example", ("dev.example",), False),
        ("dev.example", ("dev.example",), True),
        ("a.dev.example:8000", (".dev.example", "*"), True),
        ("localhost", ("dev.example",), True),
        ("127.0.0.1.evil.example", (), False),
        ("localhost.", (), True),
    ],
)
async def test_the_debug_page_is_for_this_machine_and_named_hosts(
    host: str, allowed: tuple[str, ...], is_shown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with settings.override(ALLOWED_HOSTS=allowed):
        async with TestClient(application(debug=True)) as client:
            answer = await client.get("/fails", headers={"Host": host, "Accept": "text/html"})
    assert answer.status_code == 500
    assert ("Traceback" in answer.text) is is_shown
    assert ("ALLOWED_HOSTS" in caplog.text) is not is_shown


@pytest.mark.parametrize(
    ("remote_ip", "host", "allowed", "is_shown"),
    [
        ("127.0.0.1", "localhost", (), True),
        ("127.8.0.1", "localhost", (), True),
        ("::1", "localhost", (), True),
        ("::ffff:127.0.0.1", "localhost", (), True),
        ("10.0.0.7", "localhost", (), False),
        ("10.0.0.7", "localhost", ("localhost",), True),
        ("0.0.0.0", "localhost", (), False),
        ("127.0.0.1", "local host", (), False),
        ("127.0.0.1", "", (), False),
        ("", "localhost", (), False),
    ],
)
def test_a_host_header_alone_does_not_make_another_machine_this_one(
    remote_ip: str, host: str, allowed: tuple[str, ...], is_shown: bool
) -> None:
    request: Any = SimpleNamespace(remote_ip=remote_ip, host=host)
    with settings.override(ALLOWED_HOSTS=allowed):
        assert _may_show_debug(request) is is_shown
