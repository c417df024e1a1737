"""Time that untrusted text takes grows as the text does: eight times the text, about eight times the time.

Every reader of clients' text meets every hostile text, once as 2,500 characters and once as 20,000; a quadratic one
takes 64 times as long. CPU time of this thread, the least of several runs, and only ratios are compared. A new reader,
or a new hostile text, is one line.
"""

import contextlib
import gzip
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders
from tornado.web import RequestHandler, decode_signed_value

from torngas_aio import _json, _masking
from torngas_aio.application import Application
from torngas_aio.errorpage.render import preferred
from torngas_aio.handler import WebHandler, static
from torngas_aio.handler.compression import _accepts_gzip
from torngas_aio.handler.ranges import parse_range
from torngas_aio.http import headers
from torngas_aio.http.base import BodyError
from torngas_aio.http.body import IncomingBody
from torngas_aio.http.codings import ChunkDecoder, Inflater
from torngas_aio.http.deflate import negotiate_deflate
from torngas_aio.http.forms import parse_form
from torngas_aio.http.frames import MessageReader
from torngas_aio.http.limits import Limits
from torngas_aio.http.proxies import Peer, TrustedProxies
from torngas_aio.http.request import Request
from torngas_aio.http.request_parser import CHUNKED, HeadParser
from torngas_aio.i18n import _ranked
from torngas_aio.logger.formatters import _coloured
from torngas_aio.logger.loggers import _WELL_FORMED
from torngas_aio.middleware.accesslog import _quoted, _word
from torngas_aio.middleware.cors import _pattern, _wanted_headers
from torngas_aio.mixins.flash_message import _parsed
from torngas_aio.session.token import TokenSigner
from torngas_aio.utils.hosts import FORWARDED_HEADERS, parse_address, parse_host
from torngas_aio.utils.redirects import is_safe_redirect
from torngas_aio.utils.text import escape_controls, quote_field

SMALL, FACTOR = 2500, 8
MOST = 20.0
"""Times the time of the small text: between 8, linear, and 64, quadratic."""
NEGLIGIBLE = 0.003
"""CPU seconds below which the large text is not worth a comparison."""

UNITS = [
    *'a0 "\\,;=&%[({</.:-@\t?*#',
    "\xff", "\u0661", "\0", "\n", "\r\n",
    "a.", "a,", "a;", "a ", "a-", "a:", '"a', '\\"', '";', '="', ';a="', '; a="b', "a=b; ", "a=b&", "a&", "%20", "%",
    "[]", "[a", "[[]", "](", "://", "a://", "a://b:", "a:b@", "/..", "//", "/a", "1-2,", "1-", 'W/"a",', "W/", "token=",
    "token", "a;q=0.", ";q=", "; ;", ", ,", "en-", "en,", "a*1=", "; a*0=b", "\x1b[", "] [", "for=", "{}", '{"a":',
    "1\r\na\r\n", "1;\r\na\r\n", "a: b\r\n", "\r\n\r\na", "--b\r\n", "--b", "\xe2\x80\xa8", ";a=b",
]  # fmt: skip
UNITS += ["/b/", "/a/b", "-a", "1:", "1|", "[SQL: ", "]\n[parameters: (", "gzip,", "::", "127."]
UNITS_OF_FEEDS = ["a", '"', "1\r\na\r\n"]
AROUND = [("", ""), ("[" * 101 + '"', ""), ("a", "\0 !")]


def head_of(line: str, opening: str = "GET / HTTP/1.1") -> bytes:
    return f"{opening}\r\nHost: a\r\n{line}\r\n\r\n".encode("latin-1", "replace")


WIDE = Limits(max_line_size=1 << 30, max_header_size=1 << 30, max_header_count=1 << 30)


def parse_head(raw: bytes) -> None:
    parser = HeadParser(WIDE)
    if parser.scan(raw, 0, 0) > 0:
        parser.parse(raw)


