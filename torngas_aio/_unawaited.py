"""Coroutines that were never awaited: where each is reported, and where it was created.

    Python's "never awaited" report ─┬─ in a request    500 in DEBUG and with ATOMIC_REQUESTS, else the log
                                     ├─ in a job        its failure
                                     ├─ in a script     the log, and the script's exit status
                                     └─ elsewhere       Python's warning, each time
    during garbage collection        ── the log: the request that created it is unknown

A coroutine passed to a task or to `gather` counts as awaited. Without an un-awaited coroutine nothing here runs or
costs time.
"""

import gc
import inspect
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from itertools import takewhile
from types import FrameType
from typing import Any, ClassVar, NoReturn, TypeVar, cast

from torngas_aio._compat.stdlib import set_unawaited_hook, unawaited_hook
from torngas_aio._project_errors import is_project_file
from torngas_aio.context import JobScope, current_request, current_scope, error_sink
from torngas_aio.exception import Unawaited

__all__ = [
    "AsyncWithOnly",
    "Operation",
    "collected_unawaited",
    "expect_opening",
    "note_unawaited",
    "tracked_origins",
    "unawaited_total",
    "watch_unawaited",
]

logger = logging.getLogger("torngas_aio.unawaited")

ORIGIN_FRAMES = 10
"""How many frames of a coroutine's origin Python records in DEBUG."""

T_co = TypeVar("T_co", covariant=True)


class _State:
    is_collecting = False
    total = 0
    found: list[Unawaited] | None = None  # of the running script


