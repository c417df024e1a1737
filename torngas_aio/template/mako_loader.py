"""Mako behind the house's contract.

    file ─► mako.lookup.TemplateLookup (compiles, keeps, checks) ─► render function ─► buffer

Mako's functions cannot pause, so a streamed page is made whole, in a worker thread, and handed out in parts.
Begin with `MakoTemplateLoader`.
"""

import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from mako.exceptions import CompileException, SyntaxException, TemplateLookupException
from mako.lookup import TemplateLookup

from torngas_aio.exception import ArgumentError, TemplateNotFound, TemplateSyntaxError
from torngas_aio.template import contract
from torngas_aio.template.cachedir import private_directory
from torngas_aio.template.options import refuse_unknown
from torngas_aio.template.paths import safe_name
from torngas_aio.template.values import awaited

__all__ = ["MakoTemplate", "MakoTemplateLoader"]

_ENGINE_OPTIONS = tuple(
    name
    for name in inspect.signature(TemplateLookup.__init__).parameters
    if name not in {"self", "directories", "module_directory", "filesystem_checks", "collection_size"}
)


class MakoTemplate(contract.Template):
    """A compiled Mako template.

    Its `names` are not known: `<%include>` and `<%inherit>` choose their file when the page is made.
    """

    def __init__(self, name: str, compiled: Any, offload_bytes: int) -> None:
        self.name = name
        self.compiled = compiled
        self.offload_bytes = offload_bytes

    def generate(self, **values: Any) -> bytes:
        self._refuse_awaitables(values)
        return self._make(values)

    async def render_block(self, name: str, values: Mapping[str, Any]) -> bytes:
        values = await awaited(values)
        known: set[str] = set()
        for template in self._lineage():
            if template.has_def(name):
                return _bytes(template.get_def(name).render_unicode(**values))
            known.update(template.list_defs())
        names = ", ".join(sorted(known - {"body"})) or "none"
        raise ArgumentError(f"Template {self.name!r} has no block or def {name!r}; it has: {names}.")

    async def stream(self, values: Mapping[str, Any]) -> AsyncIterator[bytes]:
        page = await anyio.to_thread.run_sync(partial(self._make, await awaited(values)))
        for part in contract.parts_of(page):
            yield part

    def _make(self, values: Mapping[str, Any]) -> bytes:
        return _bytes(self.compiled.render_unicode(**values))

    def _lineage(self) -> Iterator[Any]:
        """The template and its parents, as far as `<%inherit>` names them outright."""
        template = self.compiled
        while template is not None:
            yield template
            parent = _inherited(template)
            template = (
                None
                if parent is None
                else template.lookup.get_template(template.lookup.adjust_uri(parent, template.uri))
            )


class MakoTemplateLoader(contract.TemplateLoader):
    """Loads Mako templates from one directory.

    Args:
        template_path: The template directory.
        autoescape: True: every `${...}` passes the `h` filter; `| n` turns it off for one expression.
        filesystem_checks: Look at each load whether the file has changed.
        collection_size: Compiled templates held in memory; -1: all of them.
        cache_directory: Where compiled modules are kept between starts; None: nowhere.
        format_exceptions: Give Mako's own error page instead of raising. It shows source: never in production.
        offload_bytes: Pages that came out this large are made in a worker thread.
        options: Whatever else `mako.lookup.TemplateLookup` takes.
    """

    def __init__(self, template_path: str, **options: Any) -> None:
        refuse_unknown(options, (*_ENGINE_OPTIONS, "module_directory"), "Mako")
        self.root = Path(template_path).absolute()
        self.offload_bytes = contract.take_offload_bytes(options)
        given = {name: options[name] for name in _ENGINE_OPTIONS if name in options and name != "cache_dir"}
        if given.get("default_filters") is None:
            given["default_filters"] = ["h"] if options.get("autoescape", True) else ["str"]
        given.setdefault("input_encoding", "utf-8")
        self._given = dict(
            given,
            directories=[str(self.root)],
            module_directory=private_directory(options.get("module_directory") or options.get("cache_directory")),
            filesystem_checks=bool(options.get("filesystem_checks", False)),
            collection_size=options.get("collection_size") or -1,
        )
        self.reset()

    def load(self, name: str, parent_path: str | None = None) -> MakoTemplate:
        name = safe_name(name, parent_path)
        try:
            compiled = self.lookup.get_template(name)
        except TemplateLookupException as exc:
            raise TemplateNotFound(f"No template {name!r} in {self.root}.") from exc
        except (SyntaxException, CompileException) as exc:
            message = str(exc).partition(" in file ")[0]
            raise TemplateSyntaxError(message, exc.filename, exc.lineno, _line(exc.source, exc.lineno)) from exc
        found = self._templates.get(name)
        if found is None or found.compiled is not compiled:
            if len(self._templates) >= _MOST_TEMPLATES:
                self._templates.clear()
            found = self._templates[name] = MakoTemplate(name, compiled, self.offload_bytes)
        return found

    def reset(self) -> None:
        self._fetched = {}
        self.lookup = TemplateLookup(**self._given)
        self._templates: dict[str, MakoTemplate] = {}


_MOST_TEMPLATES = 1000


def _bytes(page: Any) -> bytes:
    return page if isinstance(page, bytes) else str(page).encode()


def _inherited(template: Any) -> str | None:
    """The file that `<%inherit>` names in *template*, None when it has none or makes the name up."""
    from mako.lexer import Lexer
    from mako.parsetree import InheritTag

    tree = Lexer(template.source, template.filename, input_encoding="utf-8").parse()
    for node in tree.get_children():
        if isinstance(node, InheritTag) and "${" not in node.attributes.get("file", "${"):
            return str(node.attributes["file"])
    return None


def _line(source: str | None, line: int) -> str:
    return "".join((source or "").splitlines()[line - 1 : line])
