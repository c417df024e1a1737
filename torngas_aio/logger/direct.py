"""Lines of one logger written without a `LogRecord`, as long as that makes no difference.

    write ── is `logging` as it was when it was looked at? ── yes: text for each format ──► BackgroundWriter
                                                              no:  look again
          ── a handler, filter, formatter, level, factory or patch of the project's? ──► False: make a record

Begin with `DirectLines.write`.
"""

import functools
import logging
import re
import time
from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from torngas_aio.logger.background import BackgroundWriter, encode_line
from torngas_aio.logger.formatters import LineFormatter
from torngas_aio.logger.handlers import BackgroundStreamHandler, ProcessLogTimedFileHandler
from torngas_aio.logger.loggers import current_request_id
from torngas_aio.utils.narrowing import is_list
from torngas_aio.utils.text import escape_controls

__all__ = ["DirectLines"]

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
_factory_of = logging.getLogRecordFactory


class _Decision(NamedTuple):
    """How lines are written, and what that depends on.

    Attributes:
        checks: Functions that read attributes, of what, and what they read at the decision.
        targets: Empty where a record has to be made.
        names_id: Whether a format names the request's id.
    """

    checks: tuple[tuple[Any, Any, Any], ...] = ((bool, False, True),)  # never holds: nothing is decided yet
    targets: tuple[tuple[LineFormatter, BackgroundWriter], ...] = ()
    names_id: bool = False


class DirectLines:
    """Writes lines of *logger*, with the text that `logging` would give them."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._decision = _Decision()

    def write(self, level: int, message: str, place: tuple[str, int, str | None]) -> bool:
        """Write one line; the logger is enabled for *level*.

        Args:
            place: Path, line and function that a record would name.

        Returns:
            Whether it was written; where not, `logging` has to be given a record.
        """
        checks, targets, names_id = self._decision
        for read, owner, expected in checks:
            if read(owner) != expected:
                _, targets, names_id = self._decision = _decide(self._logger)
                break
        if not targets or _factory_of() is not logging.LogRecord:
            return False
        request_id = (current_request_id() if names_id else None) or "-"
        now = time.time()
        name, level_name = self._logger.name, logging.getLevelName(level)
        template = moment = None
        data = b""
        for formatter, writer in targets:
            written = formatter.time_text(now)
            if template != formatter.template or moment != written:
                template, moment = formatter.template, written
                filled, pick = _filled(template, name, level, level_name, place)
                line = filled % pick((message, request_id, moment))
                data = encode_line(line if line.isprintable() else escape_controls(line))
            writer.put_data(data, level)
        return True


def _decide(logger: logging.Logger) -> _Decision:
    checks: list[tuple[Any, Any, Any]] = [(_of_logger, logger, _copied(_of_logger(logger)))]
    handlers = list(logger.handlers)
    above: Any = logger
    while above.propagate and above.parent is not None:
        above = above.parent
        checks.append((_of_parent, above, _copied(_of_parent(above))))
        handlers += above.handlers
    checks += ((_of_handler, handler, _copied(_of_handler(handler))) for handler in handlers)
    is_direct = not logger.filters and _is_unpatched(logger) and all(map(_is_plain, handlers))
    if not is_direct:
        return _Decision(tuple(checks))
    targets: list[Any] = [(handler.formatter, handler.writer) for handler in handlers]  # type: ignore[attr-defined]
    names_id = any("request_id" in formatter.fields for formatter, _ in targets)
    return _Decision(tuple(checks), tuple(targets), names_id)


def _copied(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(list(value) if is_list(value) else value for value in values)


def _is_unpatched(logger: logging.Logger) -> bool:
    """Whether the methods that a record goes through are `logging`'s own; tools that collect errors replace them."""
    functions = (getattr(getattr(logger, name), "__func__", None) for name in _METHODS)
    return all(getattr(function, "__globals__", None) is vars(logging) for function in functions)


def _is_plain(handler: Any) -> bool:
    """Whether *handler* writes each line that it gets, in a format that needs no record."""
    if type(handler) not in _HANDLERS or handler.level or handler.filters or handler.writer is None:
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


@functools.lru_cache(1024)
def _filled(
    template: str, name: str, level: int, level_name: str, place: tuple[str, int, str | None]
) -> tuple[str, Callable[[tuple[str, ...]], Any]]:
    """Return the format *template* with all in it that is the same for each line from *place*.

    PERF: the rest is filled in by position, not by name (-0.1 us a line): with what the function that is returned as
    well makes of the values of `_VARIABLES`.
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
