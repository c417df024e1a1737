"""Jinja2 behind the house's base.

                    ┌─ nothing in it can await ─► environment without enable_async   (a quarter less time)
    file ─ analysis ┤
                    └─ something might ─────────► environment with enable_async

A page in the first environment that meets something to await all the same is begun anew in the second, and
the template stays there. Long pages let the loop run every few milliseconds; still longer ones leave it.
Begin with `Jinja2TemplateLoader`.
"""

import asyncio
import math
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import anyio.to_thread
import jinja2
from jinja2 import nodes
from jinja2.filters import FILTERS
from jinja2.tests import TESTS

from torngas_aio.exception import ArgumentError, TemplateNotFound, TemplateSyntaxError
from torngas_aio.template import base
from torngas_aio.template.base import STREAM_BYTES
from torngas_aio.template.cooperative import CooperativeTemplate, MustAwait, slices_of
from torngas_aio.template.jinja2.analysis import Shipped, analyse
from torngas_aio.template.jinja2.environment import (
    ENGINE_OPTIONS,
    OUR_OPTIONS,
    WatchedFiles,
    environments,
    object_of,
)
from torngas_aio.template.loading import safe_name
from torngas_aio.template.options import refuse_unknown
from torngas_aio.template.values import Shape, awaited, driven, shape_of

__all__ = ["Jinja2Template", "Jinja2TemplateLoader"]


