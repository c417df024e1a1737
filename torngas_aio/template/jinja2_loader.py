"""Jinja2 as a template engine.

    file ─► jinja2.Environment (compiles, caches) ─► generator of parts ─► a page, in slices or as a stream

Templates are synchronous; with `enable_async` calls, filters and loops in them may await.
"""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes

from torngas_aio._former_names import former_names
from torngas_aio.exception import ArgumentError, TemplateSyntaxError
from torngas_aio.template import base
from torngas_aio.template.base import refuse_unknown
from torngas_aio.template.cooperative import CooperativeTemplate
from torngas_aio.template.jinja2_environment import (
    ENGINE_OPTIONS,
    OUR_OPTIONS,
    WatchedFiles,
    keep_bytecode,
    make_environment,
    resolve_object,
)
from torngas_aio.template.loading import not_found, safe_name
from torngas_aio.template.values import await_values

__all__ = ["Jinja2Template", "Jinja2TemplateLoader"]


class Jinja2Template(CooperativeTemplate):
    """A compiled Jinja2 template.

    Attributes:
        parts: The names of all templates that it references by constant name, including its own.
    """

    def __init__(self, loader: "Jinja2TemplateLoader", name: str) -> None:
        composition = _read_composition(name, loader.parse)
        self.name = name
        self.names = composition.names
        self.parts = composition.parts
        self.is_sync = not loader.environment.is_async
        self.offload_bytes = loader.offload_bytes
        if loader.is_compiling_always:  # compilation needs a thread
            self.offload_bytes, self._longest_slice = 0, math.inf
        self._environment = loader.environment
        self._lineage = composition.lineage
        # Referenced templates are compiled here, in the loading thread, and not while a page is rendered.
        for part in self.parts:
            self._environment.get_template(part)
        self._compiled = self._environment.get_template(name)

    async def render_block(self, name: str, values: Mapping[str, object]) -> bytes:
        return await self._join(self._block(name, await await_values(values)))

    def _parts(self, values: Mapping[str, object]) -> Any:
        template = self._compiled
        return template.root_render_func(template.new_context(values if isinstance(values, dict) else dict(values)))

    def _reraise(self) -> NoReturn:
        self._environment.handle_exception()

    def _block(self, name: str, values: Mapping[str, object]) -> Any:
        """Return the parts of the most derived version of the block; `super()` finds those of the parents."""
        context = self._compiled.new_context(dict(values))
        for parent in self._lineage[1:]:
            for key, block in self._environment.get_template(parent).blocks.items():
                context.blocks.setdefault(key, []).append(block)
        if name not in context.blocks:
            known = ", ".join(sorted(context.blocks)) or "none"
            raise ArgumentError(f"Template {self.name!r} has no block {name!r}; it has: {known}.")
        return context.blocks[name][0](context)