def parse_head_in_pieces(raw: bytes) -> None:
    parser = HeadParser(WIDE)
    for end in range(0, len(raw), 512):
        parser.scan(raw[:end], 0, max(end - 512, 0))


def request_of(name: str, value: str, target: str = "/") -> Request:
    return Request(("GET", target, "HTTP/1.1"), [(name.encode(), value.encode("latin-1", "replace"))], None)


def etag_matches(value: str) -> bool:
    handler: Any = object.__new__(RequestHandler)
    handler.request = request_of("if-none-match", value)
    handler._headers = HTTPHeaders({"Etag": '"x"'})
    return bool(handler.check_etag_header())


def form(kind: str, body: bytes) -> None:
    parse_form(HTTPHeaders({"Content-Type": kind}), body)


def multipart(part: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n%b\r\n--b--\r\n' % part
    form("multipart/form-data; boundary=b", body)


def chunked(data: bytes, step: int) -> None:
    decoder = ChunkDecoder()
    for at in range(0, len(data), step):
        decoder.feed(data[at : at + step])


def incoming(length: int, data: bytes, step: int) -> None:
    body = IncomingBody(_Source(), length, 1 << 30, 65536)
    for at in range(0, len(data), step):
        body.feed(data[at : at + step])
    assert body.data is not None


class _Source:
    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def send_continue(self) -> None: ...


def inflated(data: bytes) -> None:
    for _ in Inflater(1000).inflate(data):
        pass


def websocket(data: bytes, step: int) -> None:
    reader = MessageReader(1 << 30)
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
        while reader.next() is not None:
            pass


def fragments(data: bytes) -> None:
    websocket(b"".join(b"\x02\x81\0\0\0\0x" if at else b"\x02\x81\0\0\0\0y" for at in range(len(data))), 4096)


PART = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
PROXIES = TrustedProxies(["127.0.0.0/8"], FORWARDED_HEADERS)
PEER = Peer(("127.0.0.1", 1), 2, "127.0.0.1", "http")
ORIGIN = _pattern("https://*.example.com")

ROUTES = Application(
    [
        (pattern, WebHandler)
        for pattern in (
            r"/user/(\w+)/(\d+)", r"/a/(.*)/b/(.*)/c", r"/(?P<x>[^/]+)/(?P<y>[^/]+)/z", r"/s/(\w+)-(\w+)",
            r"/u/([a-z]+)(?:/([a-z]+))?/?", r".*\.php",
        )
    ]
)  # fmt: skip
OFFICE = TokenSigner("k" * 40, "1")

READERS: dict[str, Callable[[str], object]] = {
    "JSON": lambda text: _json.parse_json(text.encode()),
    "JSON in a string": lambda text: _json.parse_json(b'["' + text.encode() + b'"]'),
    "JSON, read": _json.loads,
    "JSONP callback": _json.check_callback,
    "JSONP body": lambda text: _json.jsonp("a", text.encode()),
    "head: request line": lambda text: parse_head(
        f"GET /{text} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1", "replace")
    ),
    "head: target": lambda text: parse_head(
        f"GET http://{text}/ HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1", "replace")
    ),
    "head: method": lambda text: parse_head(head_of("a: b", f"{text} / HTTP/1.1")),
    "head: Host": lambda text: parse_head(f"GET / HTTP/1.1\r\nHost: {text}\r\n\r\n".encode("latin-1", "replace")),
    "head: Connection": lambda text: parse_head(head_of(f"Connection: {text}")),
    "head: Content-Length": lambda text: parse_head(head_of(f"Content-Length: {text}")),
    "head: Transfer-Encoding": lambda text: parse_head(head_of(f"Transfer-Encoding: {text}")),
    "head: name": lambda text: parse_head(head_of(f"{text}: a")),
    "head: value": lambda text: parse_head(head_of(f"a: {text}")),
    "fields": lambda text: headers.headers_of(head_of(f"a: {text}")),
    "fields: names": lambda text: headers.headers_of([(part.encode(), b"x") for part in text.split(",")]),
    "chunks": lambda text: chunked(text.encode("latin-1", "replace"), 1 << 20),
    "chunks: extension": lambda text: chunked(b"1;" + text.encode("latin-1", "replace"), 1 << 20),
    "chunks: quoted extension": lambda text: chunked(b'1;a="' + text.encode("latin-1", "replace"), 1 << 20),
    "chunks: trailer": lambda text: chunked(b"0\r\na:" + text.encode("latin-1", "replace"), 1 << 20),
    "gzip": lambda text: inflated(gzip.compress(text.encode())),
    "gzip: noise": lambda text: inflated(text.encode()),
    "cookies": lambda text: request_of("cookie", text).cookies,
    "cookies: form": lambda text: headers.are_plain_cookies(text.encode("latin-1", "replace")),
    "cookies: found": lambda text: headers.find_cookie(text.encode("latin-1", "replace"), "a"),
    "cookies: value": lambda text: request_of("cookie", f'a="{text}"').cookies,
    "query": lambda text: request_of("a", "", f"/?{text}").arguments,
    "query: value": lambda text: request_of("a", "", f"/?a={text}").arguments,
    "Host name": lambda text: request_of("host", text).host_name,
    "form": lambda text: form("application/x-www-form-urlencoded", text.encode()),
    "Content-Type": lambda text: form(f"multipart/form-data; {text}", b"x"),
    "multipart: preamble": lambda text: multipart(text.encode()),
    "multipart: part header": lambda text: multipart(b"--b\r\n" + text.encode() + b": x\r\n\r\n1"),
    "multipart: disposition": lambda text: multipart(
        b"--b\r\nContent-Disposition: form-data; name=" + text.encode() + b"\r\n\r\n1"
    ),
    "Range": lambda text: parse_range(text, 10),
    "If-None-Match": etag_matches,
    "Accept": lambda text: preferred(text, ("text/html", "text/plain")),
    "Accept-Language": _ranked,
    "Sec-WebSocket-Extensions": lambda text: negotiate_deflate(text, {}),
    "Sec-WebSocket-Extensions: parameters": lambda text: negotiate_deflate(f"permessage-deflate; {text}", {}),
    "WebSocket frames": lambda text: websocket(text.encode("latin-1", "replace"), 1 << 20),
    **{
        name: lambda text, name=name: PROXIES.client_of(PEER, head_of(f"{name}: {text}"))  # type: ignore[misc]
        for name in FORWARDED_HEADERS
    },
    "Origin": lambda text: ORIGIN.fullmatch(f"https://{text}".lower()),
    "Access-Control-Request-Headers": _wanted_headers,
    "host pattern": parse_host,
    "route": lambda text: ROUTES.default_router.resolve(request_of("host", "a", f"/{text}")),
    "route: groups": lambda text: ROUTES.default_router.resolve(request_of("host", "a", f"/a/{text}/b/{text}")),
    "route: names": lambda text: ROUTES.default_router.resolve(request_of("host", "a", f"/user/{text}")),
    "routes tried": lambda text: ROUTES.wildcard_router.candidates(f"/{text}"),
    "static path": lambda text: static.StaticFileHandler.get_absolute_path(tempfile.gettempdir(), text),
    "signed cookie": lambda text: decode_signed_value("k" * 40, "a", text),
    "signed cookie: fields": lambda text: decode_signed_value("k" * 40, "a", f"2|1:0|10:1|{text}"),
    "session cookie": OFFICE.read,
    "flash cookie": lambda text: _parsed(text.encode()),
    "Accept-Encoding": _accepts_gzip,
    "Accept-Encoding: weight": lambda text: _accepts_gzip(f"gzip;{text}"),
    "address": parse_address,
    "request id": _WELL_FORMED.fullmatch,
    "access log": lambda text: (_word(text), _quoted(text)),
    "multipart: file name": lambda text: multipart(
        b"--b\r\nContent-Disposition: form-data; name=x; filename*=utf-8''" + text.encode() + b"\r\n\r\n1"
    ),
    "multipart: charset": lambda text: multipart(
        b"--b\r\nContent-Disposition: form-data; name=x; filename*=punycode''" + text.encode() + b"\r\n\r\n1"
    ),
    "URL": lambda text: request_of("host", text, f"/{text}").full_url(),
    "redirect": is_safe_redirect,
    "log: controls": escape_controls,
    "log: field": quote_field,
    "log: coloured": lambda text: _coloured(f"[I {text}", "INFO"),
    "masking": _masking.mask_text,
    "masking: URL": _masking.mask_url,
    "masking: name": _masking.is_secret,
}

