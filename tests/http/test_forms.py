"""Form bodies: names in any case, preambles, boundaries, codings."""

import random
import tracemalloc
from typing import Any

import pytest
from tornado.escape import parse_qs_bytes
from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine, parse_multipart_form_data

from torngas_aio import ApiHandler, Application
from torngas_aio.http.base import BodyError
from torngas_aio.http.forms import parse_form, parse_urlencoded
from torngas_aio.http.headers import HeaderView
from torngas_aio.http.request import Request
from torngas_aio.testing import TestClient

URLENCODED = "application/x-www-form-urlencoded"


def multipart(*parts: str, boundary: str = "b", before: str = "", after: str = "\r\n") -> bytes:
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f"{before}{body}--{boundary}--{after}".encode()


def parsed(content_type: str, body: bytes, **headers: str) -> tuple[dict[str, Any], dict[str, Any]]:
    request = Request(
        RequestStartLine("POST", "/", "HTTP/1.1"), HTTPHeaders({"Content-Type": content_type, **headers}), None
    )
    request.body = body
    return request.body_arguments, request.files


FIELD = 'Content-Disposition: form-data; name="a"\r\n\r\n1'
FILE = 'Content-Disposition: form-data; name="f"; filename="x.txt"\r\nContent-Type: text/plain\r\n\r\ncontent'


@pytest.mark.parametrize(
    "content_type",
    [URLENCODED, URLENCODED.upper(), "Application/X-WWW-Form-Urlencoded; Charset=UTF-8", f" {URLENCODED} ;charset=x"],
)
def test_the_case_of_a_media_type_does_not_matter(content_type: str) -> None:
    assert parsed(content_type, b"a=1&b=") == ({"a": [b"1"], "b": [b""]}, {})


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=b",
        "Multipart/Form-Data; BOUNDARY=b",
        "MULTIPART/FORM-DATA;Boundary=b",
        'multipart/form-data; charset=utf-8; bOuNdArY="b"',
        "multipart/form-data ; boundary = b ; x=y",
    ],
)
@pytest.mark.parametrize(
    ("disposition", "content"),
    [("Content-Disposition", "Content-Type"), ("CONTENT-DISPOSITION", "content-TYPE")],
)
@pytest.mark.parametrize(
    ("kind", "name", "filename"),
    [("form-data", "name", "filename"), ("Form-Data", "NAME", "FileName"), ("form-data", "Name", "filename*")],
)
def test_the_case_of_names_does_not_matter(
    content_type: str, disposition: str, content: str, kind: str, name: str, filename: str
) -> None:
    value = "UTF-8''x.txt" if filename.endswith("*") else '"x.txt"'
    body = multipart(
        f'{disposition}: {kind}; {name}="a"\r\n\r\n1',
        f'{disposition}: {kind}; {name}="f"; {filename}={value}\r\n{content}: text/plain\r\n\r\ncontent',
    )
    arguments, files = parsed(content_type, body)
    assert arguments == {"a": [b"1"]}
    assert files == {"f": [{"filename": "x.txt", "content_type": "text/plain", "body": b"content"}]}


@pytest.mark.parametrize(
    "before", ["", "\r\n", "This is a preamble.\r\n", "--bogus\r\n", "text --b\r\n\r\n", "--bb\r\n"]
)
@pytest.mark.parametrize("after", ["", "\r\n", "\r\nan epilogue", "\r\n--b\r\n"])
def test_what_stands_around_a_form_is_skipped(before: str, after: str) -> None:
    body = multipart(FIELD, FILE, before=before, after=after)
    arguments, files = parsed("multipart/form-data; boundary=b", body)
    assert arguments == {"a": [b"1"]}
    assert files["f"][0].body == b"content"


@pytest.mark.parametrize("content", ["", "\r\n", "x--b", "\r\n--bb", "\r\n-", "x\r\n--b-", "\r\n\r\n", "x--b\r\n"])
def test_what_is_like_a_boundary_belongs_to_the_content(content: str) -> None:
    body = multipart(f'Content-Disposition: form-data; name="a"\r\n\r\n{content}', FIELD)
    assert parsed("multipart/form-data; boundary=b", body)[0] == {"a": [content.encode(), b"1"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        multipart(FIELD)[:-6],
        multipart('Content-Disposition: attachment; name="a"\r\n\r\n1'),
        multipart("Content-Disposition: form-data\r\n\r\n1"),
        multipart('Content-Disposition: form-data; name="a"'),
        multipart(*[FIELD] * 101),
        multipart(f'Content-Disposition: form-data; name="{"a" * 11_000}"\r\n\r\n1'),
        multipart("Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%ff\r\n\r\n1"),
        b"--b\r\nContent-Disposition: form-data; name=\xff\r\n\r\n1\r\n--b--\r\n",
        *(
            multipart(f"Content-Disposition: form-data; name=\"f\"; filename*={charset}''{text}\r\n\r\n1")
            for charset in ("undefined", "utf-8\0", "punycode", "idna", "hex", "rot13", "unicode_escape", "x" * 500)
            for text in ("a", "%ff")
        ),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(HTTPInputError):
        parse_form(HTTPHeaders({"Content-Type": "multipart/form-data; boundary=b"}), body)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; x=b"]
)
def test_a_form_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(HTTPInputError, match="boundary not found"):
        parsed(content_type, multipart(FIELD))


@pytest.mark.parametrize("content_type", ["", "text/plain", f"{URLENCODED}xyz", "multipart/mixed; boundary=b"])
def test_other_media_types_have_no_arguments(content_type: str) -> None:
    assert parsed(content_type, b"a=1") == ({}, {})


def test_tornados_parser_finds_the_same() -> None:
    body = multipart(FIELD, FILE, 'Content-Disposition: form-data; name="q\\"r"; filename="a\\\\b"\r\n\r\n\r\n')
    arguments: dict[str, Any] = {}
    files: dict[str, Any] = {}
    parse_multipart_form_data(b"b", body, arguments, files)
    assert parsed("multipart/form-data; boundary=b", body) == (arguments, files)


@pytest.mark.parametrize("coding", ["", " ", "identity", "Identity", "identity, identity"])
@pytest.mark.parametrize("content_type", [URLENCODED, "multipart/form-data; boundary=b"])
def test_no_coding_is_none(content_type: str, coding: str) -> None:
    body = b"a=1" if content_type == URLENCODED else multipart(FIELD)
    assert parsed(content_type, body, **{"Content-Encoding": coding})[0] == {"a": [b"1"]}


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "deflate", "identity, gzip", "x"])
@pytest.mark.parametrize("content_type", [URLENCODED, "multipart/form-data; boundary=b"])
def test_an_unsupported_coding_is_415(content_type: str, coding: str) -> None:
    with pytest.raises(BodyError) as caught:
        parsed(content_type, b"a=1", **{"Content-Encoding": coding})
    assert caught.value.status == 415


