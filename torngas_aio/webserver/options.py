"""The built-in command line options, on `tornado.options`.

A project defines its own with `tornado.options.define` before `Server.parse_command`; a definition under a built-in
name replaces the built-in one. Before a command line is read, changes by an earlier one in the same process are undone.
"""

import math
import os
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from tornado.options import Error, OptionParser, options

from torngas_aio._names import nearest
from torngas_aio.http.worker_slot import RenewalLimits
from torngas_aio.logger.formatters import make_formatter
from torngas_aio.utils.numbers import parse_whole

__all__ = [
    "define_options",
    "log_options",
    "parse_options",
    "refuse_words",
    "renewal_limits",
    "was_given",
    "workers_wanted",
]

BUILT_IN: tuple[tuple[str, Any, type, str], ...] = (
    ("port", 8000, int, "port to listen on; 0 takes a free one"),
    ("address", "0.0.0.0", str, "address or host name to listen on"),  # noqa: S104  # the documented default
    ("unix_socket", None, str, "path of a unix socket to listen on, in place of address and port"),
    ("settings", None, str, "settings module, such as settings.setting (else $TORNGAS_APP_SETTINGS)"),
    ("workers", 1, int, "serving processes; 0 for one per core"),
    ("max_requests", 0, int, "requests after which a worker is replaced; 0: never"),
    ("max_rss", "", str, "memory beyond which a worker is replaced, such as 512M or 2G"),
    ("hang_timeout", 60.0, float, "seconds for which a worker's event loop may be blocked; 0: for ever"),
    ("http_server", "", str, "torngas_aio or tornado; the first where httptools is installed"),
    ("certfile", None, str, "TLS certificate chain (PEM)"),
    ("keyfile", None, str, "private key of the certificate, unless it is in the same file"),
    ("graceful_timeout", 30.0, float, "seconds that running requests have to finish on SIGTERM"),
    ("drain_seconds", 0.0, float, "seconds to go on after SIGTERM, for proxies that ask for readiness to notice"),
    ("disable_log", True, bool, "torngas_aio's loggers in place of Tornado's set-up"),
    ("logging_dir", None, str, "directory of the log files, in place of LOGGING_DIR"),
    ("log_patch", True, bool, "log files that several processes may share"),
    ("log_port_prefix", False, bool, "the port before each log file's name"),
    ("log_rotate_when", None, str, "when log files turn: S M H D midnight W0-W6"),
    ("log_rotate_interval", None, int, "how many of those between two turns"),
    ("log_rotate_mode", "time", str, "time or size"),
    ("log_formatter", None, str, "of lines on stderr: json, or a %-format; else as LOGGING says"),
    ("log_to_stderr", None, bool, "all log lines to stderr, or none"),
)
"""Name, default, type, help."""

_SWITCHES = frozenset(name for name, _, kind, _ in BUILT_IN if kind is bool)
_UNITS = {"K": 10, "M": 20, "G": 30}
_BOOLEANS = frozenset({"true", "false", "t", "f", "1", "0"})  # Tornado's spellings

_changes: dict[str, tuple[object, object]] = {}  # changes by the last command line: name to new and old value
_given: set[str] = set()  # names on the last command line


def define_options(parser: OptionParser = options) -> None:
    """Define the built-in options that are not defined yet by an earlier server, the project or Tornado."""
    for name, default, kind, text in BUILT_IN:
        if name not in parser:
            parser.define(name, default=default, type=kind, help=text, group="torngas_aio")


def parse_options(arguments: list[str] | None = None) -> list[str]:
    """Read the command line and return the words after the options.

    Args:
        arguments: With the program's name first; None for `sys.argv`. `--port=80` and `--port 80` are the same.

    Raises:
        tornado.options.Error: An option is unknown, lacks its value, or has one of the wrong type.
    """
    _undo_changes()
    arguments = _normalize(sys.argv if arguments is None else arguments)
    before = options.as_dict()
    try:
        rest = options.parse_command_line(arguments, final=False)
    except ValueError as exc:  # Tornado's own wording names neither option nor value
        raise Error(f"{_invalid_word(arguments)}: {exc}. See --help for each option's type.") from exc
    finally:
        _record_changes(before)
    _validate()
    if options.disable_log:
        _changes["logging"] = ("none", options.logging)
        options.logging = "none"  # disables Tornado's set-up, which is a parse callback
    _given.update(_name_of(argument) for argument in arguments[1 : len(arguments) - len(rest)])
    return rest


def refuse_words(words: Sequence[str]) -> None:
    """Raise if `parse_options` has returned *words*, in a program without positional arguments.

    Raises:
        tornado.options.Error: There are words that are not options; the message names the first.
    """
    if words:
        near = _nearest(words[0])
        hint = f" Did you mean --{near}?" if near else " Options start with `--`; `--help` lists them."
        raise Error(f"{words[0]!r} is not an option.{hint}")