FEEDS: dict[str, Callable[[str], object]] = {
    "head: in pieces": lambda text: parse_head_in_pieces(head_of(f"a: {text}")),
    "chunks: in pieces": lambda text: chunked(text.encode("latin-1", "replace"), 7),
    "body: by length": lambda text: incoming(1 << 30, text.encode(), 1),
    "body: by chunks": lambda text: incoming(CHUNKED, b"1\r\nx\r\n" * (len(text) // 6), 1),
    "gzip: members": lambda text: inflated(gzip.compress(b"") * (len(text) // 20)),
    "multipart: parts": lambda text: multipart(
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * len(text)
    ),
    "WebSocket frame in pieces": lambda text: websocket(
        b"\x82\xfe\x7f\xff\0\0\0\0" + text.encode("latin-1", "replace")[:32767], 7
    ),
    "WebSocket fragments": lambda text: fragments(text.encode("latin-1", "replace")),
}
"""Readers that get their text piece by piece, or many times: costly whatever it is."""


def made(unit: str, size: int) -> str:
    return unit * (size // len(unit))


def seconds(reader: Callable[[str], object], text: str, runs: int = 1) -> float:
    """CPU seconds of the fastest of *runs*; errors are answers like others."""
    spent = []
    for _ in range(runs):
        began = time.thread_time()
        with contextlib.suppress(Exception):
            reader(text)
        spent.append(time.thread_time() - began)
    return min(spent)


def is_linear(reader: Callable[[str], object], small: Sequence[str], large: str) -> bool:
    """Return whether *large* takes no longer than its share of the slowest of *small*: some readers stop early."""
    if seconds(reader, large) < NEGLIGIBLE:
        return True
    return any(
        seconds(reader, large, 2) < NEGLIGIBLE + MOST * max(seconds(reader, text, 3) for text in small)
        for _ in range(3)
    )


@pytest.mark.timeout(600)  # it works all the time, and has a share of a busy machine
@pytest.mark.parametrize("name", [*READERS, *FEEDS])
def test_time_grows_as_the_text_does(name: str) -> None:
    reader = READERS.get(name) or FEEDS[name]
    found = []
    for unit in UNITS if name in READERS else UNITS_OF_FEEDS:
        for before, after in AROUND if name in READERS else AROUND[:1]:
            small = [f"{before}{made(unit, size)}{after}" for size in (SMALL, SMALL + len(unit))]
            if not is_linear(reader, small, f"{before}{made(unit, SMALL * FACTOR)}{after}"):
                found.append((before, unit, after))
    assert not found


@pytest.mark.parametrize("unit", [b"%41", b"x", b"+"])
def test_an_urlencoded_form_is_bounded(unit: bytes) -> None:
    kind = "application/x-www-form-urlencoded"
    form(kind, b"a=" + unit * 1_000_000)
    with pytest.raises(BodyError, match="at most 4194304 bytes"):
        form(kind, b"a=" + unit * 5_000_000)


def test_a_quadratic_reader_is_found() -> None:
    def copies_the_rest(text: str) -> None:
        while text:
            text = text[1:]

    assert not is_linear(copies_the_rest, "a" * SMALL * 4, "a" * SMALL * 4 * FACTOR)
