"""What an error answers: status, headers, Allow, and the text that is for the visitor."""

import html
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tornado.web
import tornado.websocket

from tests.handler.conftest import OpenClient
from torngas_aio import exception
from torngas_aio.exception import Http404, Http500, HttpBadRequestError, HttpForbiddenError, HttpNotAllowError
from torngas_aio.handler import ApiHandler, BaseHandler, ErrorHandler, StaticFileHandler, WebHandler, WebSocketHandler


class Raises(WebHandler):
    def initialize(self, error: BaseException) -> None:
        self.error = error

    async def get(self) -> None:
        self.set_header("X-Dropped", "1")
        raise self.error


class ApiRaises(ApiHandler):
    def initialize(self, error: BaseException) -> None:
        self.error = error

    async def get(self) -> None:
        raise self.error


class Sends(WebHandler):
    async def get(self, status: str) -> None:
        await self.send_error(int(status))


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("handler", [Raises, ApiRaises])
async def test_a_status_without_a_body_may_be_raised(
    open_client: OpenClient, handler: type[BaseHandler], status: int
) -> None:
    for debug in (False, True):
        routes = [("/raise", handler, {"error": tornado.web.HTTPError(status)}), ("/send/(.*)", Sends)]
        client = await open_client(routes, debug=debug, autoreload=False)
        for path in ("/raise", f"/send/{status}"):
            response = await client.get(path)
            assert (response.status_code, response.content) == (status, b"")


async def test_an_informational_status_is_no_answer(open_client: OpenClient) -> None:
    client = await open_client([("/", Raises, {"error": tornado.web.HTTPError(102)})])
    assert (await client.get("/")).status_code == 500


class Reads(WebHandler):
    async def get(self) -> None:
        self.write("x")

    async def post(self) -> None:
        raise HttpNotAllowError("not today")

    async def put(self) -> None:
        raise HttpNotAllowError(headers={"Allow": "PATCH"})


class Api(ApiHandler):
    async def get(self) -> None: ...

    async def delete(self) -> None: ...


class OwnPage(Reads):
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.write("my own")


class Socket(WebSocketHandler): ...


class Foreign(tornado.web.RequestHandler):
    def get(self) -> None: ...

    def patch(self) -> None:
        self.set_status(405)

    def put(self) -> None:
        self.set_header("Allow", "BREW")
        self.send_error(405)


class OwnStatus(WebHandler):
    async def get(self) -> None:
        self.set_status(405)
        self.write("not now")