def log_options() -> SimpleNamespace:
    """Return the `--log_*` options for `torngas_aio.logger.init_logging`; None for those that the settings decide.

    Tornado defines `log_rotate_when`, `log_rotate_interval` and `log_rotate_mode` with its own defaults; these three
    are None unless they are on the command line.
    """
    chosen = {name: getattr(options, name) for name, *_ in BUILT_IN}
    for name in ("log_rotate_when", "log_rotate_interval", "log_rotate_mode"):
        if name not in _given:
            chosen[name] = None
    return SimpleNamespace(**chosen)


def workers_wanted() -> int:
    """Return the number of serving processes: `--workers`, where 0 means one per core."""
    wanted: int = options.workers
    return wanted if wanted > 0 else os.cpu_count() or 1


def renewal_limits() -> RenewalLimits:
    """Return the limits after which a worker is replaced: `--max-requests` and `--max-rss`."""
    return RenewalLimits(options.max_requests, _bytes_of(options.max_rss))


def _bytes_of(text: str) -> int:
    """Return the number of bytes in *text*: digits, optionally followed by K, M or G; 0 for "".

    Raises:
        tornado.options.Error: The text has another form.
    """
    unit = text[-1:].upper()
    number = parse_whole(text[:-1] if unit in _UNITS else text or "0")
    if number is None:
        raise Error(f"--max_rss={text}: give a number of bytes, or one with K, M or G, such as 512M.")
    return number << _UNITS.get(unit, 0)


def was_given(name: str) -> bool:
    """Return whether the last command line contained the option *name*."""
    return name in _given


def _validate() -> None:
    """Raise for option values that are out of range.

    Raises:
        tornado.options.Error: Names the option, its value and the valid range.
    """
    if not 0 <= options.port <= 65535:
        raise Error(f"--port={options.port}: give a number from 0 to 65535; 0 takes a free one.")
    if options.workers < 0:
        raise Error(f"--workers={options.workers}: give a number of processes; 0: one per core.")
    if options.max_requests < 0:
        raise Error(f"--max_requests={options.max_requests}: give a number of requests; 0: a worker is never replaced.")
    _bytes_of(options.max_rss)
    try:
        make_formatter(options.log_formatter)
    except ValueError as exc:
        raise Error(f"--log_formatter={options.log_formatter}: {exc}. Give json, or such as '%(message)s'.") from exc
    for name in ("graceful_timeout", "drain_seconds", "hang_timeout"):
        value = getattr(options, name)
        if not 0 <= value < math.inf:
            raise Error(f"--{name}={value}: give a number of seconds, 0 or more.")


def _normalize(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* with `--name value` joined to `--name=value`, up to the first word that is not an option.

    Unknown options are refused here, since Tornado would print its whole help.
    """
    normalized, words = list(arguments[:1]), list(arguments[1:])
    while words and words[0].startswith("-") and words[0] != "--":
        word = words.pop(0)
        name = _name_of(word)
        if name not in options:
            near = _nearest(word)
            hint = f" Did you mean --{near}?" if near else ""
            raise Error(f"Unrecognized command line option: {name!r}.{hint} `--help` lists all of them.")
        if "=" not in word and words and _is_value(name, words[0]):
            word = f"{word}={words.pop(0)}"
        normalized.append(word)
    return [*normalized, *words]


def _is_value(name: str, word: str) -> bool:
    """Return whether *word*, which follows the option *name*, is its value."""
    if name in _SWITCHES or isinstance(options.as_dict().get(name), bool):
        return word.lower() in _BOOLEANS  # a switch without a value means true
    return not word.startswith("-") or word[1:2].isdecimal()


def _invalid_word(arguments: Sequence[str]) -> str:
    """Return the first of *arguments* whose value Tornado cannot parse."""
    for word in arguments[1:]:
        try:
            options.parse_command_line([arguments[0], word], final=False)
        except ValueError:
            return word
    return "Command line"


def _name_of(word: str) -> str:
    return word.lstrip("-").partition("=")[0].replace("-", "_")


def _nearest(word: str) -> str | None:
    return nearest(_name_of(word), [name.replace("-", "_") for name in options.as_dict()])


def _undo_changes() -> None:
    for name, (parsed, before) in _changes.items():
        current = getattr(options, name)
        if current is parsed or current == parsed:  # nan is not equal to itself
            setattr(options, name, before)
    _changes.clear()
    _given.clear()


def _record_changes(before: dict[str, object]) -> None:
    after = options.as_dict()
    _changes.update({name: (after[name], before[name]) for name in before if after[name] != before[name]})
