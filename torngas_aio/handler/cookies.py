"""Cookies of a response: common ones built directly, others by Tornado and the standard library."""

import datetime as dt
import logging
import math
from collections.abc import Mapping
from http.cookies import Morsel, SimpleCookie
from types import SimpleNamespace
from typing import Any

from tornado.escape import to_unicode
from tornado.web import RequestHandler

from torngas_aio._compat.tornado import format_timestamp
from torngas_aio.http.headers import PlainCookie, plain_cookie
from torngas_aio.utils.numbers import parse_integer

__all__ = ["is_latin", "make_cookie"]

logger = logging.getLogger("torngas_aio.handler")

_MAX_BYTES = 4096  # SPEC: RFC 6265bis 5.6: name and value together


def make_cookie(  # noqa: PLR0917  Tornado's parameters
    name: str,
    value: str | bytes,
    domain: str | None,
    expires: object,
    path: str,
    expires_days: float | None,
    *,
    max_age: object,
    httponly: bool,
    secure: bool,
    samesite: str | None,
    others: Mapping[str, object],
) -> PlainCookie | Morsel[str]:
    """Return the cookie for the arguments of `set_cookie`; raises as that does."""
    until = None if expires is None and expires_days is None else _expiry(expires, expires_days)
    age = None if max_age is None else _whole_seconds(max_age)
    if not others and type(name) is str and type(value) is str:
        cookie = plain_cookie(
            name, value, domain, until, path, max_age=age, httponly=httponly, secure=secure, samesite=samesite
        )
        if cookie is not None:  # PERF: the standard library's cookie costs five times as much
            if len(name) + len(value) > _MAX_BYTES:  # PERF: no call for most cookies
                _warn_if_too_large(name, value)
            return cookie
    jar = SimpleNamespace(_new_cookie=SimpleCookie())  # a separate jar: a cookie with an invalid part is not sent
    options = {"httponly": httponly, "secure": secure, "samesite": samesite, **others}
    RequestHandler.set_cookie(jar, name, value, domain, None, path, None, **options)  # type: ignore[arg-type]  # stands in
    morsel: Morsel[str] = jar._new_cookie[to_unicode(name)]
    if until is not None:  # Tornado treats 0 as "not given", here and below
        morsel["expires"] = until
    if age is not None:
        morsel["max-age"] = str(age)
    if not is_latin(morsel.OutputString()):
        raise ValueError(
            f"The cookie {morsel.key!r} holds a character that no header can (only Latin-1 can be sent). "
            "Use set_signed_cookie, or quote its value with tornado.escape.url_escape."
        )
    _warn_if_too_large(morsel.key, morsel.coded_value)
    return morsel


def _warn_if_too_large(name: str, value: str) -> None:
    size = len(name) + len(value)
    if size > _MAX_BYTES:
        logger.warning(
            "The cookie %r has %d bytes, and browsers drop one of more than %d. Keep what is large in the session or a "
            "database.", name, size, _MAX_BYTES,
        )  # fmt: skip


def is_latin(text: str) -> bool:
    """Return whether *text* can be sent in a header."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _expiry(expires: Any, days: float | None) -> str | None:
    """Return the time at which a cookie expires, as Tornado writes it."""
    try:
        if expires is None and days is not None:
            expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        return None if expires is None else format_timestamp(expires)
    except (TypeError, ValueError, OverflowError, OSError) as exc:
        raise ValueError(
            f"set_cookie(expires={expires!r}, expires_days={days!r}): {exc}. Give a datetime, a struct_time or seconds "
            "since 1970 for `expires`, or a number of days."
        ) from exc


def _whole_seconds(max_age: object) -> int:
    """Return the `max_age` of a cookie as a number; fractions of a second are dropped."""
    if isinstance(max_age, int):
        return int(max_age)
    if isinstance(max_age, float) and math.isfinite(max_age):
        return int(max_age)
    number = parse_integer(max_age) if isinstance(max_age, str) else None
    if number is None:
        raise ValueError(f"set_cookie(max_age={max_age!r}): give a whole number of seconds; 0 deletes the cookie.")
    return number
