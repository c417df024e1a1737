"""The request: a `tornado.httputil.HTTPServerRequest` that is built when it is looked at.

    eager   method, uri, version, path, query, connection
    lazy    headers  host  host_name  arguments  query_arguments  body_arguments  files  cookies
            remote_ip  protocol

Handlers that use Tornado's public attributes cannot tell. Begin with `Request.__init__`.
"""

# pyright: reportPrivateUsage=false

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from types import MappingProxyType
from typing import Any

from tornado.httputil import (
    HTTPFile,
    HTTPHeaders,
    HTTPInputError,
    HTTPServerRequest,
    RequestStartLine,
)

from torngas_aio.context import RequestScope
from torngas_aio.exception import Unawaited
from torngas_aio.http.base import Exchange
from torngas_aio.http.forms import boundary_of, is_form, parse_form, parse_urlencoded, refuse_urlencoded
from torngas_aio.http.headers import HeaderView, RawFields, headers_of, pairs_of, parsed_cookies, plain_cookies
from torngas_aio.http.spool import IN_MEMORY, Spool
from torngas_aio.utils.numbers import parse_whole

__all__ = ["MAX_QUERY_FIELDS", "Request"]

_OF_THE_BODY = ("arguments", "body_arguments", "files")
_AHEAD = (
    "A request hook with `before_body = True` asked for the body, or for an argument that may stand in it. "
    "Use get_query_argument(), or set `before_body = False` on the hook's class: it then runs once the body is read."
)

MAX_QUERY_FIELDS = 1000
"""How many fields a query string may hold; more are refused with 400, as in Tornado 6.6."""

_cookie_lines = re.compile(rb"\r\ncookie:[ \t]*([^\r]*)", re.IGNORECASE).findall
_now = time.time


_Arguments = dict[str, list[bytes]]


