"""One id for everything that a request causes: its log lines, its answer, the calls it makes elsewhere.

    X-Request-ID of the client or a proxy, if well-formed ─┐
    16 random hexadecimal digits otherwise ────────────────┴─> kept with the request, made when first asked for

Begin with `request_id_of`.
"""

import os
import re
from collections.abc import Callable

from tornado.httputil import HTTPServerRequest

from torngas_aio.context import carried_request_id, current_request

__all__ = ["REQUEST_ID_HEADER", "current_request_id", "request_id_of"]

REQUEST_ID_HEADER = "X-Request-ID"
_RAW_NAME = REQUEST_ID_HEADER.lower().encode()

# No space, quote or control: it stands in log lines and in a header. Long enough for a UUID with a prefix.
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


def request_id_of(request: HTTPServerRequest) -> str:
    """Return the id of *request*; the same each time."""
    found: str | None = getattr(request, "_request_id", None)
    if found is None:
        sent = _sent_id(request)
        found = sent if _WELL_FORMED.fullmatch(sent) else _new_id()
        request._request_id = found  # type: ignore[attr-defined]  # a request carries its id
    return found


def _new_id() -> str:
    try:
        return _spare_ids.pop()
    except IndexError:  # PERF: one system call for many: -0.5 us a request
        digits = os.urandom(_SPARE_IDS * 8).hex()
        _spare_ids.extend(digits[at : at + 16] for at in range(16, len(digits), 16))
        return digits[:16]


_SPARE_IDS = 64
_spare_ids: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_spare_ids.clear)


def _sent_id(request: HTTPServerRequest) -> str:
    may_mention: Callable[[bytes], bool] | None = getattr(request, "may_mention", None)
    if may_mention is not None and not may_mention(_RAW_NAME):  # PERF: without building the header dict
        return ""
    return request.headers.get(REQUEST_ID_HEADER, "")


def current_request_id() -> str | None:
    """Return the id of the request that this code runs for, in a job of the one that enqueued it; None outside any."""
    request = current_request()
    return carried_request_id() if request is None else request_id_of(request)
