"""One line a request, in the combined log format and two fields more: milliseconds and the request's id.

    127.0.0.1 - - [22/Nov/2026:21:51:06 +0000] "GET /x HTTP/1.1" 200 12 "-" "curl/8.5" 0.52 4f2a90c1d3e85b77

The id goes into the answer's `X-Request-ID` too. Begin with `AccessLogMiddleware`.
"""

import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from torngas_aio._former_names import former_names
from torngas_aio.handler import BaseHandler
from torngas_aio.logger import REQUEST_ID_HEADER, DirectLines, access_logger, level_of, request_id_of
from torngas_aio.utils.text import escape_controls, quote_field

__all__ = ["AccessLogMiddleware"]

_Clear = Callable[[], None]


class AccessLogMiddleware:
    """Writes `access_logger`'s lines, where otherwise Tornado's `log_request` would.

    Stands first in MIDDLEWARE_CLASSES: its endcall hook is then the last to run, and the time it notes is the whole.
    Handlers that are plain Tornado's are logged as well; a `log_function` that the project set stays in charge.
    """

    async def process_init(self, application: Any) -> None:
        application.settings.setdefault("log_function", self.log_foreign)

    async def process_response(self, handler: RequestHandler, clear: _Clear, chunk: list[bytes]) -> None:
        handler.set_header(REQUEST_ID_HEADER, request_id_of(handler.request))
        if handler._finished:  # else a stream, whose length nobody knows yet
            handler._logged_bytes = sum(map(len, chunk))  # type: ignore[attr-defined]  # this middleware's own mark

    async def process_endcall(self, handler: RequestHandler, clear: _Clear) -> None:
        self.log(handler)

    def log(self, handler: RequestHandler) -> None:
        """Write the line of *handler*'s request; below the logger's level, nothing is made."""
        level = level_of(handler.get_status())
        if access_logger.isEnabledFor(level):
            line = self.line(handler)
            if not _lines.write(level, line, _PLACE):
                access_logger.handle(_record(level, line))

    def log_foreign(self, handler: RequestHandler) -> None:
        """Tornado's `log_function`: our own handlers have an endcall hook for it."""
        if not isinstance(handler, BaseHandler):
            self.log(handler)

    def line(self, handler: RequestHandler) -> str:
        """Return the line of *handler*'s request; override it for another format.

        Whatever the client sent is escaped, so that it stays one line and inside its quotes.
        """
        request = handler.request
        size = "-" if request.method == "HEAD" else getattr(handler, "_logged_bytes", "-")
        return (
            f"{quote_field(request.remote_ip or '-')} - - [{_now()}] "
            f'"{_word(request.method)} {_word(request.uri)} {_word(request.version)}" '
            f'{handler.get_status()} {size} "{_header(request, "Referer")}" "{_header(request, "User-Agent")}" '
            f"{request.request_time() * 1000:.2f} {request_id_of(request)}"
        )


def _header(request: HTTPServerRequest, name: str) -> str:
    raw: Any = getattr(request, "raw_header", None)
    if raw is None:
        return _quoted(request.headers.get(name)) or "-"
    value = raw(name.lower().encode())  # PERF: without building the header dict
    return _quoted(value.decode("latin-1")) if value else "-"


def _word(text: str | None) -> str:
    """One of the three words of the request line, between which a space stands."""
    if text and _is_plain_word(text):
        return text
    return _quoted(text).replace(" ", "\\x20")


def _quoted(text: str | None) -> str:
    if not text:
        return ""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return escape_controls(text.replace("\\", "\\\\").replace('"', '\\"'))


_is_plain_word = re.compile(r"[!#-\[\]-~]+").fullmatch

_stamp: tuple[int, str] = (0, "")


def _now() -> str:
    """The second that it is, in the format's own words; made once a second."""
    global _stamp  # noqa: PLW0603  # a cache of one
    second = int(time.time())
    if _stamp[0] != second:
        _stamp = (second, time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(second)))
    return _stamp[1]


_PLACE = __file__, 0, None
_lines = DirectLines(access_logger)

_samples: dict[int, tuple[float, dict[str, Any]]] = {}
"""By level: when it was made, and the fields of a record."""


def _record(level: int, line: str) -> logging.LogRecord:
    # PERF: a copy of a record that is made once a second. `logging.LogRecord` costs 2 us more a line,
    # `logger.log`, which looks for the caller, 7 us.
    now = time.time()
    made, sample = _samples.get(level, (0.0, {}))
    if not 0 <= now - made < 1 or sample["process"] != os.getpid():
        sample = vars(logging.LogRecord(access_logger.name, level, *_PLACE[:2], "", None, None))
        made = sample["created"]
        _samples[level] = made, sample
    record = object.__new__(logging.LogRecord)
    record.__dict__.update(
        sample,
        msg=line,
        created=now,
        msecs=float(int(now % 1 * 1000)),
        relativeCreated=sample["relativeCreated"] + (now - made) * 1000,
    )
    return record


__getattr__ = former_names(__name__)