class Jinja2TemplateLoader(base.TemplateLoader):
    """A loader of Jinja2 templates from one directory.

    Args:
        template_path: The template directory.
        autoescape: True, False, or a function of the template's name.
        filesystem_checks: Check at each load whether files have changed; `auto_reload` is a synonym.
        cache_size: Maximum number of compiled templates in memory; -1: unlimited, 0: none.
        cache_directory: Directory for bytecode, which persists between starts; None: none.
        filters, tests: Functions to add, by name; each a function or its dotted path.
        globals: Values available in all templates.
        enable_async: Allow calls, filters and loops in templates to await; pages take about 1.4 times as long.
        offload_bytes: Page size in bytes from which a template is rendered in a worker thread.
        options: Other options of `jinja2.Environment`.
    """

    def __init__(self, template_path: str, **options: Any) -> None:
        refuse_unknown(options, (*ENGINE_OPTIONS, *OUR_OPTIONS), "Jinja2")
        self.root = Path(template_path)
        self.offload_bytes = base.take_offload_bytes(options)
        is_checking = bool(options.get("auto_reload", options.get("filesystem_checks", False)))
        self._most = options.get("cache_size", 400)
        self.is_compiling_always = self._most == 0
        self._lock = threading.RLock()
        self._templates: dict[str, Jinja2Template] = {}
        self._files = WatchedFiles(self.root, is_checking=is_checking)
        self.environment = make_environment(resolve_object("loader", options.get("loader")) or self._files, options)
        self._options = options
        self._is_ready = False

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
            if self.environment.cache is not None:
                self.environment.cache.clear()

    def parse(self, name: str) -> nodes.Template:
        """Return the syntax tree of the template *name*."""
        assert self.environment.loader is not None
        source, filename, _ = self.environment.loader.get_source(self.environment, name)
        return self.environment.parse(source, name, filename)

    def _has_changed(self, template: Jinja2Template) -> bool:
        """Return whether a file of *template* has changed; with references computed at run time, any loaded file."""
        seen = dict(self._files.seen)
        parts = seen if template.names is None else template.parts
        return any(seen[part].has_changed() for part in parts if part in seen)

    def _compile(self, name: str) -> Jinja2Template:
        if not self._is_ready:
            keep_bytecode(self.environment, self._options)
            self._is_ready = True
        try:
            made = Jinja2Template(self, name)
        except jinja2.TemplateSyntaxError as exc:
            text = (exc.source or "").splitlines()[exc.lineno - 1 : exc.lineno]
            file = None if exc.filename is None else str(self.root / exc.filename)
            raise TemplateSyntaxError(exc.message or "", file, exc.lineno, "".join(text)) from exc
        except jinja2.TemplateNotFound as exc:
            raise not_found(str(exc.name), self.root, name) from exc
        if self._most:
            self._templates[name] = made
        return made


@dataclass(frozen=True, slots=True)
class _Composition:
    """The composition of a template, from its syntax tree and those of all templates that it references.

    Attributes:
        names: All names that they look up; None if a reference is computed at run time.
        parts: The names of the templates, including its own.
        lineage: Its name and those of its parents, up to a parent computed at run time.
    """

    names: frozenset[str] | None
    parts: frozenset[str]
    lineage: tuple[str, ...]


def _read_composition(name: str, parse: Callable[[str], nodes.Template]) -> _Composition:
    names: set[str] = set()
    parents: dict[str, str] = {}
    always_extends: set[str] = set()  # templates whose `extends` is unconditional
    parts: dict[str, None] = {}
    waiting: list[str | None] = [name]
    is_dynamic = False
    while waiting:
        part = waiting.pop()
        is_dynamic = is_dynamic or part is None
        if part is None or part in parts:
            continue
        parts[part] = None
        tree = parse(part)
        names.update(_looked_up_names(tree))
        waiting += [_target_of(node) for node in tree.find_all(_REFERENCES)]
        extends = next(tree.find_all(nodes.Extends), None)
        if extends is not None and (target := _target_of(extends)) is not None:
            parents[part] = target
            if extends in tree.body:
                always_extends.add(part)
    lineage = [name]
    while (parent := parents.get(lineage[-1])) is not None and parent not in lineage:
        lineage.append(parent)
    if parent is not None and always_extends.issuperset(lineage):
        raise jinja2.TemplateSyntaxError(f"it extends itself: {' > '.join([*lineage, parent])}", 1, name, name)
    return _Composition(None if is_dynamic else frozenset(names), frozenset(parts), tuple(lineage))


_REFERENCES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def _target_of(node: Any) -> str | None:
    """Return the template that *node* references; None if it is computed at run time or may be missing."""
    target = node.template
    is_fixed = isinstance(target, nodes.Const) and not getattr(node, "ignore_missing", False)
    return target.value if is_fixed and isinstance(target.value, str) else None


def _looked_up_names(tree: nodes.Template) -> Iterator[str]:
    yield from (node.name for node in tree.find_all(nodes.Name))
    # Extensions look up names at run time: `{% trans %}` uses these.
    if next(tree.find_all((nodes.ExtensionAttribute, nodes.ImportedName)), None) is not None:
        yield from ("gettext", "ngettext", "pgettext")


__getattr__ = former_names(__name__)
