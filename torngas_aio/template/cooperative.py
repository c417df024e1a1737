"""Templates that yield a page in parts, so that the loop can run in between.

short page    one slice, rendered synchronously
long page     slices; the loop runs every few milliseconds
long page with a slow slice    rendered in a worker thread the next time
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, NoReturn

from torngas_aio.template import base
from torngas_aio.template.base import STREAM_BYTES
from torngas_aio.template.values import await_values, has_awaitables, run_without_waiting

__all__ = ["SLICE_PARTS", "CooperativeTemplate"]

SLICE_PARTS = 512
"""Number of parts in a slice: usually less than a millisecond of work."""

HOLD_SECONDS = 0.002
"""Time after which rendering yields to the loop."""

LONG_SLICE_SECONDS = 0.025
"""A slice that takes longer contains a slow part that cannot be split; such pages are rendered in a thread."""


class CooperativeTemplate(base.Template):
    """A template that is rendered in parts."""

    _is_long = False
    _longest_slice = 0.0

    @abstractmethod
    def _parts(self, values: Mapping[str, object]) -> Any:
        """Return an iterator of the page's parts, all str or all bytes; an asynchronous one unless `is_sync`."""

    def _reraise(self) -> NoReturn:
        """Re-raise the current exception, with template lines in the traceback if the engine supports it."""
        raise  # noqa: PLE0704 - called from `except`

    @property
    def is_heavy(self) -> bool:
        return self._last_bytes >= self.offload_bytes and self._longest_slice > LONG_SLICE_SECONDS

    def generate(self, **values: Any) -> bytes:
        self._refuse_awaitables(values)
        if self.is_sync:
            return self._make(values)
        return run_without_waiting(self._join(self._parts(values)), self.name)

    def begin(self, values: Mapping[str, object]) -> bytes | base.PageMaker:
        if self._is_long or not self.is_sync or self.is_heavy or has_awaitables(values):
            return partial(self.render, values)
        begun = time.monotonic()
        try:
            parts: Iterator[str | bytes] = iter(self._parts(values))
            made = list(islice(parts, SLICE_PARTS))
        except Exception:  # noqa: BLE001 - raised again by it
            self._reraise()
        self._longest_slice = time.monotonic() - begun
        page = _joined(made)
        if len(made) == SLICE_PARTS:
            return partial(self._make_in_slices, parts, page)
        self._last_bytes = len(page)
        return page

    async def stream(self, values: Mapping[str, object]) -> AsyncIterator[bytes]:
        """Yield the page in parts of about 16 KiB while it is rendered."""
        batch: list[str | bytes] = []
        size = 0
        try:
            async for part in _each(self._parts(await await_values(values))):
                batch.append(part)
                size += len(part)
                if size >= STREAM_BYTES:
                    yield _joined(batch)
                    batch, size = [], 0
                    await asyncio.sleep(0)
        except Exception:  # noqa: BLE001 - raised again by it
            self._reraise()
        yield _joined(batch)

    async def _render(self, values: Mapping[str, object]) -> bytes:
        if not self.is_sync:
            return b"".join([part async for part in self.stream(values)])
        if self.is_heavy:
            return await super()._render(values)
        return await self._make_in_slices(self._parts(values))

    def _make(self, values: Mapping[str, object]) -> bytes:
        try:
            return b"".join(_slices(self._parts(values)))
        except Exception:  # noqa: BLE001 - raised again by it
            self._reraise()

    async def _make_in_slices(self, parts: Iterator[str | bytes], first: bytes | None = None) -> bytes:
        """Return *first*, the beginning of the page if already rendered, and *parts* joined; yield to the loop."""
        made: list[bytes] = [] if first is None else [first]
        begun = time.monotonic()
        longest, since = 0.0 if first is None else self._longest_slice, begun
        try:
            for piece in _slices(parts):
                made.append(piece)
                now = time.monotonic()
                longest, since = max(longest, now - since), now
                if now - begun > HOLD_SECONDS:
                    await asyncio.sleep(0)
                    begun = since = time.monotonic()
        except Exception:  # noqa: BLE001 - raised again by it
            self._reraise()
        self._is_long = len(made) > 1
        self._longest_slice = longest
        page = b"".join(made)
        self._last_bytes = len(page)
        return page

    async def _join(self, parts: Iterable[str | bytes] | AsyncIterable[str | bytes]) -> bytes:
        try:
            return _joined([part async for part in _each(parts)])
        except Exception:  # noqa: BLE001 - raised again by it
            self._reraise()


def _slices(parts: Iterable[str | bytes]) -> Iterator[bytes]:
    """Join *parts* a slice at a time.

    PERF: escaped values are tracked by the garbage collector: with hundreds of thousands of them it blocks the loop
    for 30 ms (benchmarks/templates.py).
    """
    parts = iter(parts)
    while piece := list(islice(parts, SLICE_PARTS)):
        yield _joined(piece)


def _joined(parts: list[Any]) -> bytes:
    if parts and isinstance(parts[0], bytes):
        return b"".join(parts)
    return "".join(parts).encode()


async def _each(parts: Iterable[str | bytes] | AsyncIterable[str | bytes]) -> AsyncIterator[str | bytes]:
    if isinstance(parts, AsyncIterable):
        async for part in parts:
            yield part
    else:
        for part in parts:
            yield part
