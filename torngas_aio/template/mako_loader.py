"""Mako as a template engine.

    file ─► mako.lookup.TemplateLookup (compiles, caches, checks) ─► render function ─► buffer

Mako's functions cannot pause, so a streamed page is first rendered completely, in a worker thread. A template that
calls `awaited(...)` is rendered in a thread too, where the call can wait for the loop.
"""

# Mako has no type annotations:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import inspect
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mako.exceptions import CompileException, SyntaxException, TemplateLookupException
from mako.lexer import Lexer
from mako.lookup import TemplateLookup
from mako.parsetree import IncludeTag, InheritTag, NamespaceTag
from mako.runtime import Context

from torngas_aio._concurrency import run_in_loop, run_in_thread
from torngas_aio._former_names import former_names
from torngas_aio.exception import ArgumentError, TemplateSyntaxError
from torngas_aio.template import base
from torngas_aio.template.base import refuse_unknown
from torngas_aio.template.cooperative import SLICE_PARTS
from torngas_aio.template.loading import FileWatch, not_found, private_directory, safe_name
from torngas_aio.template.values import await_values

__all__ = ["MakoTemplate", "MakoTemplateLoader"]

_ENGINE_OPTIONS = tuple(
    name
    for name in inspect.signature(TemplateLookup.__init__).parameters
    if name not in {"self", "directories", "module_directory", "filesystem_checks", "collection_size"}
)


class MakoTemplate(base.Template):
    """A compiled Mako template.

    Its `names` are unknown: `<%include>` and `<%inherit>` may compute their file at run time.

    Attributes:
        compiled: Mako's template object.
        lineage: The template and its parents, as far as `<%inherit>` names them by a constant.
        parts: Names of the files that it needs; None if some are computed at run time.
    """

    def __init__(self, name: str, lookup: "_WatchedLookup", offload_bytes: int) -> None:
        self.name = name
        self.compiled = lookup.get_template(f"/{name}")
        self.offload_bytes = offload_bytes
        self.lineage: list[Any] = [self.compiled]
        self._awaits = False
        self.parts: frozenset[str] | None = self._read_parts(lookup)

    @property
    def is_heavy(self) -> bool:
        return self._awaits or super().is_heavy

    def generate(self, **values: Any) -> bytes:
        self._refuse_awaitables(values)
        return self._make(values)

    async def render_block(self, name: str, values: Mapping[str, object]) -> bytes:
        values = await await_values(values)
        known: set[str] = set()
        for template in self.lineage:
            if template.has_def(name):
                make = partial(template.get_def(name).render_unicode, **{"awaited": _awaited, **values})
                return _bytes(await run_in_thread(make) if self._awaits else make())
            known.update(template.list_defs())
        names = ", ".join(sorted(known - {"body"})) or "none"
        raise ArgumentError(f"Template {self.name!r} has no block or def {name!r}; it has: {names}.")

    async def stream(self, values: Mapping[str, object]) -> AsyncIterator[bytes]:
        page = await run_in_thread(self._make, await await_values(values))
        for part in base.parts_of(page):
            yield part

    def _make(self, values: Mapping[str, object]) -> bytes:
        if self._awaits:
            values = {"awaited": _awaited, **values}
        if self.is_heavy and not (self.compiled.format_exceptions or self.compiled.error_handler):
            buffer = _JoiningBuffer()
            self.compiled.render_context(Context(buffer, **values))
            return buffer.page()
        return _bytes(self.compiled.render_unicode(**values))

    def _read_parts(self, lookup: "_WatchedLookup") -> frozenset[str] | None:
        """Compile all templates referenced by constant names, in the loading thread; return their names."""
        is_dynamic = False
        parts: set[str] = set()
        waiting = [self.compiled]
        while waiting:
            current = waiting.pop()
            if current.uri in parts:
                continue
            parts.add(current.uri)
            self._awaits = self._awaits or _calls_awaited(current)
            for tag, file in _references(current):
                if "${" in file:
                    is_dynamic = True
                    continue
                found = lookup.get_template(lookup.adjust_uri(file, current.uri))
                waiting.append(found)
                if tag is InheritTag and current is self.lineage[-1]:
                    self.lineage.append(found)
        return None if is_dynamic else frozenset(parts)


