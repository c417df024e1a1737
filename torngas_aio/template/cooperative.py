"""Templates whose functions give a page part by part, so that the loop can run in between.

    short page    one slice, made at once
    long page     slices, the loop runs after every few milliseconds
    long page with one part that takes long    a worker thread, the next time

Begin with `CooperativeTemplate`.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NoReturn

from torngas_aio.template import base
from torngas_aio.template.values import Shape, shape_of

__all__ = ["SLICE_PARTS", "CooperativeTemplate", "MustAwait", "slices_of"]

SLICE_PARTS = 512
"""Parts that are made in one go: less than a millisecond of work, unless one of them takes long by itself."""

HOLD_SECONDS = 0.002
"""After this long the loop may run."""

LONG_SLICE_SECONDS = 0.025
"""A slice that takes longer holds a part that cannot be cut; such pages are better made in a thread."""


class MustAwait(BaseException):
    """Something that must be awaited turned up where nothing can be.

    A signal between two renderings, not an error: nothing on its way may take it for one.
    """


class CooperativeTemplate(base.Template):
    """A template that gives its parts one by one."""

    _may_begin_anew = True
    """Whether nothing is done twice when a page is made a second time."""

    _is_long = False
    _longest_slice = 0.0

    @abstractmethod
    def _parts(self, values: Mapping[str, Any]) -> Iterator[Any]:
        """Give the parts of the page, all text or all bytes, each made when it is asked for."""

    def _is_for_slices(self, shape: Shape) -> bool:
        """Whether a page of values of this *shape* can be made without awaiting."""
        return self.is_sync and not shape & Shape.AWAITABLE

    def _learn(self) -> None:
        """Take note that the template has to await."""
        self.is_sync = False

    def _retell(self) -> NoReturn:
        """Raise the exception that is being handled, on the template's own lines where the engine knows a way."""
        raise  # noqa: PLE0704 - called from `except`

    @property
    def is_heavy(self) -> bool:
        return self._last_bytes >= self.offload_bytes and self._longest_slice > LONG_SLICE_SECONDS

    def render_now(self, values: Mapping[str, Any]) -> bytes | None:
        if self._is_long or self.is_heavy or not self._is_for_slices(shape_of(values)):
            return None
        begun = time.monotonic()
        try:
            parts = iter(self._parts(values))
            made = list(islice(parts, SLICE_PARTS))
            self._longest_slice = time.monotonic() - begun
            if len(made) == SLICE_PARTS:
                self._is_long = True  # from now on made in slices, between which the loop runs
                return None if self._may_begin_anew else _joined(made) + b"".join(slices_of(parts))
        except MustAwait:
            self._learn()
            return None
        except Exception:  # noqa: BLE001 - raised anew
            self._retell()
        page = _joined(made)
        self._last_bytes = len(page)
        return page

    async def _render(self, values: Mapping[str, Any], shape: Shape) -> bytes:
        if self.is_heavy:
            return await super()._render(values, shape)
        return await self._make_in_slices(values)

    def _make(self, values: Mapping[str, Any]) -> bytes:
        try:
            return b"".join(slices_of(self._parts(values)))
        except Exception:  # noqa: BLE001 - raised anew
            self._retell()

    async def _make_in_slices(self, values: Mapping[str, Any]) -> bytes:
        made: list[bytes] = []
        begun = time.monotonic()
        longest, since = 0.0, begun
        try:
            for piece in slices_of(self._parts(values)):
                made.append(piece)
                now = time.monotonic()
                longest, since = max(longest, now - since), now
                if now - begun > HOLD_SECONDS:
                    await asyncio.sleep(0)
                    begun = since = time.monotonic()
        except Exception:  # noqa: BLE001 - raised anew
            self._retell()
        self._is_long = len(made) > 1
        self._longest_slice = longest
        return b"".join(made)


def slices_of(parts: Iterable[Any]) -> Iterator[bytes]:
    """Join *parts* a slice at a time.

    PERF: escaped values are objects that the garbage collector looks after: hundreds of thousands of them at once
    hold the loop for 30 ms when it does (benchmarks/templates.py).
    """
    parts = iter(parts)
    while piece := list(islice(parts, SLICE_PARTS)):
        yield _joined(piece)


def _joined(parts: list[Any]) -> bytes:
    if parts and isinstance(parts[0], bytes):
        return b"".join(parts)
    return "".join(parts).encode()