class Operation(Awaitable[T_co]):
    """An awaitable, such as a statement: each `await` runs it; never awaiting it is an error.

    Args:
        run: Creates the coroutine.
        name: Its name in messages, such as "Query.all".
    """

    _mend: ClassVar[str] = "Write `await` before it."

    def __init__(self, run: Callable[[], Coroutine[object, None, T_co]], name: str) -> None:
        self._run = run
        self._name = name
        self._waiting: Coroutine[object, None, T_co] | None = run()  # Python reports it if it is never awaited
        self._waiting.__qualname__ = name  # type: ignore[attr-defined]

    def __await__(self) -> Generator[object, None, T_co]:
        waiting, self._waiting = self._waiting, None
        return (waiting or self._run()).__await__()

    def _leave(self) -> None:
        """Close the coroutine without a report: the operation is used differently, or refused."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(f"{self._name}() has not been awaited, so it has no value yet. {self._mend}")

    __bool__ = __iter__ = __len__ = __contains__ = __getitem__ = __enter__ = __exit__ = _refuse


class AsyncWithOnly:
    """Base class of objects for `async with`: a plain `with` raises an explanation."""

    def __enter__(self) -> NoReturn:
        raise TypeError(f"A {type(self).__name__} is opened with `async with`, in an `async def`; `with` cannot wait.")

    def __exit__(self, *_: object) -> None:
        """Do nothing; never called, but `with` needs it to get to `__enter__`."""


def expect_opening(name: str) -> Coroutine[object, None, None]:
    """Return a coroutine that is reported as *name* when collected, unless `await` or `async with` has closed it."""
    waiting = _opened()
    waiting.__qualname__ = name  # type: ignore[attr-defined]  # every coroutine has it
    return waiting


async def _opened() -> None:
    """Do nothing; never run."""


def watch_unawaited() -> None:
    """Report un-awaited coroutines to requests and scripts in this process, from now on."""
    if unawaited_hook() is not _on_unawaited:
        set_unawaited_hook(_on_unawaited)
        gc.callbacks.append(_on_collection)


def unawaited_total() -> int:
    """Return how many un-awaited coroutines were reported in this process."""
    return _State.total


@contextmanager
def tracked_origins() -> Generator[None]:
    """Record where coroutines of this thread are created; doubles the cost of creating one."""
    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(max(before, ORIGIN_FRAMES))
    try:
        yield
    finally:
        sys.set_coroutine_origin_tracking_depth(before)


@contextmanager
def collected_unawaited() -> Generator[list[Unawaited]]:
    """Yield a list of coroutines that code outside of requests has not awaited in the block; each is also logged.

    It is complete after the block has ended, which collects reference cycles.
    """
    watch_unawaited()
    outer, _State.found = _State.found, []
    found = _State.found
    try:
        yield found
    finally:
        gc.collect()
        _State.found = outer
        if outer is not None:
            outer += found


def note_unawaited(error: BaseException, earlier: Unawaited | None) -> None:
    """Add a note to *error* about the missing `await` that may be its cause.

    Args:
        earlier: An un-awaited coroutine of the same request, reported before.
    """
    if earlier is not None:
        error.add_note(str(earlier))
    used = getattr(error, "obj", None)  # of an AttributeError
    if inspect.iscoroutine(used):
        error.add_note(_message_of(used))
    elif isinstance(error, (AttributeError, TypeError, ValueError)):
        text = traceback.format_exception_only(error)[0]  # its own `__str__` may fail
        if "_AsyncGeneratorContextManager' object" in text:
            error.add_note("Write `async with`: `with` cannot wait.")
        elif _names_an_awaitable(text):
            error.add_note("A coroutine was used like its result: write `await` before the call that made it.")


def _names_an_awaitable(text: str) -> bool:
    """Return whether *text*, of an error, names an awaitable type in the forms that Python and serializers use."""
    if "await" in text:
        return False
    kinds = "|".join(["coroutine", *(kind.__name__ for kind in cast("list[type]", Operation.__subclasses__()))])
    return re.search(rf"(?:'|\btype |\w\.)(?:{kinds})\b", text) is not None


def _on_collection(phase: str, info: dict[str, int]) -> None:
    _State.is_collecting = phase == "start"


def _on_unawaited(coroutine: object) -> None:
    """Report *coroutine*; called by Python when it is deallocated, in the context and thread that drop it."""
    _State.total += 1
    request = current_request()
    job = current_scope() if request is None else None
    if request is None and job is None and _State.found is None:
        _warn(coroutine)
        return
    error = Unawaited(_message_of(coroutine))
    if isinstance(job, JobScope) and not _State.is_collecting and not job.is_closed:
        job.unawaited.append(error)
        return
    if request is not None and not _State.is_collecting:
        handler = getattr(request, "handler", None)
        if handler is None:  # created in a call hook: the handler that follows reads it
            request.unawaited = error  # type: ignore[attr-defined]  # ours
        elif handler.take_unawaited(error):
            return
        sink = error_sink.get()
        if sink is not None:
            sink.append(error)
    elif _State.found is not None:
        _State.found.append(error)
    logger.error("%s", error)


def _warn(coroutine: Any) -> None:
    """Warn for the line that drops it; Python itself would use a line of ours, and warn only the first time."""
    above = next(_frames(), None)  # there is none at interpreter exit
    text = f"coroutine {coroutine.__qualname__!r} was never awaited"
    if coroutine.cr_origin:
        origin = [traceback.FrameSummary(*each) for each in reversed(coroutine.cr_origin)]
        text += "\nCoroutine created at (most recent call last)\n" + "".join(traceback.format_list(origin)).rstrip()
    warnings.warn_explicit(
        text,
        RuntimeWarning,
        *(("sys", 1) if above is None else (above.f_code.co_filename, above.f_lineno)),
        module="sys" if above is None else above.f_globals.get("__name__"),
        source=coroutine,
    )


# Frames of the code that started the loop, or a script, are not the origin.
_STARTERS = ("/asyncio/events.py", "/asyncio/base_events.py", "/asyncio/runners.py", "/torngas_aio/scripts.py")


def _message_of(coroutine: Any) -> str:
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    text = (
        f"{name}() was called and never awaited, so it has done nothing, and counts as true in any condition. "
        "Write `await` before it."
    )
    origin = coroutine.cr_origin
    places = iter([(file, line) for file, line, _ in origin or ()])
    if not origin and not _State.is_collecting:
        places = ((frame.f_code.co_filename, frame.f_lineno) for frame in _frames())
    started = takewhile(lambda place: not place[0].endswith(_STARTERS), places)
    place = next((place for place in started if is_project_file(place[0])), None)
    if place is None:
        code = coroutine.cr_code
        return f"{text} It is defined in {code.co_filename}:{code.co_firstlineno}."
    near = "" if origin else "near "
    return f"{near}{place[0]}:{place[1]}: {text}"


def _frames() -> Iterator[FrameType]:
    """Yield the frames outside of this module, beginning with the one that drops the coroutine."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            yield frame
        frame = frame.f_back