ALLOWED = [
    ("DELETE", "/foreign", "GET, PATCH, PUT"),
    ("BREW", "/foreign", "GET, PATCH, PUT"),
    ("PATCH", "/foreign", "GET, PATCH, PUT"),
    ("HEAD", "/redirect", "GET"),
    ("POST", "/foreign-files/a.txt", "GET, HEAD"),
    ("POST", "/foreign-socket", "GET"),
    ("GET", "/status", "GET"),
    ("DELETE", "/page", "GET, POST, PUT"),
    ("OPTIONS", "/page", "GET, POST, PUT"),
    ("HEAD", "/page", "GET, POST, PUT"),
    ("BREW", "/page", "GET, POST, PUT"),
    ("POST", "/page", "GET, POST, PUT"),
    ("PUT", "/page", "PATCH"),
    ("POST", "/api", "GET, DELETE"),
    ("OPTIONS", "/api", "GET, DELETE"),
    ("POST", "/static/a.txt", "GET, HEAD"),
    ("OPTIONS", "/static/a.txt", "GET, HEAD"),
    ("DELETE", "/own", "GET, POST, PUT"),
    ("POST", "/socket", "GET"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ALLOWED)
async def test_405_says_what_is_allowed(
    open_client: OpenClient, tmp_path: Any, method: str, path: str, allowed: str
) -> None:
    routes: list[Any] = [
        ("/page", Reads),
        ("/own", OwnPage),
        ("/api", Api),
        ("/socket", Socket),
        ("/status", OwnStatus),
    ]
    routes += [("/foreign", Foreign), ("/redirect", tornado.web.RedirectHandler, {"url": "/"})]
    routes += [("/foreign-files/(.*)", tornado.web.StaticFileHandler, {"path": str(tmp_path)})]
    routes += [("/foreign-socket", tornado.websocket.WebSocketHandler)]
    client = await open_client([*routes, ("/static/(.*)", StaticFileHandler, {"path": str(tmp_path)})])
    response = await client.request(method, path)
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == set(allowed.split(", "))


@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
async def test_an_address_that_leads_nowhere_is_404_for_every_method(open_client: OpenClient, method: str) -> None:
    client = await open_client([("/gone", ErrorHandler, {"status_code": 410})])
    assert (await client.request(method, "/nowhere")).status_code == 404
    assert (await client.request(method, "/gone")).status_code == 410


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_an_unknown_address_of_an_api_is_answered_as_the_api_answers(
    open_client: OpenClient, accept: str
) -> None:
    routes = [
        (r"/", Reads),
        (r"/api/v1/items/(\d+)", Api),
        (r"/api/v1/socket", Socket),
        (r"/api\.old", Api),
        (r"/mixed/items", Api),
        (r"/mixed/page", Reads),
        (r"/([a-z]+)", Reads),
    ]
    client = await open_client(routes)
    for path, is_api in {
        "/api/v1/nope": True,
        "/api/v2": True,
        "/api/v1/items/x": True,
        "/api.old/nope": True,
        "/apix/nope": False,
        "/mixed/nope": False,
        "/nope/nope": False,
        "//api/v1": False,
    }.items():
        for method in ("GET", "POST"):
            answer = await client.request(method, path, headers={"Accept": accept})
            expected = "application/problem+json" if is_api else "text/html; charset=UTF-8"
            assert (path, answer.status_code, answer.headers["Content-Type"]) == (path, 404, expected)


async def test_an_application_of_api_handlers_has_no_pages_for_unknown_addresses(
    open_client: OpenClient, tmp_path: Path
) -> None:
    client = await open_client([("/items", Api), ("/static/(.*)", StaticFileHandler, {"path": str(tmp_path)})])
    assert (await client.get("/nope")).headers["Content-Type"] == "application/problem+json"
    client.application.add_handlers(".*", [("/page", Reads)])
    assert (await client.get("/nope")).headers["Content-Type"] == "text/html; charset=UTF-8"


HEADERS = [
    (exception.HTTPError(401, headers={"WWW-Authenticate": "Basic"}), [("www-authenticate", "Basic")]),
    (exception.HTTPError(401, headers=[("WWW-Authenticate", "a"), ("WWW-Authenticate", "b")]), [
        ("www-authenticate", "a"), ("www-authenticate", "b")]),
    (Http404(headers={"X-Why": "gone"}), [("x-why", "gone")]),
    (HttpForbiddenError("no %s", "way", headers={"X-Why": "rule"}), [("x-why", "rule")]),
    (Http500(headers={"Retry-After": "3"}), [("retry-after", "3")]),
    (exception.HTTPError(304, headers={"Etag": '"a"'}), [("etag", '"a"')]),
]  # fmt: skip


@pytest.mark.parametrize(("error", "wanted"), HEADERS, ids=repr)
@pytest.mark.parametrize("handler", [Raises, ApiRaises])
async def test_errors_carry_headers(
    open_client: OpenClient, handler: type[BaseHandler], error: Any, wanted: list[tuple[str, str]]
) -> None:
    client = await open_client([("/", handler, {"error": error})])
    response = await client.get("/")
    assert response.status_code == error.status_code
    assert set(wanted) <= set(response.headers.multi_items())
    assert "x-dropped" not in response.headers


def test_our_error_is_tornados() -> None:
    error = exception.HTTPError(409, "a %d", 1, reason="Taken")
    assert isinstance(error, tornado.web.HTTPError)
    assert (error.reason, str(error), error.headers) == ("Taken", "HTTP 409: Taken (a 1)", ())
    assert issubclass(Http404, exception.HTTPError)


SHOWN: list[tuple[BaseException, str]] = [
    (HttpBadRequestError("A title has 1 to 120 characters."), "A title has 1 to 120 characters."),
    (HttpBadRequestError("A title has %d to %d characters.", 1, 120), "A title has 1 to 120 characters."),
    (HttpForbiddenError("100% no"), "100% no"),
    (Http404("No <b>such</b> & thing"), "No <b>such</b> & thing"),
    (HttpNotAllowError("Not on \N{SNOWMAN} days"), "Not on \N{SNOWMAN} days"),
    (exception.HTTPError(409, "Taken by %s", "you"), "Taken by you"),
    (HttpBadRequestError("x" * 300), "x" * 199 + "…"),
    (HttpBadRequestError("a lone \ud800 surrogate"), "a lone ? surrogate"),
    (HttpBadRequestError("\x00a \x1b[1m\x85\u202e\u2028b \tc"), "\ufffda \ufffd[1m\ufffd\ufffd\ufffdb \tc"),
    (HttpBadRequestError(5), "5"),
    (HttpBadRequestError(["a", 1]), "['a', 1]"),
    (HttpBadRequestError({"a": 1}), "{'a': 1}"),
    (HttpBadRequestError(ValueError("too long")), "too long"),
    (HttpForbiddenError(False), "False"),
]
HIDDEN: list[BaseException] = [
    tornado.web.HTTPError(400, "secret"),
    tornado.web.MissingArgumentError("secret"),
    Http500("secret"),
    exception.HTTPError(503, "secret"),
    HttpBadRequestError("secret %d", "no number"),
    ValueError("secret"),
    KeyError("secret"),
]


@pytest.fixture
def without_log() -> Iterator[None]:
    """Nothing is logged: pytest-xdist cannot carry a captured line with a lone surrogate, and ends the session."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("without_log")
@pytest.mark.parametrize(("error", "text"), SHOWN, ids=str)
async def test_the_text_of_an_error_is_shown(open_client: OpenClient, error: BaseException, text: str) -> None:
    debug = await open_client([("/api", ApiRaises, {"error": error})], debug=True)
    assert (await debug.get("/api")).json()["detail"] == text
    client = await open_client([("/page", Raises, {"error": error}), ("/api", ApiRaises, {"error": error})])
    assert (await client.get("/api")).json()["detail"] == text
    page = (await client.get("/page", headers={"Accept": "text/html"})).text
    assert html.escape(text) in page
    assert "<b>such" not in page
    assert text in (await client.get("/page", headers={"Accept": "text/plain"})).text


@pytest.mark.parametrize("text", ["", " \n", None])
async def test_without_a_text_the_status_is_explained(open_client: OpenClient, text: str | None) -> None:
    client = await open_client([("/page", Raises, {"error": HttpBadRequestError(text)})])
    page = (await client.get("/page", headers={"Accept": "text/html"})).text
    assert "The request could not be understood." in page


@pytest.mark.parametrize("error", HIDDEN, ids=repr)
async def test_other_texts_stay_hidden(open_client: OpenClient, error: BaseException) -> None:
    client = await open_client([("/page", Raises, {"error": error}), ("/api", ApiRaises, {"error": error})])
    for path, accept in (("/api", "*/*"), ("/page", "text/html"), ("/page", "text/plain")):
        assert "secret" not in (await client.get(path, headers={"Accept": accept})).text


async def test_a_projects_own_page_is_given_the_text(open_client: OpenClient, tmp_path: Any) -> None:
    (tmp_path / "error.html").write_text("{{ status }}: {{ detail }}")
    client = await open_client(
        [("/", Raises, {"error": HttpBadRequestError("<too long>")})], template_path=str(tmp_path)
    )
    assert (await client.get("/", headers={"Accept": "text/html"})).text == "400: &lt;too long&gt;"
