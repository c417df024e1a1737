"""Parser of request heads: checks the bytes up to the empty line and splits them.

    bytes ──► find its end ──► llhttp (every byte of it) ──► ours: sizes, Host, lengths, target, version
              (`scan`)          (`HeadParser.parse`)              │
                                                                  └─► PlainHead, or Refusal(status)

llhttp, in its strict mode, refuses bare CR and LF, folded lines, white space before a colon, names that are not
tokens, control characters, Content-Length beside Transfer-Encoding, repeated or signed lengths and every transfer
coding that does not end in one `chunked`. It accepts the following, which this module refuses: two spaces in the
request line, versions other than 1.0 and 1.1, a missing, repeated or invalid `Host`, fragments, absurd lengths, any
number and size of fields, a transfer coding besides `chunked` or in HTTP/1.0. It gets unknown methods as GET.

Fields that llhttp has accepted before, and a plain request line, are not checked by it again. It always gets a
complete head: one parser serves every connection of a server, idle connections hold none, and the way the bytes
were split cannot change the result.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import httptools

from torngas_aio.http.headers import HeaderView
from torngas_aio.http.limits import Limits
from torngas_aio.http.target import is_host, path_of
from torngas_aio.utils.bounded import BoundedCache
from torngas_aio.utils.numbers import parse_whole
from torngas_aio.utils.text import is_token_bytes

__all__ = ["CHUNKED", "Head", "HeadParser", "PlainHead", "Refusal"]

CHUNKED = -1
"""The `PlainHead.length` of a chunked body."""


class Refusal(Exception):
    """A request that the server itself refuses with *status*; the connection closes afterwards."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class PlainHead:
    """A valid HTTP/1.1 request head with default semantics: no body, keep-alive, no Expect.

    PERF: most heads are of this kind; only three attributes are set on the instance (benchmarks, plain).

    Attributes:
        raw: The bytes, including the empty line.
        length: Bytes of the body; 0 without one, `CHUNKED` for a chunked one.
        keeps_alive: Whether version and `Connection` allow another request after this one.
        expects_continue: The client waits for `100 Continue` before it sends the body.
        is_gzipped: `Content-Encoding` is gzip and nothing else.
        about_body: `Content-Type` and `Content-Encoding`, "" for an absent one; empty: not read, use `raw`.
    """

    __slots__ = ("method", "raw", "target")

    version = "HTTP/1.1"
    length = 0
    keeps_alive = True
    expects_continue = False
    is_gzipped = False
    about_body: Mapping[str, str] = MappingProxyType({})

    def __init__(self, raw: bytes, method: str, target: str) -> None:
        self.raw = raw
        self.method = method
        self.target = target


class LastHead(PlainHead):
    """A plain head except for its `Connection: close`."""

    __slots__ = ()

    keeps_alive = False


class Head(PlainHead):
    """A head with any version and fields."""

    # PERF: slots: 3.13 does not specialise instance attributes that shadow a class's (benchmarks, form)
    __slots__ = ("about_body", "expects_continue", "is_gzipped", "keeps_alive", "length", "version")

    def __init__(self, raw: bytes, method: str, target: str, version: str, framing: "_Framing") -> None:
        self.raw = raw  # PERF: not by super(): -0.1 us (benchmarks, json-post)
        self.method = method
        self.target = target
        self.version = version
        self.length = framing.length
        self.keeps_alive = framing.keeps_alive
        self.expects_continue = framing.expects_continue
        self.is_gzipped = framing.is_gzipped
        self.about_body = framing.about_body


@dataclass(frozen=True, slots=True)
class _Framing:
    """The fields about body and connection; see the attributes of `PlainHead`."""

    length: int
    keeps_alive: bool
    expects_continue: bool
    is_gzipped: bool
    about_body: Mapping[str, str]
    kind: type[PlainHead] | None


_KIND_OF_HEAD: dict[tuple[object, ...], type[PlainHead]] = {
    (0, True, False, False): PlainHead,
    (0, False, False, False): LastHead,
}
"""The class whose attributes equal the first four of a framing, in an HTTP/1.1 request."""


