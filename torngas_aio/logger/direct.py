"""Log lines written without a `LogRecord`, if the result is the same.

write ── is the configuration of `logging` unchanged? ── yes: collect; at the end of the iteration format ──► writer
                                                         no:  check it again
      ── handlers, filters, formatters, levels, factories or patches of the project? ──► False: caller makes a record
"""

import asyncio
import logging
import os
import re
import threading
import time
import weakref
from collections.abc import Callable
from functools import lru_cache, partial
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from tornado.httputil import HTTPServerRequest

from torngas_aio.context import carried_request_id, current_request
from torngas_aio.logger.background import BackgroundWriter, encode_line
from torngas_aio.logger.formatters import LineFormatter
from torngas_aio.logger.handlers import BackgroundStreamHandler, ProcessLogTimedFileHandler
from torngas_aio.logger.loggers import request_id_of
from torngas_aio.utils.narrowing import is_list
from torngas_aio.utils.text import escape_controls

__all__ = ["DirectLines", "flush_lines"]

_HANDLERS = (ProcessLogTimedFileHandler, BackgroundStreamHandler)
_VARIABLES = ("message", "request_id", "asctime")
_CONSTANTS = ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName")
_FIELDS = frozenset({*_VARIABLES, *_CONSTANTS})
_CONSTANT = re.compile(rf"%%|%\(({'|'.join(_CONSTANTS)})\)[^a-zA-Z%]*[a-zA-Z]")
_VARIABLE = re.compile(rf"%%|%\(({'|'.join(_VARIABLES)})\)")
_METHODS = ("handle", "callHandlers", "makeRecord")
_of_logger = attrgetter("filters", "handlers", "propagate", "parent", *_METHODS)
_of_parent = attrgetter("handlers", "propagate", "parent")
_of_handler = attrgetter("level", "filters", "formatter")
_Place = tuple[str, int, str | None]
_Message = str | Callable[[], str]
_Line = tuple[int, _Message, _Place, HTTPServerRequest | str | None, float]
_Check = tuple[Callable[[Any], object], object, object]
_factory_of = logging.getLogRecordFactory


class _Decision(NamedTuple):
    """A decision on how to write lines, and the configuration that it depends on.

    Attributes:
        checks: Triples: a function that reads attributes, its argument, and its result at the time of the decision.
        targets: Formatters and writers; empty if a record is needed.
        names_id: Whether a format contains the request id.
    """

    checks: tuple[_Check, ...] = ((bool, False, True),)  # always fails, so that the first line makes a decision
    targets: tuple[tuple[LineFormatter, BackgroundWriter], ...] = ()
    names_id: bool = False


class _Collected(threading.local):
    """Lines of one thread, written at the end of its loop's iteration."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.lines: list[_Line] = []


class DirectLines:
    """A writer of lines of *logger*, with the same text as through `logging`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._decision = _Decision()
        self._collected = _Collected()
        _instances.add(self)

    def write(self, level: int, message: _Message, place: _Place) -> bool:
        """Write one line, for a *level* that the logger is enabled for.

        In an event loop the lines of one iteration are written together, at its end; the configuration of `logging` is
        checked for the first. PERF: fewer cache misses, -1 to -2 us a line (benchmarks, access-log and delivered).

        Args:
            message: The text, or a function that returns it, called at the end of the loop iteration.
            place: Path, line and function, as in a record.

        Returns:
            False if the caller has to pass a record to `logging` instead.
        """
        collected = self._collected
        loop = _running_loop()
        if not collected.lines or loop is not collected.loop:
            self.flush()  # lines of a loop that has ended
            if not self._is_direct():
                return False
            collected.loop = loop
            if loop is not None:
                loop.call_soon(self.flush)
        collected.lines.append((level, message, place, current_request() or carried_request_id(), time.time()))
        if loop is None:
            self.flush()
        return True

    def flush(self) -> None:
        """Write the lines collected in this thread."""
        collected = self._collected
        lines, collected.lines, collected.loop = collected.lines, [], None
        if not lines:
            return
        texts = [_text_of(message) for _, message, *_ in lines]
        names_id = self._decision.names_id
        ids = [_id_of(source) if names_id else "-" for *_, source, _ in lines]
        worst = max(level for level, *_ in lines)
        for formatter, writer in self._decision.targets:
            written = list(map(partial(_format_line, self._logger.name, formatter), lines, texts, ids))
            if worst < logging.ERROR:
                writer.put_data(encode_line("\n".join(written)), worst, len(written))
            else:  # lines of level ERROR are written at once and dropped last
                for (level, *_), text in zip(lines, written, strict=True):
                    writer.put_data(encode_line(text), level)

    def forget(self) -> None:
        """Drop the collected lines, in a forked child; the parent writes them."""
        self._collected.lines = []

    def _is_direct(self) -> bool:
        for read, owner, expected in self._decision.checks:
            if read(owner) != expected:
                self._decision = _decide(self._logger)
                break
        return bool(self._decision.targets) and _factory_of() is logging.LogRecord


