"""Configuration of logging from LOGGING and the `--log_*` options.

option               meaning                                                              default
disable_log          replace Tornado's log set-up by these loggers; False: keep Tornado's True
logging_dir          directory of the log files, instead of LOGGING_DIR
log_port_prefix      put the port before each file name: 8000.access.log                  False
log_patch            files shared by several processes; False: handlers of `logging`      True
log_rotate_mode      'time' or 'size'                                                     'time'
log_rotate_when      unit of the rotation, instead of each entry's `when`
log_rotate_interval  number of these units, instead of each entry's `interval`
log_formatter        format of stderr lines without an entry's formatter, such as those of the framework and the parent
log_to_stderr        all lines on stderr, or none, instead of each entry's choice
"""

import atexit
import logging
import logging.handlers
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from torngas_aio.exception import ConfigError, Fault
from torngas_aio.logger.background import set_stderr_formatter
from torngas_aio.logger.direct import flush_lines
from torngas_aio.logger.formatters import make_formatter
from torngas_aio.logger.handlers import BackgroundHandler, BackgroundStreamHandler, ProcessLogTimedFileHandler
from torngas_aio.utils.kinds import Check, boolean, either, fault, one_of, sequence_of, table, text, whole

__all__ = ["LOGGING_SHAPE", "LogEntry", "LogOptions", "init_logging", "shutdown_logging"]

MAX_FILE_BYTES = 100 * 1000 * 1000
"""Size at which a file is rotated with `--log_rotate_mode=size`, as in Tornado."""

PACKAGE = "torngas_aio"
TRACE = "torngas_aio.tracelog"
INFO = "torngas_aio.infolog"
WARNINGS = "py.warnings"
STOP_SECONDS = 5.0

_show_warning = warnings.showwarning
_installed: list[tuple[logging.Logger, logging.Handler]] = []
_before: list[tuple[logging.Logger, int, bool]] = []  # original level and propagation, to restore
_lock = threading.Lock()


