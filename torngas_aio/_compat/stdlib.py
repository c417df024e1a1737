"""What the standard library keeps under private names, or cannot be trusted with on every Python."""

# pyright: reportPrivateUsage=false

import argparse
import asyncio
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, cast

__all__ = [
    "call_before_threads_are_joined",
    "enter_task",
    "frame_above",
    "has_buffered",
    "leave_task",
    "options_of",
    "set_unawaited_hook",
    "unawaited_hook",
    "write_parts",
]

# `asyncio.current_task()` of a loop: set, and taken away again. Documented for tasks of other makers:
# https://docs.python.org/3/library/asyncio-extending.html
enter_task, leave_task = asyncio.tasks._enter_task, asyncio.tasks._leave_task


def call_before_threads_are_joined(function: Callable[..., object], *arguments: object) -> None:
    """Call *function* at the interpreter's end, before it joins every thread, as `concurrent.futures` does it."""
    threading._register_atexit(function, *arguments)  # type: ignore[attr-defined]


def frame_above(depth: int) -> FrameType:
    """Return the frame of the function that calls this; with *depth* above 0, of what called that, so many calls up."""
    return sys._getframe(depth + 1)


def unawaited_hook() -> Callable[[Any], None]:
    """Return what Python calls for a coroutine that is dropped before it was awaited."""
    return cast(Callable[[Any], None], cast(Any, warnings)._warn_unawaited_coroutine)


def set_unawaited_hook(hook: Callable[[Any], None]) -> None:
    """Have Python call *hook* in place of `unawaited_hook()`."""
    cast(Any, warnings)._warn_unawaited_coroutine = hook


def has_buffered(reader: asyncio.StreamReader) -> bool:
    """Return whether *reader* holds bytes that were not read yet."""
    return bool(getattr(reader, "_buffer", None))


def options_of(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> list[str]:
    """Return the options that *parser* takes, and those of the subcommand that *namespace* has chosen."""
    known: list[str] = []
    for action in parser._actions:
        known += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            parsers: Mapping[str, argparse.ArgumentParser] = cast(Any, action).choices
            known += options_of(parsers[getattr(namespace, action.dest)], namespace)
    return known


# CVE-2024-12254 (cpython#127655): `writelines` of asyncio's transports never calls `pause_writing`, so that what a slow
# peer does not read fills the memory. `write` does.
_IS_FLAWED = (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)


def write_parts(transport: asyncio.WriteTransport, parts: Sequence[bytes]) -> None:
    """Write *parts* in one go; the protocol is paused where too much of it has to wait."""
    if _IS_FLAWED:
        transport.write(b"".join(parts))
    else:
        transport.writelines(parts)
