"""Templates whose functions give a page part by part, so that the loop can run in between.

short page    one slice, made at once
long page     slices, the loop runs after every few milliseconds
long page with one part that takes long    a worker thread, the next time
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
"""Parts that are made in one go: less than a millisecond of work, unless one of them takes long by itself."""

HOLD_SECONDS = 0.002
"""After this long the loop may run."""

LONG_SLICE_SECONDS = 0.025
"""A slice that takes longer holds a part that cannot be cut; such pages are better made in a thread."""


class CooperativeTemplate(base.Template):
    """A template that gives its parts one by one."""

    _is_long = False
    _longest_slice = 0.0

    @abstractmethod
    def _parts(self, values: Mapping[str, object]) -> Any:
        """Return an iterator of the page's parts, all text or all bytes; an asynchronous one unless `is_sync`."""

    def _reraise(self) -> NoReturn:
        """Raise the exception that is being handled, on the template's own lines where the engine knows a way."""
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
        """Give the page in parts of about 16 KiB, as it is made."""
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
        """Join *first*, where that much was made before, and *parts*; the loop runs in between."""
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


async def _each(parts: Iterable[str | bytes] | AsyncIterable[str | bytes]) -> AsyncIterator[str | bytes]:
    if isinstance(parts, AsyncIterable):
        async for part in parts:
            yield part
    else:
        for part in parts:
            yield part