_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND")
}
_KNOWN_METHODS = frozenset(_METHODS.values())
_VERSIONS = {b"HTTP/1.1": "HTTP/1.1", b"HTTP/1.0": "HTTP/1.0"}

_P = ord("P")  # of POST, PUT, PATCH
_MAX_KEPT_FIELDS = 2048
_MAX_KEPT_LINE = 256
_MAX_KEPT_DECIDING = 512  # bytes; a host has at most 261: a name of 253 characters, a colon, a port
_MAX_KEPT_BYTES = 1024 * 1024  # in each of the parser's caches

_plain_line = re.compile(
    rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) (/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*) HTTP/1\.1"
).fullmatch
# PERF: the first letter is tested before the six names: -0.15 us for a browser's head (benchmarks, varied)
_deciding = re.compile(
    rb"\r\n(?=[CcEeHhTt])(?i:host|connection|content-(?:length|type|encoding)|transfer-encoding|expect):[^\r]*"
).findall
_is_version = re.compile(rb"HTTP/[0-9]\.[0-9]").fullmatch
_bare_lf = re.compile(rb"(?<!\r)\n").search
_upgrade = re.compile(rb"\r\nupgrade:[^\r]*", re.IGNORECASE)


class _NoCallbacks:
    """The parser's callbacks: none, since only its errors are used."""


_NO_CALLBACKS = _NoCallbacks()


