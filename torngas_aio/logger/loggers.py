"""The named loggers of torngas 1.8, and the level, summary and id of a request in log lines.

access_logger   torngas_aio.accesslog   one line for each request
info_logger     torngas_aio.infolog     debug, info and warning
trace_logger    torngas_aio.tracelog    errors

X-Request-ID of the client or a proxy, if well-formed ─┐
16 random hexadecimal digits otherwise ────────────────┴─> stored with the request on first use
"""

import logging
import os
import re
from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPServerRequest

from torngas_aio.context import carried_request_id, current_request
from torngas_aio.utils.text import quote_field

__all__ = [
    "REQUEST_ID_HEADER",
    "SysLogger",
    "access_logger",
    "current_request_id",
    "info_logger",
    "level_of",
    "request_id_of",
    "request_summary",
    "syslogger",
    "trace_logger",
    "well_formed_id",
]

access_logger = logging.getLogger("torngas_aio.accesslog")
info_logger = logging.getLogger("torngas_aio.infolog")
trace_logger = logging.getLogger("torngas_aio.tracelog")

REQUEST_ID_HEADER = "X-Request-ID"
_RAW_NAME = REQUEST_ID_HEADER.lower().encode()
# No space, quote or control character, since it is written to log lines and a header. Fits a UUID with a prefix.
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


class _SysLogger:
    """A facade: debug, info and warning go to the info log, error, exception and critical to the trace log.

    Its methods are bound methods of those loggers, so that a line names the caller's file and line.
    """

    def __init__(self) -> None:
        self.access_logger, self.info_logger, self.trace_logger = access_logger, info_logger, trace_logger
        self.debug = info_logger.debug
        self.info = info_logger.info
        self.warning = info_logger.warning
        self.error = trace_logger.error
        self.exception = trace_logger.exception
        self.critical = trace_logger.critical


syslogger = SysLogger = _SysLogger()


def level_of(status: int) -> int:
    """Return the log level of a response with *status*, for Tornado's log line and the access log's.

    429 is INFO: a rate limit at work is not a warning, and may cause thousands of lines.
    """
    return logging.INFO if status < 400 or status == 429 else logging.WARNING if status < 500 else logging.ERROR


def request_summary(request: HTTPServerRequest) -> str:
    """Return method, target and client address of a request for log lines; unsafe characters are quoted."""
    method, target, address = request.method or "-", request.uri or "-", request.remote_ip or "-"
    text = f"{method}{target}{address}"
    if quote_field(text) != text:  # PERF: one check for all three; most need no quoting
        method, target, address = map(quote_field, (method, target, address))
    return f"{method} {target} ({address})"


def request_id_of(request: HTTPServerRequest) -> str:
    """Return the id of *request*; repeated calls return the same id."""
    found: str | None = getattr(request, "request_id", None)
    if found is None:
        sent = _sent_id(request)
        found = (well_formed_id(sent) if sent else "") or _new_id()
        request.request_id = found  # type: ignore[attr-defined]  # a request carries its id
    return found


def well_formed_id(value: Any) -> str:
    """Return *value*, an untrusted input, if it is valid as a request id; else ""."""
    return value if isinstance(value, str) and _WELL_FORMED.fullmatch(value) else ""


def _new_id() -> str:
    try:
        return _spare_ids.pop()
    except IndexError:  # PERF: one system call for 64 ids: -0.5 us a request
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
    """Return the id of the current request, in a job that of the enqueuing request; None outside both."""
    request = current_request()
    return carried_request_id() if request is None else request_id_of(request)