class Jinja2Template(CooperativeTemplate):
    """A compiled Jinja2 template, in one environment or in both."""

    def __init__(self, loader: "Jinja2TemplateLoader", name: str) -> None:
        found = analyse(name, loader.parse, loader.shipped)
        self.name = name
        self.names = found.names
        self.is_sync = not (found.can_await and loader.may_await)
        self.parts = found.parts
        self.offload_bytes = loader.offload_bytes
        if loader.is_compiling_always:  # work for a thread
            self.offload_bytes, self._longest_slice = 0, math.inf
        self._loader = loader
        self._lineage = list(loader.lineage(name))
        self._in_sync: jinja2.Template | None = None
        self._in_async: jinja2.Template | None = None
        # All that is named outright is read here, in the thread that loads, rather than while a page is made.
        environment = loader.environment if self.is_sync else loader.async_environment
        for part in found.parts:
            environment.get_template(part)

    def generate(self, **values: Any) -> bytes:
        self._refuse_awaitables(values)
        if self._is_for_slices(shape_of(values)):
            try:
                return self._make(values)
            except MustAwait:
                self._learn()
        template = self._async()
        return driven(self._join_async(template, _root(template, values)), self.name)

    async def render_block(self, name: str, values: Mapping[str, Any]) -> bytes:
        values = await awaited(values)
        if self._is_for_slices(shape_of(values)):
            try:
                return b"".join(slices_of(self._block(self._sync(), name, values)))
            except MustAwait:
                self._learn()
            except ArgumentError:
                raise
            except Exception:  # noqa: BLE001 - raised anew, on the template's own lines
                self._retell()
        template = await self._fetch_async()
        return await self._join_async(template, self._block(template, name, values))

    async def stream(self, values: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Give the page in parts of about 16 KiB, as it is made."""
        # Parts that have left cannot be begun anew, so this is the asynchronous environment's work.
        template = await self._fetch_async()
        batch: list[str] = []
        size = 0
        try:
            async for part in _each(_root(template, await awaited(values))):
                batch.append(part)
                size += len(part)
                if size >= STREAM_BYTES:
                    yield "".join(batch).encode()
                    batch, size = [], 0
                    await asyncio.sleep(0)
        except Exception:  # noqa: BLE001 - raised anew, on the template's own lines
            template.environment.handle_exception()
        yield "".join(batch).encode()

    async def _render(self, values: Mapping[str, Any], shape: Shape) -> bytes:
        if self._is_for_slices(shape & ~Shape.AWAITABLE):
            try:
                return await super()._render(values, shape)
            except MustAwait:
                self._learn()
        return await self._make_async(values)

    def _parts(self, values: Mapping[str, Any]) -> Iterator[str]:
        parts: Iterator[str] = _root(self._sync(), values)
        return parts

    async def _make_async(self, values: Mapping[str, Any]) -> bytes:
        template = await self._fetch_async()
        return await self._join_async(template, _root(template, values))

    def _is_for_slices(self, shape: Shape) -> bool:
        # A value that can be walked once must not be touched by a page that may be begun anew.
        walks_once = shape & (Shape.ASYNC_ITERABLE | Shape.ONE_SHOT)
        return super()._is_for_slices(shape) and not (walks_once and self._loader.may_await)

    def _retell(self) -> NoReturn:
        self._loader.environment.handle_exception()

    def _sync(self) -> jinja2.Template:
        if self._in_sync is None:
            self._in_sync = self._loader.environment.get_template(self.name)
        return self._in_sync

    def _async(self) -> jinja2.Template:
        if self._in_async is None:
            for part in self.parts:
                self._loader.async_environment.get_template(part)
            self._in_async = self._loader.async_environment.get_template(self.name)
        return self._in_async

    async def _fetch_async(self) -> jinja2.Template:
        ready = self._in_async
        return ready if ready is not None else await anyio.to_thread.run_sync(self._async)

    async def _join_async(self, template: jinja2.Template, parts: AsyncIterable[str]) -> bytes:
        try:
            return "".join([part async for part in parts]).encode()
        except Exception:  # noqa: BLE001 - raised anew, on the template's own lines
            template.environment.handle_exception()

    def _block(self, template: jinja2.Template, name: str, values: Mapping[str, Any]) -> Any:
        """The block in its most derived form, with its parents' forms within reach of `super()`."""
        context = template.new_context(dict(values))
        for parent in self._lineage[1:]:
            for key, block in template.environment.get_template(parent).blocks.items():
                context.blocks.setdefault(key, []).append(block)
        if name not in context.blocks:
            known = ", ".join(sorted(context.blocks)) or "none"
            raise ArgumentError(f"Template {self.name!r} has no block {name!r}; it has: {known}.")
        return context.blocks[name][0](context)


class Jinja2TemplateLoader(base.TemplateLoader):
    """Loads Jinja2 templates from one directory.

    Args:
        template_path: The template directory.
        autoescape: True, False, or a function of the template's name.
        filesystem_checks: Look at each load whether the files have changed; `auto_reload` is the same.
        cache_size: Compiled templates held in memory; -1: all of them, 0: none.
        cache_directory: Where bytecode is kept between starts; None: nowhere.
        filters, tests: Functions to add by name, each itself or its dotted path.
        globals: Values that every template sees.
        enable_async: False: values met inside templates are never awaited.
        offload_bytes: Pages that came out this large are made in a worker thread.
        options: Whatever else `jinja2.Environment` takes.
    """

    def __init__(self, template_path: str, **options: Any) -> None:
        refuse_unknown(options, (*ENGINE_OPTIONS, *OUR_OPTIONS), "Jinja2")
        self.root = Path(template_path)
        self.offload_bytes = base.take_offload_bytes(options)
        self.may_await = bool(options.get("enable_async", True))
        is_checking = bool(options.get("auto_reload", options.get("filesystem_checks", False)))
        self._most = options.get("cache_size", 400)
        self.is_compiling_always = self._most == 0
        self._lock = threading.RLock()
        self._templates: dict[str, Jinja2Template] = {}
        self._files = WatchedFiles(self.root, is_checking=is_checking)
        self.environment, self.async_environment = environments(
            object_of("loader", options.get("loader")) or self._files, options, may_await=self.may_await
        )
        self.shipped = _shipped(self.async_environment)

    def load(self, name: str, parent_path: str | None = None) -> Jinja2Template:
        name = safe_name(name, parent_path)
        with self._lock:
            found = self._templates.get(name)
            if found is not None and not self._has_changed(found):
                return found
            if found is not None or 0 < self._most <= len(self._templates):
                self.reset()
            return self._compile(name)

    def reset(self) -> None:
        with self._lock:
            self._fetched, self._templates = {}, {}
            self._files.seen.clear()
            for environment in (self.environment, self.async_environment):
                if environment.cache is not None:
                    environment.cache.clear()

    def parse(self, name: str) -> nodes.Template:
        """Return the tree of the template *name*."""
        assert self.environment.loader is not None
        source, filename, _ = self.environment.loader.get_source(self.environment, name)
        return self.environment.parse(source, name, filename)

    def _has_changed(self, template: Jinja2Template) -> bool:
        """Whether a file of *template* has; any file, where its parts are chosen at run time."""
        seen = dict(self._files.seen)
        parts = seen if template.names is None else template.parts
        return any(seen[part].has_changed() for part in parts if part in seen)

    def lineage(self, name: str) -> Iterator[str]:
        """Give *name* and the names of its parents, as far as they are written out."""
        current: str | None = name
        while current is not None:
            yield current
            extends = next(self.parse(current).find_all(nodes.Extends), None)
            target = None if extends is None else extends.template
            current = target.value if isinstance(target, nodes.Const) else None

    def _compile(self, name: str) -> Jinja2Template:
        try:
            made = Jinja2Template(self, name)
        except jinja2.TemplateSyntaxError as exc:
            text = (exc.source or "").splitlines()[exc.lineno - 1 : exc.lineno]
            raise TemplateSyntaxError(exc.message or "", exc.filename, exc.lineno, "".join(text)) from exc
        except jinja2.TemplateNotFound as exc:
            raise TemplateNotFound(f"No template {exc.name!r} in {self.root}.") from exc
        if self._most:
            self._templates[name] = made
        return made


def _root(template: jinja2.Template, values: Mapping[str, Any]) -> Any:
    return template.root_render_func(template.new_context(values if isinstance(values, dict) else dict(values)))


def _shipped(environment: jinja2.Environment) -> Shipped:
    own = (FILTERS, environment.filters), (TESTS, environment.tests)
    return Shipped(*(frozenset(name for name in default if used.get(name) is default[name]) for default, used in own))


async def _each(parts: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(parts, AsyncIterable):
        async for part in parts:
            yield part
    else:
        for part in parts:
            yield part