class HeadParser:
    """A parser that finds, checks and splits request heads, for all connections of one server."""

    __slots__ = ("_framings", "_good", "_lines", "_llhttp", "_max_count", "_max_line", "_max_size")

    def __init__(self, limits: Limits) -> None:
        self._max_line = limits.max_line_size
        self._max_size = limits.max_header_size
        self._max_count = limits.max_header_count
        # HTTP/1.1 fields that decide the framing, by their bytes once valid
        self._framings: BoundedCache[bytes, _Framing] = BoundedCache(_MAX_KEPT_BYTES, _MAX_KEPT_DECIDING)
        # Valid fields with default framing: whether they keep the connection alive
        self._good: BoundedCache[bytes, bool] = BoundedCache(_MAX_KEPT_BYTES, _MAX_KEPT_FIELDS)
        # Plain request lines: method and target
        self._lines: BoundedCache[bytes, tuple[str, str]] = BoundedCache(_MAX_KEPT_BYTES, _MAX_KEPT_LINE)
        self._llhttp = _new_llhttp()

    def scan(self, data: bytes, start: int, seen: int) -> int:
        """Return the end of the head that begins at *start*, or -1 if it is incomplete.

        Args:
            data: The bytes received so far.
            seen: The position up to which an earlier call has searched.

        Raises:
            Refusal: The bytes cannot become a valid head any more.
        """
        end = data.find(b"\r\n\r\n", max(start, seen - 3))
        stop = len(data) if end < 0 else end + 4
        if end < 0 or stop - start > self._max_size or data.find(b"\r\n", start) - start > self._max_line:
            self._refuse_opening(data, start, stop, seen)
        return end if end < 0 else stop

    def _refuse_opening(self, data: bytes, start: int, stop: int, seen: int) -> None:
        """Raise for the first fault that further bytes cannot correct.

        Only the position of the fault counts, not the bytes received after it, so that a head is refused for the
        same reason however it was split.
        """
        opening = data[start : start + 1]
        if opening == b"\r" and stop - start == 1:  # perhaps the first half of an empty line
            return
        if opening and not is_token_bytes(opening):
            raise Refusal(400, "The request line does not begin with a method.")
        is_in_line = data.find(b"\r\n", start, min(stop, start + self._max_line + 2)) < 0
        limit = start + (min(self._max_line, self._max_size) if is_in_line else self._max_size)
        if _bare_lf(data, max(start, seen - 1), min(stop, limit + 1)):
            raise Refusal(400, "A line ends in LF without CR.")
        if stop > limit + is_in_line:  # the CR of a line's end may be the byte after the limit
            if is_in_line:
                raise Refusal(414, f"The request line is longer than {self._max_line} bytes.")
            raise Refusal(431, f"The header is larger than {self._max_size} bytes.")

    def parse(self, raw: bytes) -> PlainHead:
        """Return the head *raw*, which `scan` has found to be complete.

        Raises:
            Refusal: It is malformed, ambiguous or beyond a limit.
        """
        end_of_line = raw.find(b"\r\n")
        opening = raw[:end_of_line]
        line = self._lines.get(opening) or self._split_plain_line(opening)
        if line is None:
            _refuse_bare(raw)
            method, target, version = _parts_of(opening)
        else:
            (method, target), version = line, "HTTP/1.1"
        if raw.count(b"\n") - 2 > self._max_count:
            _refuse_bare(raw)
            raise Refusal(431, f"The header has more than {self._max_count} fields.")
        self._check(raw, method)
        found = _deciding(raw)
        # PERF: fields that vary between requests seldom decide the framing (benchmarks, varied, json-post)
        deciding = b"".join(found)
        framing = self._framings.get(deciding) if version == "HTTP/1.1" else None
        if framing is None:
            framing = self._derive_framing(found, version)
            if version == "HTTP/1.1":
                if b"boundary=" not in deciding:  # it differs in each upload
                    self._framings.keep(deciding, framing)
            else:  # SPEC: RFC 9110 7.8: an Upgrade in HTTP/1.0 is ignored
                raw = _upgrade.sub(b"", raw)
        elif framing.length or not framing.keeps_alive:
            self._llhttp = _new_llhttp()
        if line is None and (not target.startswith("/") or "#" in target):
            target = _resolve_target(method, target, found)
        kind = framing.kind
        if kind is None:
            return Head(raw, method, target, version, framing)
        self._good.keep(raw[end_of_line:], framing.keeps_alive)
        return kind(raw, method, target)

    def recognize(self, data: bytes) -> PlainHead | None:
        """Return the head in *data*, if it is one complete head whose fields were accepted before.

        PERF: clients repeat their fields. Their validity does not depend on the request line, and a plain request
        line needs no other check: -3 us with ten fields (benchmarks, headers).
        """
        if data[0] == _P:  # PERF: requests with a body are never cached: -1 us (benchmarks, json-post)
            return None
        at, size = data.find(b"\r\n"), len(data)
        if size - at > _MAX_KEPT_FIELDS or at > self._max_line or size > self._max_size:
            return None
        keeps_alive = self._good.get(data[at:])
        if keeps_alive is None:
            return None
        opening = data[:at]
        line = self._lines.get(opening) or self._split_plain_line(opening)
        if line is None:
            return None
        method, target = line
        return PlainHead(data, method, target) if keeps_alive else LastHead(data, method, target)

    def _split_plain_line(self, line: bytes) -> tuple[str, str] | None:
        """Return method and target of a plain request line; short ones without a query are cached."""
        found = _plain_line(line)
        if found is None:
            return None
        pair = _METHODS[found[1]], found[2].decode("ascii")
        if "?" not in pair[1]:  # queries seldom repeat
            self._lines.keep(line, pair)
        return pair

    def _check(self, raw: bytes, method: str) -> None:
        """Check every byte with llhttp."""
        try:
            self._llhttp.feed_data(raw if method in _KNOWN_METHODS else b"GET" + raw[len(method) :])
        except httptools.HttpParserUpgrade:  # it would treat further bytes as another protocol's
            self._llhttp = _new_llhttp()
        except httptools.HttpParserError as exc:
            self._llhttp = _new_llhttp()
            _refuse_bare(raw)
            raise Refusal(400, f"{exc}.") from None

    def _derive_framing(self, found: list[bytes], version: str) -> _Framing:
        """Derive the framing from the fields about host, body and connection."""
        # llhttp may now expect a body, which it never gets: renew it, or it would parse the next head as that body,
        # even if this head is refused.
        self._llhttp = _new_llhttp()
        is_modern = version == "HTTP/1.1"
        hosts: list[bytes] = []
        lengths: list[int] = []
        options: set[bytes] = set()
        expects_continue = is_gzipped = False
        for line in found:
            name, _, padded = line[2:].partition(b":")
            field, value = name.lower(), padded.strip(b" \t")
            if field == b"host":
                hosts.append(value)
            elif field == b"connection":
                options.update(option.strip(b" \t") for option in value.lower().split(b","))
            elif field == b"expect":
                expects_continue = _expects_continue(value, version)
            elif field == b"content-encoding":
                is_gzipped = value.lower() in (b"gzip", b"x-gzip")
            elif field != b"content-type":
                lengths.append(_length_of(field, value, version))
        if len(lengths) > 1:  # llhttp refuses this too
            raise Refusal(400, "Two fields define the length of the body.")
        if len(hosts) > 1 or (is_modern and not hosts):
            raise Refusal(400, "A request has exactly one Host field.")
        if hosts and not is_host(hosts[0]):
            raise Refusal(400, "The Host field is not a valid host.")
        keeps_alive = b"close" not in options and (is_modern or b"keep-alive" in options)
        view = HeaderView(b"".join(found))
        about_body = {name: view.get(name, "") for name in ("Content-Type", "Content-Encoding")}
        said = (lengths[0] if lengths else 0, keeps_alive, expects_continue, is_gzipped)
        return _Framing(*said, about_body, _KIND_OF_HEAD.get(said) if is_modern else None)


