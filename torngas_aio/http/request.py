"""The request: a `tornado.httputil.HTTPServerRequest` whose attributes are built on access.

    eager   method, uri, version, path, query, connection
    lazy    headers  host  host_name  arguments  query_arguments  body_arguments  files  cookies
            remote_ip  protocol

Tornado's public attributes behave as in Tornado.
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
from torngas_aio.http.headers import HeaderView, RawFields, are_plain_cookies, headers_of, pairs_of, parse_cookies
from torngas_aio.http.spool import IN_MEMORY, Spool
from torngas_aio.utils.numbers import parse_whole

__all__ = ["MAX_QUERY_FIELDS", "Request"]

_BODY_NOT_READ = (
    "A request hook with `before_body = True` asked for the body, or for an argument that may stand in it. "
    "Use get_query_argument(), or set `before_body = False` on the hook's class: it then runs once the body is read."
)

MAX_QUERY_FIELDS = 1000
"""Most fields in a query string; more are refused with 400, as in Tornado 6.6."""

_cookie_lines = re.compile(rb"\r\ncookie:[ \t]*([^\r]*)", re.IGNORECASE).findall
_now = time.time


_Arguments = dict[str, list[bytes]]


class Request(HTTPServerRequest):
    """One HTTP request, checked by its server and parsed on access.

    Args:
        start_line: Method, target and version.
        headers: `HTTPHeaders`; or raw pairs in the order received, with lower-case latin-1 names; or the
            bytes of a head that our server has checked, parsed on first access.
        connection: The exchange to respond on; its `context` has `remote_ip` and `protocol`.
        server_connection: The opaque connection object of Tornado's delegate interface.
    """

    # Class attributes are the initial values.
    root_path = ""
    """The prefix at which the application is mounted (ASGI's `root_path`), quoted; part of `uri`, not of `path`."""

    is_management = False
    """Whether it arrived on the listener that MANAGEMENT configures."""

    connection: Exchange  # type: ignore[assignment]  # an HTTPConnection in Tornado

    scope: RequestScope | None
    handler: Any  # ours, until the request has ended; the sweep checks its time limit
    route: Any  # the matched route
    run: Any  # its pass through the pipeline, if observers sampled it
    observation: Any = None  # the data of its observers
    seen_handler: Any = None  # the handler that responded, if metrics count sessions
    unawaited: Unawaited | None  # a coroutine that was never awaited, for the handler to report
    _body = b""
    _is_body_ahead = False
    spool: Spool | None = None
    """The body, for a handler class with `spool_body`."""

    _finish_time = None
    _plain_cookies: bytes | None = None
    _jar: SimpleCookie | None = None
    # Values that were built on access, or set
    _headers: HTTPHeaders | None = None
    _arguments: _Arguments | None = None
    _query_arguments: _Arguments | None = None
    _body_arguments: _Arguments | None = None
    _files: dict[str, list[HTTPFile]] | None = None
    _first: dict[bytes, bytes] | None = None  # first value of each header, by lower-case name
    _lower_head: bytes | None = None
    about_body: Mapping[str, str] = MappingProxyType({})
    """Fields that our server's parser has already read; see `PlainHead.about_body`."""

    def __init__(  # not super().__init__: that parses everything
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
        # PERF: instance attributes are read faster on 3.11, and on 3.13 written faster than those that hide a class's
        self.scope = self.unawaited = self.run = self.route = self.handler = None
        self._start_time = _now()

    @property
    def body(self) -> bytes:
        """The body, once it has been read.

        Raises:
            RuntimeError: Read in a hook with `before_body`, or the body is spooled and larger than 1 MiB.
        """
        if self._is_body_ahead:
            raise RuntimeError(_BODY_NOT_READ)
        return self._body if self.spool is None else self.spool.body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body
        self._forget_arguments()

    async def take_spool(self, spool: Spool) -> None:
        """Use *spool* as the body, including the parts of a multipart form. Raises as `Spool.parse_form`."""
        self.body = b""
        self.spool = spool
        boundary = boundary_of(self.body_fields)
        if boundary is not None and spool.size:
            self._body_arguments, self._files = await spool.parse_form(boundary)

    def _forget_arguments(self) -> None:
        """Drop arguments that were built before the body arrived; they are rebuilt with those of the body."""
        self._arguments = self._body_arguments = self._files = None

    @property
    def has_body(self) -> bool:
        """Whether a body has been read and is not empty."""
        return bool(self._body) or (self.spool is not None and self.spool.size > 0)

    @property
    def is_body_ahead(self) -> bool:
        """Whether hooks run before the body is read: reading it, or arguments that it may hold, raises."""
        return self._is_body_ahead

    @is_body_ahead.setter
    def is_body_ahead(self, is_ahead: bool) -> None:
        self._is_body_ahead = is_ahead
        if is_ahead:
            self._forget_arguments()  # a call hook may have read them

    @property
    def header_view(self) -> HTTPHeaders | HeaderView:
        """The headers, for reading a few by `get(name, default)` without parsing all of them."""
        raw = self._raw_headers
        if isinstance(raw, bytes) and self._headers is None:
            return HeaderView(raw, self.about_body)
        return self.headers

    @property
    def body_fields(self) -> Mapping[str, str] | HeaderView:
        """The headers of the body, Content-Type and Content-Encoding, to be read as those of `header_view`."""
        about = self.about_body
        return about if about and self._headers is None else self.header_view

    @property
    def has_form(self) -> bool:
        """Whether a body has been read and is a form."""
        # PERF: the head of a JSON post seldom contains "form": -0.3 us (benchmarks, json-post)
        return self.has_body and self.may_mention(b"form") and is_form(self.body_fields)

    def raw_header(self, name: bytes) -> bytes | None:
        """Return the first value of the header *name* (lower case) without building the header dict."""
        raw = self._raw_headers
        if isinstance(raw, bytes):  # PERF: 0.5 us; a case-insensitive regular expression takes 10 us (static-304)
            at = (self._lower_head or self._lowered(raw)).find(b"\r\n%b:" % name)
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

    def first_header(self, name: bytes) -> str | None:
        """Return the first value of the header *name* (lower case), without building the header dict.

        Once that was built, which a hook may have changed since, all values of it are returned, as by `headers.get`.
        """
        if self._headers is not None:
            return self._headers.get(name.decode())
        value = self.raw_header(name)
        return None if value is None else value.decode("latin-1")

    def may_have_argument(self, name: str) -> bool:
        """Return False if no argument *name*, of letters only, can exist; True if `arguments` may hold it."""
        query = self.query
        if query and (name in query or "%" in query):
            return True
        if self._query_arguments is not None or self._arguments is not None or self._body_arguments is not None:
            return True
        return self.has_form

    def may_mention(self, text: bytes) -> bool:
        """Return False if no header contains *text*, in lower case; True if `headers` must be searched."""
        raw = self._raw_headers
        if not isinstance(raw, bytes) or self._headers is not None:
            return True
        lowered = self._lower_head
        if lowered is None:  # PERF: same as `_lowered`, without the call
            lowered = self._lower_head = raw.lower()
        return lowered.find(text) >= 0

    def _lowered(self, raw: bytes) -> bytes:
        """Return the raw head in lower case; computed once.

        PERF: search it with `find`; `in` first raises an error inside CPython: 0.1 us more (benchmarks, access-log).
        """
        lowered = self._lower_head
        if lowered is None:
            lowered = self._lower_head = raw.lower()
        return lowered

    @property
    def has_cookie_objects(self) -> bool:
        """Whether `cookies` has been built and may have been changed since."""
        return self._jar is not None

    def plain_cookies(self) -> bytes | None:
        """Return all Cookie fields, to be read by `find_cookie`; None if `cookies` must be used instead."""
        if self._jar is not None:
            return None
        if self._plain_cookies is None:
            header = self.cookie_header()
            self._plain_cookies = header if are_plain_cookies(header) else None
        return self._plain_cookies

    def cookie_header(self) -> bytes:
        """Return all Cookie fields joined by "; "; b"" if there are none. SPEC: RFC 9113 8.2.3"""
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
        jar = self._jar
        if jar is None:
            jar = self._jar = SimpleCookie()
            for name, value in parse_cookies(self.cookie_header().decode("latin-1")).items():
                with suppress(CookieError):  # a name that the standard library refuses
                    jar[name] = value
        return jar

    def drop_header(self, name: bytes) -> None:
        """Remove the header *name* (lower case); to be called before `headers` is first read."""
        raw = self._raw_headers
        if isinstance(raw, HTTPHeaders):
            raw.pop(name.decode("latin-1"), None)
        else:
            self._raw_headers = [pair for pair in pairs_of(raw) if pair[0] != name]
            self._first, self.about_body = None, MappingProxyType({})

    def note_unpacking(self) -> None:
        """Mark the body as decompressed: rename Content-Encoding to X-Consumed-Content-Encoding, as Tornado does."""
        headers = self.headers
        headers["X-Consumed-Content-Encoding"] = headers.pop("Content-Encoding")
        self._raw_headers = headers

    def _parse_body(self) -> None:
        """Parse body arguments and files.

        Raises:
            HTTPInputError: The body does not match its Content-Type.
            BodyError: 413: an urlencoded form that is too large to parse; 415: the body has a Content-Encoding.
        """
        if self._is_body_ahead:
            raise RuntimeError(_BODY_NOT_READ)
        if self.spool is not None and self.spool.size <= IN_MEMORY:
            self._body = self.spool.body
        elif self.spool is not None:  # a multipart form has been parsed already
            refuse_urlencoded(self.body_fields, IN_MEMORY)
        self._body_arguments, self._files = parse_form(self.body_fields, self._body) if self._body else ({}, {})
        if self._arguments is not None:
            _merge(self._arguments, self._body_arguments)


def _headers(request: Request) -> HTTPHeaders:
    raw = request._raw_headers
    headers = raw if isinstance(raw, HTTPHeaders) else headers_of(raw)
    if len(headers.get_list("Cookie")) > 1:
        headers["Cookie"] = "; ".join(headers.get_list("Cookie"))  # HTTPHeaders joins with a comma
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
    return request._body_arguments or {}


def _files(request: Request) -> dict[str, list[HTTPFile]]:
    request._parse_body()
    return request._files or {}


def _remote_ip(request: Request) -> str | None:
    return getattr(getattr(request.connection, "context", None), "remote_ip", None)


def _protocol(request: Request) -> str:
    return getattr(getattr(request.connection, "context", None), "protocol", "http")


class _Lazy:
    """An attribute of a request that is built on first access and then kept.

    PERF: `__getattr__` would slow down the access to every attribute, the standard library's `cached_property` takes
    a lock, and an access to the request's `__dict__` slows down all its attributes permanently.
    """

    __slots__ = ("_build", "_name")

    def __init__(self, name: str, build: Callable[[Request], Any]) -> None:
        self._name = name
        self._build = build

    def __get__(self, request: Request | None, owner: type) -> Any:
        if request is None:
            return self
        value = self._build(request)
        setattr(request, self._name, value)
        return value


class _ResettableLazy(_Lazy):
    """A lazy attribute kept under its name with an underscore; None until it is built or set."""

    __slots__ = ("_kept",)

    def __init__(self, name: str, build: Callable[[Request], Any]) -> None:
        super().__init__(name, build)
        self._kept = f"_{name}"

    def __get__(self, request: Request | None, owner: type) -> Any:
        if request is None:
            return self
        value = getattr(request, self._kept)
        if value is None:
            value = self._build(request)
            setattr(request, self._kept, value)
        return value

    def __set__(self, request: Request, value: object) -> None:
        setattr(request, self._kept, value)


for _name, _build in {
    "headers": _headers,
    "query_arguments": _query,
    "arguments": _arguments,
    "body_arguments": _body_arguments,
    "files": _files,
    "host": _host,
    "host_name": _host_name,
    "remote_ip": _remote_ip,
    "protocol": _protocol,
}.items():
    setattr(Request, _name, (_ResettableLazy if hasattr(Request, f"_{_name}") else _Lazy)(_name, _build))
