"""Cookies, read and written without `http.cookies` where nothing about them is out of the ordinary.

    Cookie: theme=dark; visitor=7      plain_cookies ──►  {"theme": "dark", "visitor": "7"}
    Cookie: odd="a\\073b"               parsed_cookies ─►  {"odd": "a;b"}
    set_cookie("seen", "1", ...)       plain_cookie  ──►  seen=1; Path=/

What is out of the ordinary (escapes, control characters, odd names) is left to Tornado and the standard library:
`plain_cookies` and `plain_cookie` then answer None. The results are theirs to the byte. Begin with `plain_cookies`.
"""

import re
from http.cookies import Morsel
from typing import Any

from torngas_aio.utils.bounded import BoundedCache

__all__ = ["MAX_COOKIES", "PlainCookie", "parsed_cookies", "plain_cookie", "plain_cookies"]

MAX_COOKIES = 300
"""Cookies of one request that are read, the first ones; browsers keep 180 for a domain at most."""

_LEGAL = r"A-Za-z0-9!#$%&'*+\-.^_`|~:"
_is_name = re.compile(rf"[{_LEGAL}]+").fullmatch
_is_quotable = re.compile(rf"[{_LEGAL}()/<=>?@\[\]{{}}]*").fullmatch
_is_attribute = re.compile(r"[\x21-\x3a\x3c-\x7e]*").fullmatch
_is_plain_header = re.compile(rb"[\x20-\x5b\x5d-\x7e]*").fullmatch  # no control character, no escape
_escaped = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))").sub
_RESERVED = frozenset(Morsel._reserved)  # type: ignore[attr-defined]  # names that the standard library refuses

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
    if not (name in _known_names or _is_usable(name)) or not _is_quotable(value):
        return None
    if (path != "/" or domain or samesite) and not _is_attribute(f"{path or ''}{domain or ''}{samesite or ''}"):
        return None
    text = f"{name}={value}" if _is_name(value) else f'{name}="{value}"'
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
    if not _is_name(name) or name.lower() in _RESERVED:
        return False
    _known_names.keep(name, True)
    return True