class Request(HTTPServerRequest):
    """One HTTP request as an HTTP server hands it over: checked there, parsed when asked.

    Args:
        start_line: Method, target and version.
        headers: `HTTPHeaders`; or raw pairs in the order they came, with lower-case latin-1 names; or the
            bytes of a head that our server has checked, taken apart when something asks for a header.
        connection: The exchange to answer on; its `context` gives `remote_ip` and `protocol`.
        server_connection: The opaque connection object of Tornado's delegate interface.
    """

    # Class attributes stand in until something changes them.
    root_path = ""
    """Where the application is mounted (ASGI's `root_path`), quoted: `uri` begins with it, `path` is below it."""

    is_management = False
    """Whether it came by the listener that MANAGEMENT names."""

    connection: Exchange  # type: ignore[assignment]  # an HTTPConnection in Tornado

    _scope: RequestScope | None
    _handler: Any = None  # ours, until the request has ended; the sweep asks it whether its time is over
    # Set in an observed application only:
    _route: Any = None  # to which it led
    _seen_handler: Any = None  # which has answered
    _observation: Any = None  # all that is seen of it
    _unawaited: Unawaited | None  # a forgotten coroutine, for the handler to answer
    _body = b""
    _is_body_ahead = False
    spool: Spool | None = None
    """The body of a class with `spool_body`."""

    _finish_time = None
    _is_body_parsed = False
    _plain_cookies: dict[str, str] | None
    _first: dict[bytes, bytes] | None = None  # of each header, by its lower-case name
    _lower_head: bytes | None = None
    about_body: Mapping[str, str] = MappingProxyType({})
    """Fields that our server has read in the raw head; see `PlainHead.about_body`."""

    def __init__(  # not super().__init__: that parses everything at once
        self,
        start_line: RequestStartLine | tuple[str, str, str],
        headers: HTTPHeaders | RawFields,
        connection: Any,
        server_connection: object | None = None,
    ) -> None:
        self.method, self.uri, self.version = start_line
        self.path, _, self.query = self.uri.partition("?")
        self.connection = connection
        self.server_connection = server_connection
        self._raw_headers = headers
        self._scope = self._unawaited = None  # PERF: 3.11 finds values of instances faster
        self._start_time = _now()

    @property
    def body(self) -> bytes:
        """The body, once it has been read.

        Raises:
            RuntimeError: A hook with `before_body` asks; or it is spooled and larger than 1 MiB.
        """
        if self._is_body_ahead:
            raise RuntimeError(_AHEAD)
        return self._body if self.spool is None else self.spool.body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body
        # What was looked at before the body was there is built again, with the body's arguments.
        for name in _OF_THE_BODY:
            self.__dict__.pop(name, None)
        self._is_body_parsed = False

    async def take_spool(self, spool: Spool) -> None:
        """Have *spool* be the body; the parts of a multipart form stay in it. Raises as `Spool.take_apart`."""
        self.body = b""
        self.spool = spool
        boundary = boundary_of(self.header_view)
        if boundary is not None and spool.size:
            arguments, files = await spool.take_apart(boundary)
            self.__dict__.update(body_arguments=arguments, files=files)
            self._is_body_parsed = True

    @property
    def has_body(self) -> bool:
        """Whether a body has been read, and is not empty."""
        return bool(self._body) or (self.spool is not None and self.spool.size > 0)

    @property
    def is_body_ahead(self) -> bool:
        """Whether hooks run that come before the body: asking for it, or for arguments that it may hold, raises."""
        return self._is_body_ahead

    @is_body_ahead.setter
    def is_body_ahead(self, is_ahead: bool) -> None:
        self._is_body_ahead = is_ahead
        if is_ahead:
            for name in _OF_THE_BODY:  # a call hook may have looked at them
                self.__dict__.pop(name, None)

    @property
    def header_view(self) -> HTTPHeaders | HeaderView:
        """The headers, to look at a few by `get(name, default)`: not all of them are taken apart for that."""
        raw = self._raw_headers
        if isinstance(raw, bytes) and "headers" not in self.__dict__:
            return HeaderView(raw, self.about_body)
        return self.headers

    @property
    def has_form(self) -> bool:
        """Whether a body has been read, and is a form."""
        return self.has_body and is_form(self.header_view)

    def raw_header(self, name: bytes) -> bytes | None:
        """Return the first value of the header *name* (lower case) without building the header dict."""
        raw = self._raw_headers
        if isinstance(raw, bytes):  # PERF: 0.5 us; a regular expression that ignores case takes 10 (static-304)
            at = self._lowered(raw).find(b"\r\n%b:" % name)
            if at < 0:
                return None
            start = at + len(name) + 3
            end = raw.find(b"\r", start)
            return raw[start : end if end >= 0 else None].strip(b" \t")
        if isinstance(raw, HTTPHeaders):
            value = raw.get(name.decode("latin-1"))
            return None if value is None else value.encode("latin-1")
        if self._first is None:
            self._first = dict(reversed(raw))
        return self._first.get(name)

    def may_have_argument(self, name: str) -> bool:
        """Return False where no argument *name*, of letters only, can be found; True where `arguments` may hold it."""
        query, looked_at = self.query, self.__dict__
        if (query and (name in query or "%" in query)) or "query_arguments" in looked_at or "arguments" in looked_at:
            return True
        return self.has_body and ("body_arguments" in looked_at or is_form(self.header_view))

    def may_mention(self, text: bytes) -> bool:
        """Return False where no header holds *text*, written in lower case; True where `headers` has to be asked."""
        raw = self._raw_headers
        return not isinstance(raw, bytes) or "headers" in self.__dict__ or self._lowered(raw).find(text) >= 0

    def came_with(self, text: bytes) -> bool:
        """Do as `may_mention` for the head as it came, whatever has been changed in `headers` since."""
        # PERF: without a look at the instance's `__dict__`, after which all of its attributes take longer
        raw = self._raw_headers
        return not isinstance(raw, bytes) or self._lowered(raw).find(text) >= 0

    def _lowered(self, raw: bytes) -> bytes:
        """Return the head as it came, in small letters; made once.

        PERF: ask it by `find`; `in` first raises an error in CPython: 0.1 us more (benchmarks, access-log).
        """
        lowered = self._lower_head
        if lowered is None:
            lowered = self._lower_head = raw.lower()
        return lowered

    def plain_cookies(self) -> dict[str, str] | None:
        """Return the cookies by name, as text; None where `cookies` has to be asked. Made once."""
        known: dict[str, str] | None = self.__dict__.get("_plain_cookies")
        if known is None and "_cookies" not in self.__dict__:
            known = self._plain_cookies = plain_cookies(self.cookie_header())
        return known

    def cookie_header(self) -> bytes:
        """Return all Cookie fields as one, joined by "; "; b"" where there is none. SPEC: RFC 9113 8.2.3"""
        raw = self._raw_headers
        if isinstance(raw, bytes):
            lines = _cookie_lines(raw)
        elif isinstance(raw, HTTPHeaders):
            lines = [value.encode("latin-1", "replace") for value in raw.get_list("Cookie")]
        else:
            lines = [value for name, value in raw if name == b"cookie"]
        return lines[0] if len(lines) == 1 else b"; ".join(lines)

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies, as `http.cookies.Morsel` objects by name."""
        jar: SimpleCookie | None = self.__dict__.get("_cookies")
        if jar is None:
            jar = self._cookies = SimpleCookie()
            for name, value in parsed_cookies(self.cookie_header().decode("latin-1")).items():
                with suppress(CookieError):  # a name that the standard library refuses
                    jar[name] = value
        return jar

    def drop_header(self, name: bytes) -> None:
        """Remove the header *name* (lower case) before anybody has looked at `headers`."""
        raw = self._raw_headers
        if isinstance(raw, HTTPHeaders):
            raw.pop(name.decode("latin-1"), None)
        else:
            self._raw_headers = [pair for pair in pairs_of(raw) if pair[0] != name]
            self._first = None

    def note_unpacking(self) -> None:
        """Have the headers say, in Tornado's words, that the body is handed on unpacked."""
        headers = self.headers
        headers["X-Consumed-Content-Encoding"] = headers.pop("Content-Encoding")
        self._raw_headers = headers

    def _parse_body(self) -> None:
        """Parse body arguments and files, once.

        Raises:
            HTTPInputError: The body is not what its Content-Type says.
            BodyError: 413: it is an urlencoded form too large to be taken apart; 415: it has a Content-Encoding.
        """
        if self._is_body_parsed:
            return
        if self._is_body_ahead:
            raise RuntimeError(_AHEAD)
        body_arguments: _Arguments = {}
        files: dict[str, list[HTTPFile]] = {}
        if self.spool is not None and self.spool.size <= IN_MEMORY:
            self._body = self.spool.body
        elif self.spool is not None:  # a multipart form has been taken apart before
            refuse_urlencoded(self.header_view, IN_MEMORY)
        if self._body:
            parse_form(self.header_view, self._body, body_arguments, files)
        self._is_body_parsed = True
        self.__dict__["body_arguments"] = body_arguments
        self.__dict__["files"] = files
        if "arguments" in self.__dict__:
            _merge(self.__dict__["arguments"], body_arguments)