class Api(ApiHandler):
    async def post(self) -> None:
        self.write_api(self.get_json_body())

    async def put(self) -> None:
        self.write(self.get_body_argument("a"))


@pytest.mark.parametrize("door", ["torngas_aio", "tornado"])
async def test_an_unsupported_coding_is_answered_415(door: str) -> None:
    async with TestClient(Application([("/", Api)]), http_server=door) as client:
        for coding, status in (("br", 415), ("identity", 200)):
            coded = {"Content-Encoding": coding}
            answers = [
                await client.post("/", content=b"{}", headers={"Content-Type": "application/json", **coded}),
                await client.put("/", content=b"a=1", headers={"Content-Type": URLENCODED, **coded}),
            ]
            assert [answer.status_code for answer in answers] == [status, status]


def compare_with_tornado(seed: int, count: int) -> None:
    """Take forms of random pieces apart, and compare with Tornado's parser."""
    rng = random.Random(seed)
    pieces = [
        b"a",
        b"field",
        b"=",
        b"&",
        b"+",
        b"%",
        b"%2",
        b"%26",
        b"%3d",
        b"%3D",
        b"%25",
        b"%2B",
        b"%00",
        b"%E4",
        b"\xe4",
        b"\r",
        b"\n",
        b"_",
    ]
    pieces += [b"%zz", b"%2526", b";", b"\0", b"%61=", b"&&", b"x=y", b"%2541"]
    for _ in range(count):
        encoded = b"".join(rng.choices(pieces, k=rng.randrange(12)))
        limit = rng.choice([1, 3, 100])
        try:
            expected = parse_qs_bytes(encoded, keep_blank_values=True, max_num_fields=limit) if encoded else {}
        except ValueError:
            with pytest.raises(ValueError, match="fields"):
                parse_urlencoded(encoded, limit)
        else:
            assert list(parse_urlencoded(encoded, limit).items()) == list(expected.items())


def test_thousands_of_forms_are_read_as_by_tornado() -> None:
    compare_with_tornado(1, 5000)


@pytest.mark.parametrize("field", [b"a=%b", b"%b=", b"a=%%26%b", b"%b&b=%%3d"])
def test_escapes_take_memory_in_proportion_to_the_form(field: bytes) -> None:
    body = field % (b"%61" * 100_000)
    tracemalloc.start()
    try:
        parse_urlencoded(body, 10)
        assert tracemalloc.get_traced_memory()[1] < 6 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_many_more_forms() -> None:
    compare_with_tornado(2, 300_000)


@pytest.mark.parametrize(
    "value",
    [b"text/plain", b"application/json", b"multipart/form-data; boundary=b", b"Application/X-WWW-Form-URLencoded"],
)
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("name", [b"Content-Type", b"content-TYPE", b"CONTENT-ENCODING", b"X-Content-Type"])
def test_a_field_is_found_as_in_the_whole_header(name: bytes, value: bytes, count: int) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\n" + (name + b": \t" + value + b" \r\n") * count + b"\r\n"
    lazy, built = (Request(("POST", "/", "HTTP/1.1"), raw, None) for _ in range(2))
    for field in ("Content-Type", "Content-Encoding"):
        assert lazy.header_view.get(field, "-") == built.headers.get(field, "-")
    assert isinstance(lazy.header_view, HeaderView)  # the dict was not built


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b'{"format": "x"}'), (URLENCODED, b"format=jsonp&callback=f")],
)
async def test_the_format_is_asked_of_forms_alone(content_type: str, body: bytes) -> None:
    """A body of another type has no arguments: no header and no body is taken apart for them."""
    seen: list[bool] = []

    class Api(ApiHandler):
        def post(self) -> None:
            self.write_api({})
            seen.append(vars(self.request)["_body_arguments"] is not None)

    async with TestClient(Application([("/", Api)])) as client:
        answer = await client.post("/", content=body, headers={"Content-Type": content_type})
    assert answer.text == ("{}" if content_type == "application/json" else "/**/f({});")
    assert seen == [content_type == URLENCODED]


def test_headers_that_a_hook_has_changed_count() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\r\n"
    request = Request(("POST", "/", "HTTP/1.1"), raw, None)
    request.headers["Content-Type"] = URLENCODED
    request.body = b"a=1"
    assert request.has_form
    assert request.body_arguments == {"a": [b"1"]}
