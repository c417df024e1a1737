"""What the standard library keeps under private names."""

import argparse
import threading
from collections.abc import Callable

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
            known += options_of(action.choices[getattr(namespace, action.dest)], namespace)
    return known
