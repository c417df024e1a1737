"""What the standard library keeps under private names."""

# pyright: reportPrivateUsage=false

import argparse
import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

__all__ = ["call_before_threads_are_joined", "options_of"]


def call_before_threads_are_joined(function: Callable[..., object], *arguments: object) -> None:
    """Call *function* at the interpreter's end, before it joins every thread, as `concurrent.futures` does it."""
    threading._register_atexit(function, *arguments)  # type: ignore[attr-defined]


def options_of(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> list[str]:
    """Return the options that *parser* takes, and those of the subcommand that *namespace* has chosen."""
    known: list[str] = []
    for action in parser._actions:
        known += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            parsers: Mapping[str, argparse.ArgumentParser] = cast(Any, action).choices
            known += options_of(parsers[getattr(namespace, action.dest)], namespace)
    return known
