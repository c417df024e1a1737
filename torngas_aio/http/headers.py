"""The header fields of a checked request head, in three forms.

    pairs_of     [(b"host", b"example.org"), ...]  in the order received, names in lower case
    headers_of   tornado.httputil.HTTPHeaders
    HeaderView   single fields, parsed on access

The raw heads must have been accepted by `request_parser.HeadParser`: every line ends in CRLF, every name is a
token, no value holds a control character.
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
    "are_plain_cookies",
    "find_cookie",
    "headers_of",
    "pairs_of",
    "parse_cookies",
    "plain_cookie",
]
MAX_COOKIES = 300
"""Most cookies parsed of one request, the first ones; browsers keep at most 180 for a domain."""

_LEGAL = r"A-Za-z0-9!#$%&'*+\-.^_`|~:"
_is_name = re.compile(rf"[{_LEGAL}]+").fullmatch
_is_quotable = re.compile(rf"[{_LEGAL}()/<=>?@\[\]{{}}]*").fullmatch
_is_attribute = re.compile(r"[\x21-\x3a\x3c-\x7e]*").fullmatch
_is_cookie_list = re.compile(rb"(?:[!-:>-~]++=[ -:<-\[\]-~]*+(?:; |$))*").fullmatch  # without control characters and \
_escaped = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))").sub
_is_reserved = Morsel().isReservedKey  # names that the standard library refuses

_known_names: BoundedCache[str, bool] = BoundedCache(max_bytes=256 * 1024, max_key=64)  # valid names of cookies


class PlainCookie:
    """A cookie to be sent, in place of the standard library's `Morsel` in a cookie jar."""

    __slots__ = ("_text", "key", "value")

    def __init__(self, key: str, value: str, text: str) -> None:
        self.key = key
        self.value = value
        self._text = text

    def OutputString(self, attrs: Any = None) -> str:  # noqa: N802  the name and parameter of Morsel's
        """Return the value of the Set-Cookie header."""
        return self._text


def are_plain_cookies(header: bytes) -> bool:
    """Return whether a Cookie *header* has the usual form, `a=1; b="2"`, in which nothing needs decoding."""
    return _is_cookie_list(header) is not None and header.count(b";") < MAX_COOKIES


def find_cookie(header: bytes, name: str) -> str | None:
    """Return the cookie *name* of plain cookies as `HTTPServerRequest.cookies` holds it, None if it is absent.

    PERF: most requests have more cookies than are read (benchmarks, varied-cookies).
    """
    if name not in _known_names and not _is_usable(name):
        return None
    text, key = b"; " + header, f"; {name}=".encode()
    start = text.rfind(key)  # the last one counts
    if start < 0:
        return None
    start += len(key)
    end = text.find(b";", start)
    value = text[start : end if end >= 0 else None].decode().strip(" ")
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies of any Cookie *header*, unquoted; the last value of a name counts.

    Same as Tornado's parser, except that only spaces and tabs around names and values are removed: stripping
    other white space of Python's would turn one cookie's name into another's, such as `__Host-id`.
    """
    found: dict[str, str] = {}
    for chunk in header.split(";", MAX_COOKIES)[:MAX_COOKIES]:
        name, separator, value = chunk.partition("=")
        if separator:
            found[name.strip(" \t")] = _unquote(value.strip(" \t"))
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
    """Return the cookie that `http.cookies` would make, attributes in its order; None if any part is not plain text."""
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


def _unquote(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _escaped(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value[1:-1])


def _is_usable(name: str) -> bool:
    """Return whether the standard library accepts *name* for a cookie; short accepted names are cached."""
    if not _is_name(name) or _is_reserved(name):
        return False
    _known_names.keep(name, True)
    return True


RawFields = bytes | list[tuple[bytes, bytes]]
"""The bytes of a checked head, or its pairs with lower-case names."""

_fields = re.compile(rb"\r\n([^:\r]+):[ \t]*([^\r]*)").findall


def pairs_of(raw: RawFields) -> list[tuple[bytes, bytes]]:
    """Return the header fields in their order: names in lower case, values without surrounding white space."""
    if isinstance(raw, bytes):
        return [(name.lower(), value.rstrip(b" \t")) for name, value in _fields(raw)]
    return raw


def headers_of(raw: RawFields) -> HTTPHeaders:
    """Return the header fields as Tornado's multi-dict."""
    headers = HTTPHeaders()
    # PERF: eleven headers cost 4 us, filled directly; 40 us with `add`, which repeats the parser's checks
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
    """The header fields of a checked head; a field is parsed when it is accessed.

    Args:
        raw: The bytes of the head.
        known: Fields that the parser has already read; "" for an absent one.
    """

    __slots__ = ("_known", "_raw")

    def __init__(self, raw: bytes, known: Mapping[str, str] = MappingProxyType({})) -> None:
        self._raw = raw
        self._known = known

    def get(self, name: str, default: str) -> str:
        """Return the field *name*, which must not come from a client, as `HTTPHeaders.get` does."""
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
