"""Private names of the standard library, and a replacement for a function with a fault on some versions."""

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

# Set and reset `asyncio.current_task()` of a loop. Documented for other task implementations:
# https://docs.python.org/3/library/asyncio-extending.html
enter_task, leave_task = asyncio.tasks._enter_task, asyncio.tasks._leave_task


def call_before_threads_are_joined(function: Callable[..., object], *arguments: object) -> None:
    """Call *function* at interpreter exit before threads are joined, as `concurrent.futures` does."""
    threading._register_atexit(function, *arguments)  # type: ignore[attr-defined]


def frame_above(depth: int) -> FrameType:
    """Return the frame of the caller of this function; *depth* above 0 selects a frame that many calls further up."""
    return sys._getframe(depth + 1)


def unawaited_hook() -> Callable[[Any], None]:
    """Return the function that Python calls for a coroutine that is collected without having been awaited."""
    return cast(Callable[[Any], None], cast(Any, warnings)._warn_unawaited_coroutine)


def set_unawaited_hook(hook: Callable[[Any], None]) -> None:
    """Set *hook* as the function returned by `unawaited_hook()`."""
    cast(Any, warnings)._warn_unawaited_coroutine = hook


def has_buffered(reader: asyncio.StreamReader) -> bool:
    """Return whether *reader* has unread bytes."""
    return bool(getattr(reader, "_buffer", None))


def options_of(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> list[str]:
    """Return the options of *parser*, and those of the subcommand selected in *namespace*."""
    known: list[str] = []
    for action in parser._actions:
        known += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            parsers: Mapping[str, argparse.ArgumentParser] = cast(Any, action).choices
            known += options_of(parsers[getattr(namespace, action.dest)], namespace)
    return known


# CVE-2024-12254 (cpython#127655): `writelines` of asyncio's transports never calls `pause_writing`, so that unsent
# data for a slow peer fills the memory. `write` does.
_IS_FLAWED = (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)


def write_parts(transport: asyncio.WriteTransport, parts: Sequence[bytes]) -> None:
    """Write *parts* in one call; the protocol is paused if too much is buffered."""
    if _IS_FLAWED:
        transport.write(b"".join(parts))
    else:
        transport.writelines(parts)