def _length_of(field: bytes, value: bytes, version: str) -> int:
    """Return the `PlainHead.length` for a Transfer-Encoding or Content-Length."""
    if field == b"transfer-encoding":
        if version != "HTTP/1.1":  # SPEC: RFC 9112 6.1: faulty framing
            raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding.")
        if value.lower() != b"chunked":
            raise Refusal(501, "Only the transfer coding 'chunked' is known.")
        return CHUNKED
    length = parse_whole(value)
    if length is None:
        raise Refusal(400, "Content-Length is not a number of bytes.")
    return length


def _resolve_target(method: str, target: str, found: list[bytes]) -> str:
    """Return the path of a target that is not a plain path: `*` for OPTIONS, or a URL of this host."""
    host = next((line[7:].strip(b" \t") for line in found if line[2:7].lower() == b"host:"), None)
    try:
        return path_of(method, target.encode("latin-1"), host)
    except ValueError as exc:
        raise Refusal(400, str(exc)) from None


def _refuse_bare(raw: bytes) -> None:
    """Raise for a bare CR or LF: llhttp refuses it with a less specific message."""
    if raw.count(b"\n") != raw.count(b"\r"):
        raise Refusal(400, "A line ends in LF without CR, or a CR stands alone.")


def _new_llhttp() -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(_NO_CALLBACKS)
    # It gets each head separately; keep-alive is decided here.
    parser.set_dangerous_leniencies(lenient_keep_alive=True)
    return parser


def _parts_of(line: bytes) -> tuple[str, str, str]:
    """Return method, target and version of a request line that is not plain."""
    try:
        method, target, version = line.split(b" ")
    except ValueError:
        raise Refusal(400, "The request line is not 'method target version'.") from None
    name = _METHODS.get(method) or _other_method(method)
    return name, target.decode("latin-1"), _VERSIONS.get(version) or _refuse_version(version)


def _other_method(method: bytes) -> str:
    if not is_token_bytes(method):
        raise Refusal(400, "The method is not a token.")
    if len(method) > 32 or method == b"CONNECT":
        raise Refusal(501, "The server does not support this method.")
    return method.decode("ascii")


def _refuse_version(version: bytes) -> str:
    if _is_version(version):
        raise Refusal(505, "This server supports HTTP 1.0 and 1.1.")
    raise Refusal(400, "The request line does not end in an HTTP version.")


def _expects_continue(value: bytes, version: str) -> bool:
    if value.lower() != b"100-continue":
        raise Refusal(417, "The only expectation that can be met is '100-continue'.")
    return version == "HTTP/1.1"  # SPEC: RFC 9110 10.1.1: an HTTP/1.0 client's expectation is ignored
