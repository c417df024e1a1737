"""The access log: one line for each request, in the combined log format plus milliseconds and request id.

    127.0.0.1 - - [22/Nov/2026:21:51:06 +0000] "GET /x HTTP/1.1" 200 12 "-" "curl/8.5" 0.52 4f2a90c1d3e85b77

With ACCESS_LOG = 'json' or 'logfmt' the line consists of named fields, including route and user:

    {"time":"2026-11-22T21:51:06.123Z","method":"GET","route":"x","path":"/x","status":200,"bytes":12, ...}
    time=2026-11-22T21:51:06.123Z method=GET route=x path=/x status=200 bytes=12 ...

The response header `X-Request-ID` has the same id.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from torngas_aio._former_names import former_names
from torngas_aio._json import JsonObject
from torngas_aio.handler import BaseHandler
from torngas_aio.logger import REQUEST_ID_HEADER, DirectLines, access_logger, level_of, line_fields, request_id_of
from torngas_aio.settings_manager import settings
from torngas_aio.utils.text import escape_controls, quote_field

__all__ = ["AccessLogMiddleware", "access_fields"]

_Clear = Callable[[], None]

CLIENT_LEFT = 499
"""Status logged if the client disconnected before a response could be sent, as in nginx."""


class AccessLogMiddleware:
    """A middleware that writes the lines of `access_logger`, in place of Tornado's `log_request`.

    Put it first in MIDDLEWARE_CLASSES: its endcall hook then runs last and measures the whole time. Plain Tornado
    handlers are logged too, unless the project has set a `log_function`.
    """

    async def process_init(self, application: Application) -> None:
        write = _WRITERS.get(settings.ACCESS_LOG)
        if write is not None and type(self).line is AccessLogMiddleware.line:  # otherwise a subclass defines the format
            self.line = lambda handler: write(access_fields(handler))  # type: ignore[method-assign]
        application.settings.setdefault("log_function", self.log_foreign)

    async def process_response(self, handler: BaseHandler, clear: _Clear, chunk: list[bytes]) -> None:
        handler.set_header(REQUEST_ID_HEADER, request_id_of(handler.request))
        # not finished: a stream, whose length is unknown yet
        if handler._finished:  # pyright: ignore[reportPrivateUsage]  # Tornado has no public name for it
            size = sum(map(len, chunk)), _error_of(handler)
            handler._logged_bytes = size  # type: ignore[attr-defined]  # this middleware's own mark

    async def process_endcall(self, handler: RequestHandler, clear: _Clear) -> None:
        self.log(handler)

    def log(self, handler: RequestHandler) -> None:
        """Write the line of *handler*'s request; below the logger's level, no line is formatted."""
        level = level_of(handler.get_status())
        if level == logging.INFO and getattr(handler, "skips_access_log", False):
            return
        if access_logger.isEnabledFor(level):
            line = self.line(handler)
            if not _lines.write(level, line, _PLACE):
                access_logger.handle(_record(level, line))

    def log_foreign(self, handler: RequestHandler) -> None:
        """Log plain Tornado handlers, as `log_function`; all others are logged by the endcall hook."""
        if not isinstance(handler, BaseHandler):
            self.log(handler)

    def line(self, handler: RequestHandler) -> str:
        """Return the line of *handler*'s request; override it for another format.

        Client data is escaped, so that it cannot add lines or end a quoted field.
        """
        request = handler.request
        size = _size_of(handler)
        sent = "-" if size is None else size
        target = f"{request.method or ''} {request.uri or ''} {request.version or ''}"
        if not _is_plain_target(target):
            target = " ".join(map(_word, (request.method, request.uri, request.version)))
        return (
            f'{quote_field(request.remote_ip or "-")} - - [{_now()}] "{target}" {_status_of(handler)} {sent} '
            f'"{_header(request, b"referer")}" "{_header(request, b"user-agent")}" '
            f"{request.request_time() * 1000:.2f} {request_id_of(request)}"
        )


def access_fields(handler: RequestHandler) -> JsonObject:
    """Return the fields of the line for *handler*'s request; fields that are None are omitted from the line.

    The path has no query, which may contain secrets. `user` is the key passed to `session.bind_user`, else
    `current_user`, if the request has loaded it and it is a str or an int.
    """
    request = handler.request
    run, found = getattr(handler, "_run", None), vars(handler)
    session, user = found.get("session"), found.get("_current_user")
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "method": request.method,
        "route": None if run is None else run.stages.route_name,
        "path": request.path,
        "status": _status_of(handler),
        "bytes": _size_of(handler),
        "milliseconds": round(request.request_time() * 1000, 2),
        "client": request.remote_ip,
        "request_id": request_id_of(request),
        "user": (session.user if session is not None else None) or (user if isinstance(user, str | int) else None),
        "user_agent": request.headers.get("User-Agent"),
        **line_fields(),
    }


def _status_of(handler: RequestHandler) -> int:
    """Return the status that was sent; CLIENT_LEFT if the client disconnected before."""
    connection, status = handler.request.connection, handler.get_status()
    is_unsent = getattr(connection, "status", status) == 0 and not getattr(connection, "is_detached", False)
    return CLIENT_LEFT if is_unsent else status


def _size_of(handler: RequestHandler) -> int | None:
    """Return the size of the response body in bytes; None if it is unknown, or none was sent."""
    if handler.request.method == "HEAD":
        return None
    size, error = getattr(handler, "_logged_bytes", (None, None))
    return size if error is _error_of(handler) else None  # otherwise replaced by an error page after the hook


def _error_of(handler: RequestHandler) -> BaseException | None:
    error: BaseException | None = getattr(handler, "_error", None)
    return error


def _as_json(fields: JsonObject) -> str:
    return json.dumps({name: value for name, value in fields.items() if value is not None}, separators=(",", ":"))


def _as_logfmt(fields: JsonObject) -> str:
    return " ".join(f"{name}={_logfmt_value(str(value))}" for name, value in fields.items() if value is not None)


def _logfmt_value(text: str) -> str:
    return text if _is_logfmt_word(text) else json.dumps(text)


_is_logfmt_word = re.compile(r"[!#-<>-\[\]-~]+").fullmatch
_WRITERS = {"json": _as_json, "logfmt": _as_logfmt}


def _header(request: HTTPServerRequest, name: bytes) -> str:
    raw: Any = getattr(request, "raw_header", None)
    if raw is None:
        return _quoted(request.headers.get(name.decode())) or "-"
    value = raw(name)  # PERF: without building the header dict
    return _quoted(value.decode("latin-1")) if value else "-"


def _word(text: str | None) -> str:
    """Return one of the three words of the request line, with spaces escaped."""
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
_is_plain_target = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+){2}").fullmatch

_stamp: tuple[int, str] = (0, "")


def _now() -> str:
    """Return the current time in the log format; formatted once a second."""
    global _stamp  # noqa: PLW0603  # a cache of one
    second = int(time.time())
    if _stamp[0] != second:
        _stamp = (second, time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(second)))
    return _stamp[1]


_PLACE = __file__, 0, None
_lines = DirectLines(access_logger)

_samples: dict[int, tuple[float, JsonObject]] = {}
"""By level: creation time and fields of a sample record."""


def _record(level: int, line: str) -> logging.LogRecord:
    # PERF: copies a record created once a second. `logging.LogRecord` costs 2 us more a line, `logger.log`, which
    # searches for the caller, 7 us.
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