def _headers(request: Request) -> HTTPHeaders:
    raw = request._raw_headers
    headers = raw if isinstance(raw, HTTPHeaders) else headers_of(raw)
    if len(headers.get_list("Cookie")) > 1:
        headers["Cookie"] = "; ".join(headers.get_list("Cookie"))  # HTTPHeaders joins by a comma
    return headers


def _host(request: Request) -> str:
    host = request.raw_header(b"host")
    return "127.0.0.1" if host is None else host.decode("latin-1")


def _host_name(request: Request) -> str:
    text = request.host.lower()
    host, _, port = text.rpartition(":")
    return host if host and parse_whole(port, max_digits=5) is not None else text


def _query(request: Request) -> _Arguments:
    if not request.query:
        return {}
    try:
        return parse_urlencoded(request.query.encode("latin-1"), MAX_QUERY_FIELDS)
    except ValueError as exc:
        raise HTTPInputError(f"Invalid query string: {exc}") from exc


def _arguments(request: Request) -> _Arguments:
    arguments = {key: [*values] for key, values in request.query_arguments.items()}
    if request._body or request._is_body_ahead or request.spool is not None:
        if not arguments:
            return {key: [*values] for key, values in request.body_arguments.items()}
        _merge(arguments, request.body_arguments)
    return arguments


def _merge(arguments: _Arguments, more: _Arguments) -> None:
    for key, values in more.items():
        arguments.setdefault(key, []).extend(values)


def _body_arguments(request: Request) -> _Arguments:
    request._parse_body()
    found: _Arguments = request.__dict__["body_arguments"]
    return found


def _files(request: Request) -> dict[str, list[HTTPFile]]:
    request._parse_body()
    found: dict[str, list[HTTPFile]] = request.__dict__["files"]
    return found


def _remote_ip(request: Request) -> str | None:
    return getattr(getattr(request.connection, "context", None), "remote_ip", None)


def _protocol(request: Request) -> str:
    return getattr(getattr(request.connection, "context", None), "protocol", "http")


class _Lazy:
    """An attribute of a request that is built when it is first looked at, and kept.

    PERF: `__getattr__` would make every look at any attribute slower; the standard library's `cached_property`
    takes a lock.
    """

    __slots__ = ("_build", "_name")

    def __init__(self, name: str, build: Callable[[Request], Any]) -> None:
        self._name = name
        self._build = build

    def __get__(self, request: Request | None, owner: type) -> Any:
        if request is None:
            return self
        value = request.__dict__[self._name] = self._build(request)
        return value


for _name, _build in {
    "headers": _headers,
    "host": _host,
    "host_name": _host_name,
    "query_arguments": _query,
    "arguments": _arguments,
    "body_arguments": _body_arguments,
    "files": _files,
    "remote_ip": _remote_ip,
    "protocol": _protocol,
}.items():
    setattr(Request, _name, _Lazy(_name, _build))
