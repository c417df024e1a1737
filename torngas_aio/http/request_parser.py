"""A request head: from the bytes up to the empty line, checked and taken apart.

    bytes ──► find its end ──► llhttp (every byte of it) ──► ours: sizes, Host, lengths, target, version
              (`scan`)          (`HeadParser.parse`)              │
                                                                  └─► PlainHead, or Refusal(status)

llhttp, in its strict mode, refuses bare CR and LF, folded lines, white space before a colon, names that are no
tokens, control characters, both lengths, doubled or signed lengths and every transfer coding that does not
end in one `chunked`. It lets pass, and is stopped here: two spaces in the request line, versions other than
1.0 and 1.1, no or two `Host`, a `Host` that is none, fragments, absurd lengths, any number and size of fields,
a transfer coding besides `chunked` or in HTTP/1.0. Methods that it does not know are shown to it as GET.

Fields that llhttp has passed before, and a plain request line, are not shown to it again. A head is given to it
whole, so one parser serves every connection of a server, no connection holds one while it is idle, and how the bytes
were split can make no difference.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

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
    """A request that is answered with *status* by the server itself, after which the connection closes."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class PlainHead:
    """One request head that is good, and that says nothing but what goes without saying.

    PERF: most are of this kind: three attributes are set for each, the rest is the class's (benchmarks, plain).

    Attributes:
        raw: The bytes, the empty line included.
        length: Bytes of the body, 0 without one, `CHUNKED` when it tells its end itself.
        keeps_alive: Whether version and `Connection` allow another request after this one.
        expects_continue: The client waits for `100 Continue` before it sends the body.
        is_gzipped: The body says that it is packed with gzip, and with nothing else.
        about_body: `Content-Type` and `Content-Encoding`, "" where there is none; empty: look at `raw`.
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
    """A plain head but for its `Connection: close`."""

    __slots__ = ()

    keeps_alive = False


class Head(PlainHead):
    """A head whose version and fields may say anything."""

    def __init__(self, raw: bytes, method: str, target: str, version: str, framing: "_Framing") -> None:
        self.raw = raw  # PERF: not by super(): -0.1 us (benchmarks, json-post)
        self.method = method
        self.target = target
        self.version = version
        self.length, self.keeps_alive, self.expects_continue, self.is_gzipped, self.about_body, _ = framing


class _Framing(NamedTuple):
    """What the fields say about body and connection, as the attributes of `PlainHead` of these names do."""

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
"""Which class says the first four attributes of a framing by itself, in a request of HTTP/1.1."""


_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND")
}
_KNOWN_METHODS = frozenset(_METHODS.values())
_VERSIONS = {b"HTTP/1.1": "HTTP/1.1", b"HTTP/1.0": "HTTP/1.0"}

_P = ord("P")  # of POST, PUT, PATCH
_MAX_KEPT_FIELDS = 2048
_MAX_KEPT_LINE = 256
_MAX_KEPT_DECIDING = 512  # a host has at most 261 bytes: a name of 253 characters, a colon, a port
_MAX_KEPT_BYTES = 1024 * 1024  # of each of the parser's caches

_plain_line = re.compile(
    rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) (/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*) HTTP/1\.1"
).fullmatch
# PERF: the class of first letters is tried before the six names: -0.15 us for a browser's head (benchmarks, varied)
_deciding = re.compile(
    rb"\r\n(?=[CcEeHhTt])(?i:host|connection|content-(?:length|type|encoding)|transfer-encoding|expect):[^\r]*"
).findall
_is_version = re.compile(rb"HTTP/[0-9]\.[0-9]").fullmatch
_bare_lf = re.compile(rb"(?<!\r)\n").search
_upgrade = re.compile(rb"\r\nupgrade:[^\r]*", re.IGNORECASE)


class _NoCallbacks:
    """What the parser reports to: nothing. It is asked for its verdict only."""


_SILENCE = _NoCallbacks()


class HeadParser:
    """Finds, checks and takes apart request heads for all connections of one server."""

    __slots__ = ("_framings", "_good", "_lines", "_llhttp", "_max_count", "_max_line", "_max_size")

    def __init__(self, limits: Limits) -> None:
        self._max_line = limits.max_line_size
        self._max_size = limits.max_header_size
        self._max_count = limits.max_header_count
        # The deciding fields of HTTP/1.1 that were found good, and what they say
        self._framings: BoundedCache[bytes, _Framing] = BoundedCache(_MAX_KEPT_BYTES, _MAX_KEPT_DECIDING)
        # Fields that were checked, and decided nothing unusual: whether they keep the connection alive
        self._good: BoundedCache[bytes, bool] = BoundedCache(_MAX_KEPT_BYTES, _MAX_KEPT_FIELDS)
        # Plain request lines: method and target
        self._lines: BoundedCache[bytes, tuple[str, str]] = BoundedCache(_MAX_KEPT_BYTES, _MAX_KEPT_LINE)
        self._llhttp = _new_llhttp()

    def scan(self, data: bytes, start: int, seen: int) -> int:
        """Return where the head that opens at *start* ends, or -1 when its end is still to come.

        Args:
            data: What has arrived.
            seen: Up to where an earlier call has looked in vain.

        Raises:
            Refusal: What is there can no longer become a good head.
        """
        end = data.find(b"\r\n\r\n", max(start, seen - 3))
        stop = len(data) if end < 0 else end + 4
        if end < 0 or stop - start > self._max_size or data.find(b"\r\n", start) - start > self._max_line:
            self._refuse_opening(data, start, stop, seen)
        return end if end < 0 else stop

    def _refuse_opening(self, data: bytes, start: int, stop: int, seen: int) -> None:
        """Raise for the first fault that no further byte can mend.

        What counts is where the fault stands, not what has arrived after it: so a head is refused for the
        same reason however it was split.
        """
        opening = data[start : start + 1]
        if opening == b"\r" and stop - start == 1:  # the first half of an empty line, perhaps
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
        """Return the head *raw*, which `scan` found to be complete.

        Raises:
            Refusal: It is malformed, ambiguous or beyond a limit.
        """
        end_of_line = raw.find(b"\r\n")
        opening = raw[:end_of_line]
        line = self._lines.get(opening) or self._taken_apart(opening)
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
        # PERF: what differs from request to request seldom decides anything (benchmarks, varied, json-post)
        deciding = b"".join(found)
        framing = self._framings.get(deciding) if version == "HTTP/1.1" else None
        if framing is None:
            framing = self._weigh(found, version)
            if version == "HTTP/1.1":
                if b"boundary=" not in deciding:  # each upload has another
                    self._framings.keep(deciding, framing)
            else:  # SPEC: RFC 9110 7.8: an Upgrade in HTTP/1.0 is ignored
                raw = _upgrade.sub(b"", raw)
        elif framing.length or not framing.keeps_alive:
            self._llhttp = _new_llhttp()
        if line is None and (not target.startswith("/") or "#" in target):
            target = _aimed(method, target, found)
        kind = framing.kind
        if kind is None:
            return Head(raw, method, target, version, framing)
        self._good.keep(raw[end_of_line:], framing.keeps_alive)
        return kind(raw, method, target)

    def recognize(self, data: bytes) -> PlainHead | None:
        """Return the head that *data* is, if it is one whole head whose fields were seen before.

        PERF: clients send the same fields again and again. What was said of them holds, whatever the request line
        is; a request line of the plain kind has nothing else to be checked: -3 us with ten fields (benchmarks,
        headers).
        """
        if data[0] == _P:  # PERF: of a request with a body nothing is known: -1 us (benchmarks, json-post)
            return None
        at, size = data.find(b"\r\n"), len(data)
        if size - at > _MAX_KEPT_FIELDS or at > self._max_line or size > self._max_size:
            return None
        keeps_alive = self._good.get(data[at:])
        if keeps_alive is None:
            return None
        opening = data[:at]
        line = self._lines.get(opening) or self._taken_apart(opening)
        if line is None:
            return None
        method, target = line
        return PlainHead(data, method, target) if keeps_alive else LastHead(data, method, target)

    def _taken_apart(self, line: bytes) -> tuple[str, str] | None:
        """Return method and target of a request line of the plain kind; short ones without a query are remembered."""
        found = _plain_line(line)
        if found is None:
            return None
        pair = _METHODS[found[1]], found[2].decode("ascii")
        if "?" not in pair[1]:  # queries are seldom the same
            self._lines.keep(line, pair)
        return pair

    def _check(self, raw: bytes, method: str) -> None:
        """Have llhttp look at every byte."""
        try:
            self._llhttp.feed_data(raw if method in _KNOWN_METHODS else b"GET" + raw[len(method) :])
        except httptools.HttpParserUpgrade:  # it takes what comes next for another protocol's
            self._llhttp = _new_llhttp()
        except httptools.HttpParserError as exc:
            self._llhttp = _new_llhttp()
            _refuse_bare(raw)
            raise Refusal(400, f"{exc}.") from None

    def _weigh(self, found: list[bytes], version: str) -> _Framing:
        """Draw the conclusions from the fields that decide about host, framing and connection."""
        # llhttp may now wait for a body, which it will not be given: the next head must not be taken for one,
        # whatever becomes of this one.
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
        if len(lengths) > 1:  # llhttp refuses these too
            raise Refusal(400, "Two fields give the length of the body.")
        if len(hosts) > 1 or (is_modern and not hosts):
            raise Refusal(400, "A request has exactly one Host field.")
        if hosts and not is_host(hosts[0]):
            raise Refusal(400, "The Host field holds no host.")
        keeps_alive = b"close" not in options and (is_modern or b"keep-alive" in options)
        view = HeaderView(b"".join(found))
        about_body = {name: view.get(name, "") for name in ("Content-Type", "Content-Encoding")}
        said = (lengths[0] if lengths else 0, keeps_alive, expects_continue, is_gzipped)
        return _Framing(*said, about_body, _KIND_OF_HEAD.get(said) if is_modern else None)


def _length_of(field: bytes, value: bytes, version: str) -> int:
    """Return the `PlainHead.length` that a Transfer-Encoding or Content-Length gives."""
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


def _aimed(method: str, target: str, found: list[bytes]) -> str:
    """Return the target that is not a plain path: `*` for OPTIONS, or a whole URL of this host."""
    host = next((line[7:].strip(b" \t") for line in found if line[2:7].lower() == b"host:"), None)
    try:
        return path_of(method, target.encode("latin-1"), host)
    except ValueError as exc:
        raise Refusal(400, str(exc)) from None


def _refuse_bare(raw: bytes) -> None:
    """Raise for a CR or LF that stands alone: llhttp refuses them as well, and does not say so."""
    if raw.count(b"\n") != raw.count(b"\r"):
        raise Refusal(400, "A line ends in LF without CR, or a CR stands alone.")


def _new_llhttp() -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(_SILENCE)
    # Each head is shown to it by itself: whether another may follow is decided here.
    parser.set_dangerous_leniencies(lenient_keep_alive=True)
    return parser


def _parts_of(line: bytes) -> tuple[str, str, str]:
    """Return method, target and version of a request line that is not of the plain kind."""
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
        raise Refusal(501, "The server does not do this method.")
    return method.decode("ascii")


def _refuse_version(version: bytes) -> str:
    if _is_version(version):
        raise Refusal(505, "This server speaks HTTP 1.0 and 1.1.")
    raise Refusal(400, "The request line does not end in an HTTP version.")


def _expects_continue(value: bytes, version: str) -> bool:
    if value.lower() != b"100-continue":
        raise Refusal(417, "The only expectation that can be met is '100-continue'.")
    return version == "HTTP/1.1"  # SPEC: RFC 9110 10.1.1: an HTTP/1.0 client's expectation is ignored
