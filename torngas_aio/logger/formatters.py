"""Formatters of log records: text, in colour on a terminal, or JSON.

    text   [W 2026-11-22 21:51:06.123 4f2a… torngas_aio.infolog orders:12] message
    json   {"time": "…Z", "level": "WARNING", "logger": …, "message": …, "request_id": …, …}

Control characters are escaped, so a message is always one line and cannot send terminal commands. Only a traceback has
further lines, each indented.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from torngas_aio.logger.loggers import current_request_id
from torngas_aio.utils.text import escape_controls

__all__ = ["DEFAULT_FORMAT", "JsonFormatter", "LineFormatter", "field_sources", "line_fields", "make_formatter"]

DEFAULT_FORMAT = "[%(levelname).1s %(asctime)s %(request_id)s %(name)s %(module)s:%(lineno)d] %(message)s"

_TRACE_FIELDS = ("trace_id", "span_id")
_COLOURS = {"DEBUG": "34", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_HEAD = re.compile(r"\[.*?\](?= |$)|^")
# JSON escapes C0 controls only; these are the others, and DEL.
_STILL_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "taskName"}


field_sources: list[Callable[[], Mapping[str, str]]] = []
"""Functions, called for each line, that return additional fields such as `trace_id` and `span_id`."""


def line_fields() -> dict[str, str]:
    """Return the additional fields of a line logged in the current context."""
    return {name: value for source in field_sources for name, value in source().items()}


class LineFormatter(logging.Formatter):
    """A formatter of text lines by a `%`-format, which may contain `%(request_id)s` besides the fields of `logging`.

    With traces also `%(trace_id)s` and `%(span_id)s`, which are "-" outside a traced request.

    Attributes:
        template: The format.
        fields: The names of its fields.

    Args:
        is_coloured: Colour the start of each line by its level.
    """

    default_msec_format = "%s.%03d"

    def __init__(self, fmt: str = DEFAULT_FORMAT, datefmt: str | None = None, *, is_coloured: bool = False) -> None:
        super().__init__(fmt, datefmt)
        self.is_coloured = is_coloured
        self.template = fmt
        self.fields = frozenset(re.findall(r"%\((\w+)\)", fmt))
        self._is_message = fmt == "%(message)s"
        self._names_id = "request_id" in self.fields
        self._names_trace = not self.fields.isdisjoint(_TRACE_FIELDS)
        self._uses_time = self.usesTime()
        self._moment: tuple[int | None, str] = None, ""  # second of the last line, and its text
        self._last = -1, ""  # millisecond of the last direct line, and its text

    def format(self, record: logging.LogRecord) -> str:
        # PERF: fields that the format does not contain are not computed: -6 us a line of the access log
        line = record.message = record.getMessage()
        if self._names_id:
            record.request_id = getattr(record, "request_id", None) or current_request_id() or "-"
        if self._names_trace:
            record.__dict__.update({**dict.fromkeys(_TRACE_FIELDS, "-"), **line_fields()})
        if self._uses_time:
            record.asctime = self.formatTime(record, self.datefmt)
        if not self._is_message:
            line = self.formatMessage(record)
        if not line.isprintable():
            line = escape_controls(line)
        if self.is_coloured:
            line = _coloured(line, record.levelname)
        if record.exc_info or record.stack_info:
            line += "".join(f"\n    {escape_controls(more)}" for more in _trailing_lines(self, record))
        return line

    def time_text(self, created: float) -> str:
        """Return the `asctime` for a record created at *created*; "" if the format does not contain it."""
        millisecond = int(created * 1000)
        if millisecond != self._last[0]:  # PERF: formatted once a millisecond: -0.2 us a line
            text = self._time_text(created, created % 1 * 1000) if self._uses_time else ""
            self._last = millisecond, text
        return self._last[1]

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  logging's
        if datefmt != self.datefmt:
            return super().formatTime(record, datefmt)
        return self._time_text(record.created, record.msecs)

    def _time_text(self, created: float, milliseconds: float) -> str:
        second, text = self._moment
        if second != int(created):
            # PERF: formatted once a second: -2 us a line
            second = int(created)
            text = time.strftime(self.datefmt or self.default_time_format, self.converter(second))
            self._moment = second, text
        if not self.default_msec_format or self.datefmt:
            return text
        return self.default_msec_format % (text, milliseconds)


class JsonFormatter(logging.Formatter):
    """A formatter of one JSON object a line, which includes the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", None) or current_request_id(),
            **line_fields(),
            "place": f"{record.pathname}:{record.lineno}",
            "process": record.process,
            "thread": record.threadName,
        }
        found.update((key, value) for key, value in vars(record).items() if key not in _STANDARD and key not in found)
        traceback = "\n".join(_trailing_lines(self, record))
        if traceback:
            found["traceback"] = traceback
        line = json.dumps(found, ensure_ascii=False, default=str, skipkeys=True)
        return _STILL_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def make_formatter(fmt: str | None, *, is_coloured: bool = False) -> logging.Formatter:
    """Return the formatter for a setting: `'json'`, a `%`-format, or None for the default."""
    if fmt == "json":
        return JsonFormatter()
    return LineFormatter(fmt or DEFAULT_FORMAT, is_coloured=is_coloured)


def _trailing_lines(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    text = ""
    if record.exc_info and record.exc_info[0] is not None:
        text = formatter.formatException(record.exc_info)
    if record.stack_info:
        text = f"{text}\n{formatter.formatStack(record.stack_info)}"
    return text.strip("\n").split("\n") if text else []


def _coloured(line: str, level: str) -> str:
    colour = _COLOURS.get(level)
    if colour is None:
        return line
    return _HEAD.sub(lambda head: f"\x1b[{colour}m{head[0]}\x1b[0m" if head[0] else "", line, count=1)


def _utc(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
