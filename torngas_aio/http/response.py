"""The head of a response: status line, Date, and checks of its fields.

opening(status, reason)   "HTTP/1.1 200 OK\\r\\nServer: ...\\r\\nDate: ...\\r\\n", built once a second
check_head                no CR, LF or NUL in a value, every name a token
check_length              the body is as long as its Content-Length
"""

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from http.client import responses
from typing import Any

from tornado.httputil import HTTPOutputError

from torngas_aio.http.base import SERVER_NAME
from torngas_aio.utils.bounded import BoundedCache
from torngas_aio.utils.numbers import parse_whole
from torngas_aio.utils.text import is_token

__all__ = ["BODILESS", "MANAGED", "allows_body", "check_head", "check_length", "opening", "refuse", "status_line"]

MANAGED = frozenset({"Connection", "Content-Length", "Date", "Server", "Transfer-Encoding"})
"""Headers that affect the framing or are added if missing; spelled as in `HTTPHeaders`."""

BODILESS = frozenset({*range(100, 200), 204, 304})
"""Statuses whose responses have no body. SPEC: RFC 9110 6.4.1"""

_MAX_OPENINGS = 256
_SWITCHING = 101

_openings: dict[tuple[int, str], str] = {}
_known_names: BoundedCache[str, bool] = BoundedCache(max_bytes=128 * 1024, max_key=64)
_breaks_line = re.compile(r"[\r\n\0]").search
_second = 0.0
_now = time.time


def opening(status: int, reason: str) -> str:
    """Return status line, `Server` and `Date`, each with its line end."""
    global _second  # noqa: PLW0603 (the tick of this process: one float, replaced once a second)
    now = _now()
    if not 0.0 <= now - _second < 1.0:  # also when the clock was set back
        _second = float(int(now))
        _openings.clear()
    found = _openings.get((status, reason))
    if found is None:
        found = f"{status_line(status, reason)}Server: {SERVER_NAME}\r\nDate: {formatdate(_second, usegmt=True)}\r\n"
        if len(_openings) < _MAX_OPENINGS:
            _openings[status, reason] = found
    return found


def status_line(status: int, reason: str) -> str:
    """Return the first line of a response, with its line end.

    Raises:
        ValueError: *reason* contains a line break or NUL, or *status* does not have three digits.
    """
    if _breaks_line(reason) or not 100 <= status <= 999:
        raise ValueError(f"The status line {status!r} {reason!r} cannot be sent: three digits and one line of text.")
    return f"HTTP/1.1 {status:d} {reason}\r\n"


def allows_body(status: int) -> bool:
    """Return whether a response with *status* may carry a body."""
    return status not in BODILESS


def refuse(exchange: Any, status: int, *, is_head: bool) -> None:
    """Send a plain-text response with only *status*; the connection closes after it."""
    fields = (("Content-Type", "text/plain; charset=UTF-8"), ("Connection", "close"))
    exchange.respond(status, responses[status], fields, f"{status} {responses[status]}\n".encode(), is_head)


def check_head(headers: Iterable[tuple[str, str]]) -> None:
    """Raise `ValueError` for a name that is not a token or a value with a line break or NUL."""
    for name, value in headers:
        if name not in _known_names:
            if not is_token(name):
                raise ValueError(f"{name!r} is not the name of a header.")
            _known_names.keep(name, True)
        if _breaks_line(value):
            raise ValueError(f"The value of the header {name} would end its line: CR, LF or NUL in {value[:80]!r}.")


def check_length(status: int, length: str | None, body: bytes, *, is_head: bool, is_whole: bool = True) -> None:
    """Raise `HTTPOutputError` if *body* contradicts *status* or the Content-Length *length*.

    Args:
        is_head: A response to HEAD, whose Content-Length may describe a body that is not sent.
        is_whole: *body* is the whole body; otherwise its beginning.
    """
    if status in BODILESS:
        if is_whole and status < 200 and status != _SWITCHING:
            raise HTTPOutputError(f"Status {status} is not final: a client would wait for another response.")
        if body:
            raise HTTPOutputError(f"A response with status {status} has no body; {len(body)} bytes were given.")
    elif length is not None:
        promised = parse_whole(length)
        if promised is None:
            raise HTTPOutputError(f"Content-Length {length!r} is not a number of bytes.")
        if len(body) > promised or (is_whole and len(body) < promised and (body or not is_head)):
            raise HTTPOutputError(f"The body has {len(body)} bytes, its Content-Length says {length}.")