def _level(path: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield from whole(0)(path, value)
    elif value.upper() not in logging.getLevelNamesMapping():
        yield fault(path, value, "no such level. Known are DEBUG, INFO, WARNING, ERROR and CRITICAL.")


def _formatter(path: str, value: object) -> Iterator[Fault]:
    try:
        if value != "json":
            make_formatter(str(value))
    except ValueError as exc:
        yield fault(path, value, f"{exc}. Write 'json' or a format such as '%(message)s'.")


LOGGING_SHAPE: Check = sequence_of(
    table(
        {"name": text},
        {
            "level": _level,
            "log_to_stderr": boolean,
            "when": one_of("S", "M", "H", "D", "MIDNIGHT", *(f"W{day}" for day in range(7)), fold=True),
            "interval": whole(1),
            "filename": either(None, text),
            "formatter": either(None, _formatter),
            "backups": whole(0),
            "propagate": boolean,
        },
        is_closed=True,
    )
)
"""The valid form of LOGGING, used by the command `check` and by `init_logging`."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The logging options of the command line; None: the settings decide."""

    port: int = 0
    disable_log: bool = True
    logging_dir: str | None = None
    log_port_prefix: bool = False
    log_patch: bool = True
    log_rotate_mode: str = "time"
    log_rotate_when: str | None = None
    log_rotate_interval: int | None = None
    log_formatter: str | None = None
    log_to_stderr: bool | None = None

    @classmethod
    def of(cls, options: Any) -> "LogOptions":
        """Read *options*, an object such as `tornado.options.options`; missing and None attributes get the default."""
        found = {name: getattr(options, name, None) for name in cls.__slots__}
        return cls(**{name: value for name, value in found.items() if value is not None and value != ""})


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of LOGGING."""

    name: str
    level: str | int = "INFO"
    log_to_stderr: bool | None = None  # None: only if the lines have no other destination
    when: str = "midnight"
    interval: int = 1
    filename: str | None = None
    formatter: str | None = None
    backups: int = 0
    propagate: bool = False


def init_logging(options: object = None, settings: object = None) -> None:
    """Set up the loggers of LOGGING according to *options* and *settings*; undo any earlier call first.

    All other loggers, including the framework's, go to stderr, and so do Python warnings, as logger `py.warnings`. In
    addition, the framework's errors go to the trace log, and Python warnings to the info log. Without a directory there
    are no files: their lines go to stderr, as is usual in containers. With `disable_log=False` only Tornado's
    `enable_pretty_logging` is called.

    Args:
        options: An object with some of the options above as attributes, such as `tornado.options.options`.
        settings: An object with LOGGING and LOGGING_DIR; None: no files, everything on stderr.

    Raises:
        ConfigError: All faults of LOGGING, in one list.
    """
    chosen = LogOptions.of(options)
    setting = getattr(settings, "LOGGING", None) or ()
    ConfigError.gather(LOGGING_SHAPE("LOGGING", setting), code="TGA603")
    entries = [LogEntry(**entry) for entry in setting]
    shutdown_logging()
    if not chosen.disable_log:
        _set_up_tornado(options)
        return
    atexit.unregister(shutdown_logging)
    atexit.register(shutdown_logging)  # one deadline for all handlers; `logging` would close them one by one
    directory = chosen.logging_dir or getattr(settings, "LOGGING_DIR", "")
    with _lock:
        console = BackgroundStreamHandler()
        formatter = make_formatter(chosen.log_formatter, is_coloured=console.is_terminal)
        console.setFormatter(formatter)
        set_stderr_formatter(formatter)
        for entry in entries:
            _set_up(entry, chosen, Path(directory) if directory else None, console)
        _set_up_the_rest(entries, console)


def shutdown_logging(seconds: float = STOP_SECONDS) -> bool:
    """Write all buffered lines and undo `init_logging`; does nothing if nothing is set up.

    Args:
        seconds: Time limit for all files and stderr together; writes to a disk or a pipe may block.

    Returns:
        Whether all lines were written.
    """
    deadline = time.monotonic() + seconds
    is_written = True
    flush_lines()
    with _lock:
        if warnings.showwarning is _log_warning:
            warnings.showwarning = _show_warning
        handlers = dict.fromkeys(handler for _, handler in _installed)
        while _installed:
            logger, handler = _installed.pop()
            logger.removeHandler(handler)
        while _before:
            logger, level, logger.propagate = _before.pop()
            logger.setLevel(level)
        for handler in handlers:
            if isinstance(handler, BackgroundHandler):
                handler.flush(0)  # starts writing in all handlers before waiting for any
        for handler in handlers:
            if isinstance(handler, BackgroundHandler):
                is_written &= handler.stop(max(deadline - time.monotonic(), 0))
            else:
                handler.close()
    return is_written


def _set_up(entry: LogEntry, chosen: LogOptions, directory: Path | None, console: BackgroundStreamHandler) -> None:
    logger = logging.getLogger(entry.name)
    _before.append((logger, logger.level, logger.propagate))
    logger.setLevel(entry.level.upper() if isinstance(entry.level, str) else entry.level)
    logger.propagate = entry.propagate
    to_stderr = entry.log_to_stderr if chosen.log_to_stderr is None else chosen.log_to_stderr
    if to_stderr is None:
        to_stderr = not entry.filename and not (entry.propagate and entry.name)
    if entry.filename and directory is not None:
        _install(logger, _file_handler(entry, chosen, directory))
    elif entry.filename:
        to_stderr = chosen.log_to_stderr is not False
    if to_stderr:
        own = BackgroundStreamHandler() if entry.formatter else console
        if entry.formatter:
            own.setFormatter(make_formatter(entry.formatter, is_coloured=own.is_terminal))
        _install(logger, own)
    if not logger.handlers and not entry.propagate:
        _install(logger, logging.NullHandler())  # otherwise `logging` writes warnings to stderr, unformatted


def _set_up_the_rest(entries: list[LogEntry], console: BackgroundStreamHandler) -> None:
    global _show_warning  # the previous function, restored by `shutdown_logging`
    named = {entry.name for entry in entries}
    root = logging.getLogger()
    if named.isdisjoint({"", "root"}) and not root.handlers:
        _before.append((root, root.level, root.propagate))
        root.setLevel(logging.INFO)
        _install(root, console)
    for name, source, level in ((PACKAGE, TRACE, logging.ERROR), (WARNINGS, INFO, logging.WARNING)):
        if name not in named and source in named:
            for handler in logging.getLogger(source).handlers:
                if not isinstance(handler, BackgroundStreamHandler):
                    _install(logging.getLogger(name), _LevelTo(handler, level))
    if warnings.showwarning is not _log_warning:
        _show_warning, warnings.showwarning = warnings.showwarning, _log_warning


def _log_warning(  # noqa: PLR0917  # the signature of `warnings.showwarning`
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning in one line, as `warnings.showwarning`; `logging.captureWarnings` writes two."""
    if file is not None:
        _show_warning(message, category, filename, lineno, file, line)
    else:
        logging.getLogger(WARNINGS).warning("%s:%d: %s: %s", filename, lineno, category.__name__, message)


class _LevelTo(logging.Handler):
    """A handler that forwards records from a level upwards to another handler, and does not close that one."""

    def __init__(self, target: logging.Handler, level: int) -> None:
        super().__init__(level)
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        self._target.handle(record)


def _file_handler(entry: LogEntry, chosen: LogOptions, directory: Path) -> logging.Handler:
    assert entry.filename is not None
    path = directory / entry.filename
    if chosen.log_port_prefix:
        path = path.with_name(f"{chosen.port}.{path.name}")
    when = chosen.log_rotate_when or entry.when
    interval = chosen.log_rotate_interval or entry.interval
    max_bytes = MAX_FILE_BYTES if chosen.log_rotate_mode == "size" else 0
    handler: logging.Handler
    if chosen.log_patch:
        handler = ProcessLogTimedFileHandler(path, when, interval, entry.backups, maxBytes=max_bytes)
    else:
        handler = _plain_file_handler(path, when, interval, entry.backups, max_bytes)
    handler.setFormatter(make_formatter(entry.formatter))
    return handler


def _plain_file_handler(path: Path, when: str, interval: int, backups: int, max_bytes: int) -> logging.Handler:
    path.parent.mkdir(parents=True, exist_ok=True)
    if max_bytes:
        return logging.handlers.RotatingFileHandler(
            path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", delay=True
        )
    return logging.handlers.TimedRotatingFileHandler(path, when, interval, backups, encoding="utf-8", delay=True)


def _set_up_tornado(options: object) -> None:
    from tornado.log import enable_pretty_logging
    from tornado.options import options as tornado_options

    enable_pretty_logging(tornado_options if options is None else options)


def _install(logger: logging.Logger, handler: logging.Handler) -> None:
    logger.addHandler(handler)
    _installed.append((logger, handler))
