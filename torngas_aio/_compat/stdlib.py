"""What the standard library keeps under private names."""

# pyright: reportPrivateUsage=false

import argparse
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, cast

__all__ = ["call_before_threads_are_joined", "frame_above", "options_of"]


def call_before_threads_are_joined(function: Callable[..., object], *arguments: object) -> None:
    """Call *function* at the interpreter's end, before it joins every thread, as `concurrent.futures` does it."""
    threading._register_atexit(function, *arguments)  # type: ignore[attr-defined]


def frame_above(depth: int) -> FrameType:
    """Return the frame of the function that calls this; with *depth* above 0, of what called that, so many calls up."""
    return sys._getframe(depth + 1)


def options_of(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> list[str]:
    """Return the options that *parser* takes, and those of the subcommand that *namespace* has chosen."""
    known: list[str] = []
    for action in parser._actions:
        known += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            parsers: Mapping[str, argparse.ArgumentParser] = cast(Any, action).choices
            known += options_of(parsers[getattr(namespace, action.dest)], namespace)
    return known