class MakoTemplateLoader(base.TemplateLoader):
    """A loader of Mako templates from one directory.

    Args:
        template_path: The template directory.
        autoescape: Apply the `h` filter to every `${...}`; `| n` turns it off for one expression.
        filesystem_checks: Check at each load whether files have changed.
        collection_size: Maximum number of compiled templates in memory; -1: unlimited.
        cache_directory: Directory for compiled modules, which persists between starts; None: none. `module_directory`
            is a synonym.
        format_exceptions: Return Mako's error page instead of raising. It shows source code: never use in production.
        offload_bytes: Page size in bytes from which a template is rendered in a worker thread.
        options: Other options of `mako.lookup.TemplateLookup`.
    """

    def __init__(self, template_path: str, **options: Any) -> None:
        refuse_unknown(options, (*_ENGINE_OPTIONS, "module_directory"), "Mako")
        self.root = Path(template_path)
        self.offload_bytes = base.take_offload_bytes(options)
        self._given = {name: options[name] for name in _ENGINE_OPTIONS if name in options}
        if self._given.get("default_filters") is None:
            self._given["default_filters"] = ["h"] if options.get("autoescape", True) else ["str"]
        self._given.setdefault("input_encoding", "utf-8")
        self._directory: str | None = options.get("module_directory") or options.get("cache_directory")
        self._most = options.get("collection_size") or -1
        self._is_checking = bool(options.get("filesystem_checks", False))
        self._lock = threading.RLock()
        self.reset()

    def load(self, name: str, parent_path: str | None = None) -> MakoTemplate:
        name = safe_name(name, parent_path)
        with self._lock:
            found = self._templates.get(name)
            if found is not None and not self._has_changed(found):
                return found
            if found is not None or 0 < self._most <= len(self._templates):
                self.reset()
            found = self._templates[name] = self._compile(name)
            return found

    def reset(self) -> None:
        with self._lock:
            self._fetched = {}
            self._lookup: _WatchedLookup | None = None
            self._templates: dict[str, MakoTemplate] = {}

    def _compile(self, name: str) -> MakoTemplate:
        try:
            return MakoTemplate(name, self._get_lookup(), self.offload_bytes)
        except TemplateLookupException as exc:
            raise not_found(_uri_in(exc) or name, self.root, name) from exc
        except (SyntaxException, CompileException) as exc:
            message = str(exc).partition(" in file ")[0]
            text = "".join((exc.source or "").splitlines()[exc.lineno - 1 : exc.lineno])
            raise TemplateSyntaxError(message, exc.filename, exc.lineno, text) from exc

    def _get_lookup(self) -> "_WatchedLookup":
        # Created at the first load, in a worker thread, since it accesses the cache directory.
        if self._lookup is None:
            self._lookup = _WatchedLookup(
                directories=[str(self.root)],
                module_directory=private_directory(self._directory),
                filesystem_checks=False,
                **self._given,
            )
            self._lookup.is_checking = self._is_checking
        return self._lookup

    def _has_changed(self, template: MakoTemplate) -> bool:
        seen = {} if self._lookup is None else dict(self._lookup.seen)
        parts = seen if template.parts is None else template.parts
        return any(seen[part].has_changed() for part in parts if part in seen)


def _calls_awaited(template: Any) -> bool:
    """Return whether a function of the compiled *template* looks up `awaited`."""
    return any("awaited" in f.__code__.co_consts for f in vars(template.module).values() if inspect.isfunction(f))


def _awaited(value: object) -> object:
    """Await *value* in the loop and return its result; for templates, which then run in a worker thread."""
    return run_in_loop(_await(value))


async def _await(value: Any) -> Any:
    return await value


class _JoiningBuffer:
    """An output buffer that joins its parts a slice at a time, for the reason given in `cooperative._slices`."""

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._parts: list[str] = []

    def write(self, text: str) -> None:
        """Append *text* to the page."""
        self._parts.append(text)
        if len(self._parts) >= SLICE_PARTS:
            self._whole.append("".join(self._parts).encode())
            self._parts.clear()
            time.sleep(0)  # releases the GIL to the loop's thread at once, not after the switch interval

    def page(self) -> bytes:
        """Return the whole page."""
        return b"".join([*self._whole, "".join(self._parts).encode()])


class _WatchedLookup(TemplateLookup):  # type: ignore[misc]  # Mako is untyped
    """A lookup that records the state of each file before reading it."""

    is_checking = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: dict[str, FileWatch] = {}

    def _load(self, filename: str, uri: str) -> object:
        if self.is_checking:
            self.seen[uri] = FileWatch([Path(filename)])
        return super()._load(filename, uri)


def _references(template: Any) -> Iterator[tuple[type, str]]:
    """Yield the tags of *template* that reference files, with their `file` attribute."""
    waiting = [Lexer(template.source, template.filename, input_encoding="utf-8").parse()]
    while waiting:
        node = waiting.pop()
        if isinstance(node, InheritTag | IncludeTag | NamespaceTag) and "file" in node.attributes:
            yield type(node), str(node.attributes["file"])
        waiting.extend(node.get_children())


def _uri_in(error: Exception) -> str:
    found = re.search(r"uri '/?([^']*)'", str(error))
    return found[1] if found else ""


def _bytes(page: object) -> bytes:
    return page if isinstance(page, bytes) else str(page).encode()


__getattr__ = former_names(__name__)
