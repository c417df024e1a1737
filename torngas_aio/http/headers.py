"""The header fields of a checked request head, in the three shapes in which they are wanted.

    pairs_of     [(b"host", b"example.org"), ...]  in the order they came, names in lower case
    headers_of   tornado.httputil.HTTPHeaders
    HeaderView   one field at a time, found when it is asked for

Both take heads that `request_parser.HeadParser` has accepted: every line ends in CRLF, every name is a token, no
value holds a control character.
"""

import functools
import re
from collections.abc import Callable, Mapping
from http.cookies import Morsel
from types import MappingProxyType
from typing import Any

from tornado.httputil import HTTPHeaders

from torngas_aio._compat.tornado import header_lists
from torngas_aio.utils.bounded import BoundedCache
from torngas_aio.utils.text import header_case

__all__ = [
    "MAX_COOKIES",
    "HeaderView",
    "PlainCookie",
    "RawFields",
    "headers_of",
    "pairs_of",
    "parsed_cookies",
    "plain_cookie",
    "plain_cookies",
]
MAX_COOKIES = 300
"""Cookies of one request that are read, the first ones; browsers keep 180 for a domain at most."""

_LEGAL = r"A-Za-z0-9!#$%&'*+\-.^_`|~:"
_is_name = re.compile(rf"[{_LEGAL}]+").fullmatch
_is_quotable = re.compile(rf"[{_LEGAL}()/<=>?@\[\]{{}}]*").fullmatch
_is_attribute = re.compile(r"[\x21-\x3a\x3c-\x7e]*").fullmatch
_is_plain_header = re.compile(rb"[\x20-\x5b\x5d-\x7e]*").fullmatch  # no control character, no escape
_escaped = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))").sub
_is_reserved = Morsel().isReservedKey  # names that the standard library refuses

_known_names: BoundedCache[str, bool] = BoundedCache(max_bytes=256 * 1024, max_key=64)


class PlainCookie:
    """A cookie to be sent; stands in for the standard library's `Morsel` in a jar of cookies."""

    __slots__ = ("_text", "key", "value")

    def __init__(self, key: str, value: str, text: str) -> None:
        self.key = key
        self.value = value
        self._text = text

    def OutputString(self, attrs: Any = None) -> str:  # noqa: N802  the name and parameter of Morsel's
        """Return the value of the Set-Cookie header."""
        return self._text


def plain_cookies(header: bytes) -> dict[str, str] | None:
    """Return the cookies of a Cookie *header* as `HTTPServerRequest.cookies` would hold them, or None."""
    if not _is_plain_header(header):
        return None
    found: dict[str, str] = {}
    for chunk in header.decode("ascii").split(";", MAX_COOKIES)[:MAX_COOKIES]:
        name, separator, value = chunk.partition("=")
        if not separator:
            continue  # a value without a name: no handler can ask for it
        name, value = name.strip(), value.strip()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if name in _known_names or _is_usable(name):
            found[name] = value
    return found


def parsed_cookies(header: str) -> dict[str, str]:
    """Return the cookies of any Cookie *header*, unquoted, the last of each name.

    As Tornado reads them, but that names and values lose spaces and tabs around them, and nothing else: other
    characters that Python counts as white space would let a cookie pass for another, such as `__Host-id`.
    """
    found: dict[str, str] = {}
    for chunk in header.split(";", MAX_COOKIES)[:MAX_COOKIES]:
        name, separator, value = chunk.partition("=")
        if separator:
            found[name.strip(" \t")] = _unquoted(value.strip(" \t"))
    return found


def plain_cookie(
    name: str,
    value: str,
    domain: str | None,
    expires: str | None,
    path: str,
    *,
    max_age: int | None,
    httponly: bool,
    secure: bool,
    samesite: str | None,
) -> PlainCookie | None:
    """Return the cookie that `http.cookies` would make of these, or None; attributes come in its order."""
    is_bare = _is_name(value)
    if not (name in _known_names or _is_usable(name)) or not (is_bare or _is_quotable(value)):
        return None
    if (path != "/" or domain or samesite) and not _is_attribute(f"{path or ''}{domain or ''}{samesite or ''}"):
        return None
    text = f"{name}={value}" if is_bare else f'{name}="{value}"'
    if domain:
        text += f"; Domain={domain}"
    if expires:
        text += f"; expires={expires}"
    if httponly:
        text += "; HttpOnly"
    if max_age is not None:
        text += f"; Max-Age={max_age}"
    if path:
        text += f"; Path={path}"
    if samesite:
        text += f"; SameSite={samesite}"
    if secure:
        text += "; Secure"
    return PlainCookie(name, value, text)


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _escaped(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value[1:-1])


def _is_usable(name: str) -> bool:
    """Whether the standard library takes *name* for a cookie; short ones that it takes are remembered."""
    if not _is_name(name) or _is_reserved(name):
        return False
    _known_names.keep(name, True)
    return True


RawFields = bytes | list[tuple[bytes, bytes]]
"""A checked head as it came, or its pairs with lower-case names."""

_fields = re.compile(rb"\r\n([^:\r]+):[ \t]*([^\r]*)").findall


def pairs_of(raw: RawFields) -> list[tuple[bytes, bytes]]:
    """Return the header fields in their order: lower-case names, values without outer white space."""
    if isinstance(raw, bytes):
        return [(name.lower(), value.rstrip(b" \t")) for name, value in _fields(raw)]
    return raw


def headers_of(raw: RawFields) -> HTTPHeaders:
    """Return the header fields as Tornado's multi-dict."""
    headers = HTTPHeaders()
    # PERF: filled directly, eleven headers cost 4 us; `add` checks each name and value, which the parser has done: 40
    lists = header_lists(headers)
    for name, value in pairs_of(raw):
        title = _titles.get(name) or _title(name)
        text = value.decode("latin-1")
        if title in lists:
            lists[title].append(text)
        else:
            lists[title] = [text]
    return headers


class HeaderView:
    """The header fields of a checked head, of which only those that are asked for are taken apart.

    Args:
        raw: The head.
        known: Fields of it that the parser has read, "" where there is none.
    """

    __slots__ = ("_known", "_raw")

    def __init__(self, raw: bytes, known: Mapping[str, str] = MappingProxyType({})) -> None:
        self._raw = raw
        self._known = known

    def get(self, name: str, default: str) -> str:
        """Return the field *name*, one of the program's own, as `HTTPHeaders.get` does."""
        if name in self._known:
            return self._known[name] or default
        found = _find_all(name)(self._raw)
        return ",".join([value.rstrip(b" \t").decode("latin-1") for value in found]) if found else default


@functools.lru_cache(64)
def _find_all(name: str) -> Callable[[bytes], list[bytes]]:
    return re.compile(rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r]*)", re.IGNORECASE).findall


_titles: BoundedCache[bytes, str] = BoundedCache(max_bytes=256 * 1024, max_key=64)
"""Names in Http-Header-Case."""


def _title(name: bytes) -> str:
    title = header_case(name.decode("latin-1"))
    _titles.keep(name, title)
    return title
