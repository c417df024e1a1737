"""The entry point of the command line: runs a command and returns its exit status."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from torngas_aio._cleanup import end_quickly
from torngas_aio._compat.stdlib import options_of
from torngas_aio._names import did_you_mean, nearest
from torngas_aio._project_errors import place_of, report
from torngas_aio._version import __version__
from torngas_aio.cli.registry import command_names, load_command
from torngas_aio.exception import BaseError, coded

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in *arguments*; return the exit status.

    0: success; 1: failure, with the reason on stderr; 2: invalid command line; 130: interrupted.

    Args:
        arguments: Without the program's name; None for `sys.argv`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _use_current_directory()
    end_quickly()
    try:
        return _run(words)
    except BaseError as exc:
        sys.stderr.write(f"{coded(exc)}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `torngas-aio routes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as exc:  # most commands run the project's code
        if not place_of(exc):
            raise
        sys.stderr.write(report(exc))
        return 1


def _run(words: list[str]) -> int:
    parser = _parser()
    if not words or words[0] in ("-h", "--help"):
        parser.print_help()
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    if words[0] not in command_names():
        hint = did_you_mean(words[0], command_names())
        parser.error(f"{words[0]!r} is not a command.{hint} There are {', '.join(command_names())}.")
    command = load_command(words[0])
    own = _Parser(prog=f"torngas-aio {words[0]}", description=(command.__doc__ or command.help).strip())
    command.add_arguments(own)
    if getattr(command, "takes_rest", False):
        namespace = own.parse_args([])
        namespace.rest = words[1:]
    else:
        namespace, unknown = own.parse_known_args(words[1:])
        if unknown:
            _refuse(own, namespace, unknown[0])
    return int(command.run(namespace) or 0)


class _Parser(argparse.ArgumentParser):
    """A parser without option abbreviations, whose one-line errors suggest the most similar name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2, without printing the usage."""
        sentence = message if message.endswith((".", "?")) else f"{message}."
        self.exit(2, f"{self.prog}: {sentence} `{self.prog} --help` tells what it takes.\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(action.choices)
            message = f"{value!r} is not one of {', '.join(known)}.{_meant(value, known)}"
            raise argparse.ArgumentError(action, message)


def _refuse(parser: argparse.ArgumentParser, namespace: argparse.Namespace, word: str) -> NoReturn:
    """Exit with status 2 for an unknown word, suggesting the most similar option."""
    near = _meant(word.partition("=")[0], options_of(parser, namespace))
    parser.error(f"{word!r} is not an option.{near}")


def _meant(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return "" if near is None else f" Did you mean {near}?"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="torngas-aio",
        description="The Django-like application layer for Tornado. Run it in the project's directory.",
        epilog="`torngas-aio COMMAND --help` tells a command's options.",
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in command_names():
        commands.add_parser(name, help=_summary(name), add_help=False)
    return parser


def _summary(name: str) -> str:
    try:
        return load_command(name).help
    except Exception as exc:  # noqa: BLE001  a boundary: another package's command must not break the help
        return f"(cannot be loaded: {exc})"


def _use_current_directory() -> None:
    """Put the current directory, which is the project's, first on `sys.path`."""
    here = os.getcwd()  # noqa: PTH109  as `python -m` writes it
    if here not in sys.path:
        sys.path.insert(0, here)