def _text_of(message: _Message) -> str:
    return message if isinstance(message, str) else message()


def _id_of(source: HTTPServerRequest | str | None) -> str:
    return source or "-" if source is None or isinstance(source, str) else request_id_of(source)


def _format_line(name: str, formatter: LineFormatter, line: _Line, message: str, request_id: str) -> str:
    level, _, place, _, created = line
    filled, pick = _filled(formatter.template, name, level, logging.getLevelName(level), place)
    text: str = filled % pick((message, request_id, formatter.time_text(created)))
    return text if text.isprintable() else escape_controls(text)


def flush_lines() -> None:
    """Write the lines collected in this thread, of all loggers."""
    for lines in list(_instances):
        lines.flush()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _forget_in_child() -> None:
    for lines in list(_instances):
        lines.forget()


_instances: "weakref.WeakSet[DirectLines]" = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


def _decide(logger: logging.Logger) -> _Decision:
    checks: list[_Check] = [(_of_logger, logger, _copy(_of_logger(logger)))]
    handlers = list(logger.handlers)
    above = logger
    while above.propagate and above.parent is not None:
        above = above.parent
        checks.append((_of_parent, above, _copy(_of_parent(above))))
        handlers += above.handlers
    checks += ((_of_handler, handler, _copy(_of_handler(handler))) for handler in handlers)
    is_direct = not logger.filters and _is_unpatched(logger) and all(map(_is_plain, handlers))
    if not is_direct:
        return _Decision(tuple(checks))
    targets: list[Any] = [(handler.formatter, handler.writer) for handler in handlers]  # type: ignore[attr-defined]
    names_id = any("request_id" in formatter.fields for formatter, _ in targets)
    return _Decision(tuple(checks), tuple(targets), names_id)


def _copy(values: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(list(value) if is_list(value) else value for value in values)


def _is_unpatched(logger: logging.Logger) -> bool:
    """Return whether the logger's methods are those of `logging`; error tracking tools replace them."""
    functions = (getattr(getattr(logger, name), "__func__", None) for name in _METHODS)
    return all(getattr(function, "__globals__", None) is vars(logging) for function in functions)


def _is_plain(handler: logging.Handler) -> bool:
    """Return whether *handler* writes every line that it gets, in a format that needs no record."""
    if type(handler) not in _HANDLERS or handler.level or handler.filters or getattr(handler, "writer", None) is None:
        return False
    formatter = handler.formatter
    return type(formatter) is LineFormatter and not formatter.is_coloured and _takes_fields(formatter)


def _takes_fields(formatter: LineFormatter) -> bool:
    if not formatter.fields <= _FIELDS:
        return False
    try:
        template, pick = _filled(formatter.template, "", 0, "", (__file__, 0, None))
        _ = template % pick(("",) * len(_VARIABLES))
    except (TypeError, ValueError):  # such as %(message)d: `logging` reports it for each line
        return False
    return True


@lru_cache(1024)
def _filled(
    template: str, name: str, level: int, level_name: str, place: _Place
) -> tuple[str, Callable[[tuple[str, ...]], object]]:
    """Return the format *template* with all fields filled in that are constant for *place*.

    Also returns a function that selects the remaining values from those of `_VARIABLES`. PERF: they are filled in by
    position, not by name: -0.1 us a line.
    """
    path, line, function = place
    record = vars(logging.LogRecord(name, level, path, line, "", None, None, function)) | {"levelname": level_name}
    indices: list[int] = []

    def fill(match: re.Match[str]) -> str:
        return match[0] if match[1] is None else (match[0] % record).replace("%", "%%")

    def place_of(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        indices.append(_VARIABLES.index(match[1]))
        return "%"

    filled = _VARIABLE.sub(place_of, _CONSTANT.sub(fill, template))
    return filled, itemgetter(*indices) if indices else _none_of


def _none_of(_: tuple[str, ...]) -> tuple[()]:
    return ()
