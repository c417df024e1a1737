"""Plain cookies are those of Tornado and the standard library, or they are left to them."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler

from torngas_aio.application import Application as OurApplication
from torngas_aio.handler import WebHandler
from torngas_aio.http.headers import MAX_COOKIES, are_plain_cookies, find_cookie, parse_cookies, plain_cookie
from torngas_aio.http.request import Request
from torngas_aio.testing import TestClient

PIECES = [
    "a",
    "theme",
    "=",
    ";",
    " ",
    '"',
    "\\",
    "\\073",
    ",",
    "path",
    "7f=",
    "é",
    "\t",
    "|",
    "[",
    "x:y",
    "",
    "$v",
    "(",
    "Ä",
]


def tornados(header: str) -> dict[str, str]:
    request = HTTPServerRequest(
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=HTTPHeaders({"Cookie": header, "Host": "a"})
    )
    return {name: morsel.value for name, morsel in request.cookies.items()}


def found_in(header: bytes, names: Iterable[str]) -> dict[str, str]:
    """Those of *names* that are in the header, with their values."""
    return {name: value for name in names if (value := find_cookie(header, name)) is not None}


def test_what_is_read_is_what_tornado_reads() -> None:
    rand = random.Random(5)
    plain = 0
    for _ in range(6_000):
        header = "; ".join(
            rand.choice(PIECES) + "=" * (rand.random() < 0.8) + "".join(rand.choices(PIECES, k=rand.randint(0, 4)))
            for _ in range(rand.randint(1, 4))
        ).strip(" \t")
        text = header.encode("latin-1")
        if are_plain_cookies(text):
            plain += 1
            names = {*PIECES, *(chunk.partition("=")[0].strip() for chunk in header.split(";"))}
            assert found_in(text, names) == tornados(header), header
    assert 500 < plain < 5_000


@pytest.mark.parametrize(
    "header", ["a=1; b=2", 'a="x=y"', "a=; b=", "path=/; a=1", "a=1; aa=3; a=2", "a=b=1; b=b c", ""]
)
def test_ordinary_headers_are_plain(header: str) -> None:
    assert are_plain_cookies(header.encode())
    assert found_in(header.encode(), ["a", "b", "aa", "path", "", "=b"]) == tornados(header)


@pytest.mark.parametrize(
    "header", ["a=1;b=2", "a =1", "a=1;  b=2", "a=1;\tb=2", "c; a=1", "=b", "a=\\073", "a=é", "a=1;"]
)
def test_other_headers_are_left_to_cookie_objects(header: str) -> None:
    assert not are_plain_cookies(header.encode("latin-1"))


def written(**options: Any) -> list[str]:
    """What Tornado sends."""
    request: Any = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=HTTPHeaders(Host="a"))
    request.connection = type("Connection", (), {"set_close_callback": lambda *_: None})()
    handler = RequestHandler(Application(), request)
    handler.set_cookie(**options)
    return [cookie.OutputString() for cookie in handler._new_cookie.values()]


def test_what_is_written_is_what_tornado_writes() -> None:
    rand = random.Random(6)
    values = ["1", "a|b:c", "2|1:0|x=", "a b", "é", '"', "a,b", "", "[]{}", "x;y", "/p?q=<r>@s"]
    plain = 0
    for _ in range(2_000):
        options: dict[str, Any] = {
            "domain": rand.choice([None, "", "example.org", "a;b"]),
            "path": rand.choice(["/", "", "/a=b", "/ü"]),
            "max_age": rand.choice([None, 0, 60]),
            "httponly": rand.choice([True, False]),
            "secure": rand.choice([True, False]),
            "samesite": rand.choice([None, "Lax", "None"]),
        }
        name, value = rand.choice(["a", "b.c", "Path", "a b", "é", ""]), rand.choice(values)
        cookie = plain_cookie(name, value, options["domain"], "Sun, 22 Nov 2026 10:00:00 GMT", options["path"], **{
            key: options[key] for key in ("max_age", "httponly", "secure", "samesite")
        })  # fmt: skip
        if cookie is not None:
            plain += 1
            theirs = written(name=name, value=value, expires=1795341600, **options)
            assert [cookie.OutputString().replace("; Max-Age=0", "")] == theirs  # which Tornado leaves out
    assert plain > 100


class Cookies(WebHandler):
    async def get(self) -> None:
        self.set_cookie("a", "1", expires_days=1, httponly=True)
        self.set_cookie("a", "2")
        self.set_cookie("odd", 'with "quotes"'.replace(" ", ""))
        self.set_signed_cookie("signed", "v")
        self.clear_cookie("gone")
        read = [self.get_cookie(name, "-") for name in ("one", "two", "three")]
        await self.finish({"read": read, "cookies": sorted(self.cookies), "again": self.get_cookie("two")})


@pytest.mark.parametrize("door", ["torngas_aio", "tornado"])
async def test_handlers_read_and_write_them(door: str) -> None:
    application = OurApplication([("/", Cookies)], cookie_secret="secret" * 8)
    async with TestClient(application, http_server=door) as client:
        response = await client.get("/", headers={"Cookie": 'one=1; two="2"; one=3'})
    assert response.json() == {"read": ["3", "2", "-"], "cookies": ["one", "two"], "again": "2"}
    sent = response.headers.get_list("set-cookie")
    assert [line.partition("=")[0] for line in sent] == ["a", "odd", "signed", "gone"]
    assert sent[:2] == ["a=2; Path=/", 'odd="with\\"quotes\\""; Path=/']


RAW = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n"
SEVERAL = [
    (b"Cookie: a=1\r\ncookie: b=2\r\n", {"a": "1", "b": "2"}),
    (b"Cookie: a=1; c=3\r\nX: y\r\nCOOKIE: b=2\r\nCookie: a=4\r\n", {"a": "4", "b": "2", "c": "3"}),
    (b'Cookie: a="x\\073y"\r\nCookie: b=2,3\r\n', {"a": "x;y", "b": "2,3"}),
    (b"Cookie: \xa0__Host-sid=1; b=2\r\n", {"b": "2"}),
    (b"Cookie: \x85__Host-sid=1; b=2\r\n", {"b": "2"}),
    (b"Cookie: \t a\t = \t1\xa0 ;\tb=2 \r\n", {"a": "1\xa0", "b": "2"}),
]


def several(form: str, fields: bytes) -> Request:
    pairs = [
        (name.strip().lower(), value.strip(b" \t"))
        for name, _, value in (line.partition(b":") for line in fields.splitlines())
    ]
    if form == "bytes":
        return Request(("GET", "/", "HTTP/1.1"), RAW % fields, None)
    if form == "pairs":
        return Request(("GET", "/", "HTTP/1.1"), pairs, None)
    headers = HTTPHeaders()
    for name, value in pairs:
        headers.add(name.decode(), value.decode("latin-1"))
    return Request(("GET", "/", "HTTP/1.1"), headers, None)


@pytest.mark.parametrize("form", ["bytes", "pairs", "headers"])
@pytest.mark.parametrize(("fields", "wanted"), SEVERAL)
def test_several_fields_are_one_cookie_string(form: str, fields: bytes, wanted: dict[str, str]) -> None:
    request = several(form, fields)
    plain = request.plain_cookies()
    assert plain is None or found_in(plain, ["a", "b", "c", "__Host-sid"]) == wanted
    assert {name: morsel.value for name, morsel in request.cookies.items()} == wanted
    assert "," not in request.headers["Cookie"].replace("2,3", "")


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=1", "a\0", "a b"])
def test_a_value_that_breaks_the_line_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="Invalid cookie"):
        written(name="a", value=value)
    assert plain_cookie("a", value, None, None, "/", max_age=None, httponly=False, secure=False, samesite=None) is None


@pytest.mark.parametrize("value", ["1", '"\\073"'])
def test_cookies_are_bounded_in_number(value: str) -> None:
    header = ";".join(f"c{number}={value}" for number in range(5000))
    assert len(parse_cookies(header)) == MAX_COOKIES
    assert not are_plain_cookies(header.replace(";", "; ").encode())
