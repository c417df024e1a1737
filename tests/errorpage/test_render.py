"""The answer to a failed request, from its parts alone."""

import json
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from torngas_aio.errorpage import ErrorAnswer, render_error, render_error_template, wants_html
from torngas_aio.errorpage.masking import MASK
from torngas_aio.errorpage.render import preferred
from torngas_aio.exception import Http404, TemplateNotFound

EVIL = "<script>alert(1)</script>\"'&"


def handler(uri: str = "/posts/12?page=2", **headers: str) -> Any:
    context = SimpleNamespace(remote_ip="127.0.0.1", protocol="http")
    request = HTTPServerRequest(
        start_line=RequestStartLine("GET", uri, "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "localhost", **headers}),
        connection=SimpleNamespace(context=context),  # type: ignore[arg-type]  # all that is asked of it
    )
    return SimpleNamespace(request=request, path_args=["12"], path_kwargs={})


def fails(secret_token: str = "s3cret", name: str = EVIL) -> None:
    values = {"password": "hunter2", name: name}
    try:
        int(f"{name}{values['password'][:0]}")
    except ValueError as exc:
        raise RuntimeError(f"no post {name}") from exc


def raised(function: Any = fails) -> Any:
    try:
        function()
    except Exception:  # noqa: BLE001 - whatever it is, the page is to show it
        return sys.exc_info()
    raise AssertionError("it was to fail")


def debug(**given: Any) -> ErrorAnswer:
    details: dict[str, Any] = {"handler": handler(), "status": 500, "reason": "Internal Server Error", "is_debug": True}
    return render_error(**{**details, **given})


class Reader(HTMLParser):
    """Reads a page: its scripts, its visible text, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag not in {"meta", "br", "input", "link"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self._open[-1:] == ["script"] else self.text).append(data)


def read(answer: ErrorAnswer) -> Reader:
    assert answer.content_type == "text/html; charset=UTF-8"
    return Reader(answer.body.decode())


def test_secrets_are_on_no_form_of_the_page() -> None:
    for accept in ("text/html", "text/plain", "application/json"):
        body = debug(
            accept=accept,
            handler=handler("/?token=abc123&page=1", Authorization="Bearer abc123", Cookie="sid=abc123"),
            exc_info=raised(),
            settings_view={"SESSION": {"secret_key": "abc123"}, "cookie_secret": "abc123"},
        ).body.decode()
        assert "abc123" not in body
        assert "s3cret" not in body
        assert "hunter2" not in body


def test_the_url_keeps_what_is_no_secret() -> None:
    page = debug(handler=handler("/?token=abc&a=%20b&flag&token=")).body.decode()
    assert f"/?token={MASK}&amp;a=%20b&amp;flag&amp;token=" in page


def test_the_failed_hook_is_marked_in_the_pipeline() -> None:
    lines = ["call       blog.First.process_call", "request    blog.Second.process_request"]
    page = debug(exc_info=raised(), pipeline_text=lines, failed_at="blog.Second.process_request").body.decode()
    assert "<li>call       blog.First.process_call</li>" in page
    assert "<li class=failed>request    blog.Second.process_request</li>" in page
    text = debug(accept="text/plain", pipeline_text=lines, failed_at=lines[1]).body.decode()
    assert "\n  >> request    blog.Second.process_request" in text


def test_a_404_lists_the_routes_tried_in_their_order() -> None:
    routes = [SimpleNamespace(pattern=pattern, name=None, handler_class=Reader) for pattern in ("/posts/x", "/post")]
    page = "".join(read(debug(status=404, reason="Not Found", routes_tried=routes, exc_info=raised())).text)
    assert "RuntimeError" not in page, "the frames that found so are of no interest"
    assert page.index("/posts/x") < page.index("/post" + f"{Reader.__module__}")
    problem = json.loads(debug(status=404, routes_tried=routes, accept="application/json").body)
    assert problem["routes_tried"] == ["/posts/x", "/post"]


def test_without_an_error_the_status_is_explained() -> None:
    assert "Nothing matches the given URI" in debug(status=404, reason="Not Found").body.decode()
    assert "404 Not Found" in debug(status=404, reason="Not Found", accept="text/plain").body.decode()


def test_an_http_error_is_titled_by_its_status() -> None:
    def missing() -> None:
        raise Http404("no post %s", 12)

    page = "".join(read(debug(status=404, reason="Not Found", exc_info=raised(missing))).text)
    assert "404 Not Found" in page
    assert "no post 12" in page


def test_an_error_page_that_fails_falls_back_to_the_short_one(caplog: pytest.LogCaptureFixture) -> None:
    broken: Any = ("not", "an", "error")
    answer = render_error(handler=handler(), status=500, reason="Oops", is_debug=True, exc_info=broken)
    assert "Something went wrong on our side." in answer.body.decode()
    assert "debug page could not be made" in caplog.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json", "application/problem+json"),
        ("application/problem+json", "application/problem+json"),
        ("text/plain", "text/plain"),
        ("text/html;q=0.5, application/json", "application/problem+json"),
        ("application/*", "application/problem+json"),
        ("image/png", "text/html"),
        ("text/html;q=0, text/plain;q=0.1", "text/plain"),
        ("text/html;q=nonsense, application/json;q=0.1", "application/problem+json"),
    ],
)
@pytest.mark.parametrize("is_debug", [True, False])
def test_the_client_chooses_the_form(accept: str, kind: str, is_debug: bool) -> None:
    answer = render_error(handler=handler(), status=500, reason="Oops", accept=accept, is_debug=is_debug)
    assert answer.content_type.startswith(kind)
    assert wants_html(accept) == (kind == "text/html")


def test_the_more_specific_range_weighs() -> None:
    assert preferred("text/*;q=0.9, text/html;q=0.1", ("text/html", "text/plain")) == "text/plain"
    assert preferred("text/plain, */*;q=0.1", ("text/html", "text/plain")) == "text/plain"


def test_with_debug_off_nothing_of_the_inside_is_told() -> None:
    for accept in ("text/html", "text/plain", "application/json"):
        given = {"handler": handler(), "status": 500, "reason": "Internal Server Error"}
        body = render_error(**given, exc_info=raised(), accept=accept).body.decode()
        for part in ("RuntimeError", "no post", __file__, "Traceback", "tornado", "torngas"):
            assert part not in body
        assert "500" in body


def test_a_500_names_a_reference_and_a_404_does_not() -> None:
    given: dict[str, Any] = {"handler": handler(**{"X-Request-ID": "abc-1"})}
    assert "Reference: <code>abc-1</code>" in render_error(**given, status=500, reason="x").body.decode()
    assert "abc-1" not in render_error(**given, status=404, reason="x").body.decode()
    assert (
        render_error(**given, status=503, reason="Busy", accept="text/plain").body == b"503 Busy (reference: abc-1)\n"
    )


def test_short_pages_are_whole_and_escaped() -> None:
    page = read(render_error(handler=handler(), status=418, reason=EVIL))
    assert page.scripts == []
    assert EVIL in "".join(page.text)


async def test_the_project_s_pages_are_tried_in_order(caplog: pytest.LogCaptureFixture) -> None:
    pages: dict[str, Any] = {"error.html": b"any", "500.html": b"own", "404.html": LookupError("page broken")}
    asked: list[str] = []

    async def render(name: str, values: Mapping[str, Any]) -> bytes:
        asked.append(name)
        found = pages.get(name)
        if found is None:
            raise TemplateNotFound(f"No template {name!r} in x.")
        if isinstance(found, Exception):
            raise found
        return bytes(found) + str(values["status"]).encode()

    answers = {status: await render_error_template(render, status=status, reason="x") for status in (500, 403, 404)}
    assert answers[500] is not None
    assert answers[500].body == b"own500"
    assert answers[403] is not None
    assert answers[403].body == b"any403"
    assert answers[404] is None
    assert "'404.html' failed" in caplog.text
    assert asked == ["500.html", "403.html", "error.html", "404.html"]


async def test_a_page_whose_parent_is_missing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def render(name: str, values: Mapping[str, Any]) -> bytes:
        raise TemplateNotFound("No template 'base.html' in x.")

    assert await render_error_template(render, status=404, reason="x") is None
    assert "'404.html' failed" in caplog.text
