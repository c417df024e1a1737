"""Tornado's template engine.

    file ─► tornado.template (parses, generates Python) ─► one function ─► called with the values as globals

A template with `{{ await something() }}` becomes a coroutine function. Objects with an `__html__` method, such as the
result of `xsrf_form_html()`, are not escaped again.
"""

import ast
import builtins
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, cast

from markupsafe import escape as markup_escape
from tornado import escape, template

from torngas_aio._compat.tornado import block_source
from torngas_aio.exception import ArgumentError, TemplateSyntaxError
from torngas_aio.template import base
from torngas_aio.template._tornado_code import as_parts, in_short, template_line, with_await
from torngas_aio.template.base import refuse_unknown
from torngas_aio.template.cooperative import CooperativeTemplate
from torngas_aio.template.loading import FileWatch, not_found, safe_name
from torngas_aio.template.values import await_values

__all__ = ["TornadoTemplate", "TornadoTemplateLoader"]


class TornadoTemplate(CooperativeTemplate, template.Template):
    """A compiled template of Tornado's language.

    Raises:
        TemplateSyntaxError: The source does not parse.
    """

    def __init__(self, source: bytes, name: str, loader: "TornadoTemplateLoader") -> None:
        self.offload_bytes = loader.offload_bytes
        self.code = ""
        try:
            template.Template.__init__(self, source, name=name, loader=loader)
        except template.ParseError as exc:
            raise TemplateSyntaxError(exc.message, str(loader.path_of(exc.filename or name)), exc.lineno) from exc
        except RecursionError as exc:
            raise TemplateSyntaxError("it extends or includes itself", str(loader.path_of(name)), 1) from exc
        except SyntaxError as exc:
            if isinstance(exc, TemplateSyntaxError):  # from a parent or an included file
                raise
            where, line = template_line(self.code, exc.lineno or 0) or (name, 0)
            raise TemplateSyntaxError(exc.msg, str(loader.path_of(where)), line, exc.text) from exc
        # PERF: one call for each value: 84 instead of 103 us for a page of 20 rows (benchmarks/templates.py).
        self._is_short = "xhtml_escape" not in loader.namespace
        self._execute = self._compile(self.code)
        self.names = _names_in(self._execute)
        self.is_sync = not self._execute.co_flags & _COROUTINE
        self._blocks: dict[str, tuple[CodeType, str]] = {}
        self._base = self._constant_names(loader)

    async def render_block(self, name: str, values: Mapping[str, object]) -> bytes:
        compiled = self._blocks.get(name)
        if compiled is None:
            compiled = self._blocks[name] = self._compile_block(name)
        code, source = compiled
        return await self._join(self._call(code, await await_values(values), _Source(source)))

    def _parts(self, values: Mapping[str, object]) -> Any:
        return self._call(self._execute, values)

    def _call(self, code: CodeType, values: Mapping[str, object], source: object = None) -> Any:
        # PERF: creates a function from the compiled body instead of running the whole module for each page.
        names = {**self._base, **values}
        if source is not None:
            names["__loader__"] = source
        return FunctionType(code, names)()

    @property
    def _filename(self) -> str:
        return f"{self.name.replace('.', '_')}.generated.py"

    def _generate_python(self, loader: template.BaseLoader | None) -> str:
        self.code = with_await(super()._generate_python(loader))
        return self.code

    def _compile_block(self, name: str) -> tuple[CodeType, str]:
        source, known = block_source(self, self._loader, name)
        if name not in known:
            raise ArgumentError(f"Template {self.name!r} has no block {name!r}; it has: {', '.join(known) or 'none'}.")
        code = with_await(source)
        return self._compile(code), code

    def _compile(self, code: str) -> CodeType:
        tree = as_parts(in_short(code) if self._is_short else ast.parse(code))
        return _function_code(compile(tree, self._filename, "exec", dont_inherit=True))

    def _constant_names(self, loader: "TornadoTemplateLoader") -> dict[str, object]:
        self._loader = loader
        return {
            "escape": _escape,
            "xhtml_escape": _escape,
            "url_escape": escape.url_escape,
            "json_encode": escape.json_encode,
            "squeeze": escape.squeeze,
            "linkify": escape.linkify,
            "datetime": dt,
            "_tt_utf8": _utf8,
            "_tt_escaped": _escaped,
            "_tt_raw": _raw,
            "_tt_string_types": (str, bytes),
            # C code such as `datetime.strftime` imports modules through the caller's globals.
            "__builtins__": vars(builtins),
            "__name__": self.name.replace(".", "_"),
            "_tt_path_of": loader.path_of,
            # The traceback module and the debug page find the generated lines through this.
            "__loader__": _Source(self.code),
            **loader.namespace,
        }


class _Source:
    """The `__loader__` of a compiled template, from which `linecache` gets the generated lines."""

    __slots__ = ("_code",)

    def __init__(self, code: str) -> None:
        self._code = code

    def get_source(self, _name: str) -> str:
        """Return the generated Python."""
        return self._code


class TornadoTemplateLoader(template.Loader, base.TemplateLoader):
    """A loader of templates in Tornado's language from one directory.

    Args:
        template_path: The template directory.
        autoescape: True: `xhtml_escape`; False or None: no escaping; or the name of a function.
        filesystem_checks: Check at each load whether files have changed.
        whitespace: `all`, `single` or `oneline`; default: by file type.
        namespace: Names available in all templates, besides the handler's.
        offload_bytes: Page size in bytes from which a template is rendered in a worker thread.
    """

    def __init__(self, template_path: str, **options: Any) -> None:
        refuse_unknown(options, ("whitespace", "namespace"), "Tornado")
        self.offload_bytes = base.take_offload_bytes(options)
        self._is_checking = bool(options.get("filesystem_checks", False))
        self._watches: dict[str, FileWatch] = {}
        self._open: list[set[str]] = []
        self._referrer: str | None = None  # the template that references the one being loaded
        autoescape = options.get("autoescape", True)
        if isinstance(autoescape, bool):
            autoescape = "xhtml_escape" if autoescape else None
        self.root = template_path  # not made absolute: that accesses the disk, and loaders are created in the loop
        template.BaseLoader.__init__(
            self,
            autoescape=autoescape,
            whitespace=options.get("whitespace"),
            namespace=options.get("namespace"),
        )

    def load(self, name: str, parent_path: str | None = None) -> TornadoTemplate:
        name = safe_name(name, parent_path)
        with self.lock:
            if self._is_checking and not self._open and name in self._watches and self._watches[name].has_changed():
                self.reset()
            for names in self._open:
                names.add(name)
            self._referrer = parent_path
            return cast("TornadoTemplate", super().load(name))

    def reset(self) -> None:
        self._fetched = {}
        with self.lock:
            super().reset()
            self._watches = {}

    def path_of(self, name: str) -> Path:
        """Return the file of the template *name*."""
        return Path(self.root, name)

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:
        return safe_name(name, parent_path)

    def _create_template(self, name: str) -> TornadoTemplate:
        path = self.path_of(name)
        self._open.append({name})
        try:
            try:
                source = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
                raise not_found(name, self.root, self._referrer or name) from exc
            watch_from = FileWatch([path])  # before compiling, so that a change during it is detected
            made = TornadoTemplate(source, name, self)
        finally:
            names = self._open.pop()
        if self._is_checking:
            names.discard(name)
            self._watches[name] = watch_from + FileWatch(self.path_of(other) for other in names)
        return made


class _Safe(bytes):
    """HTML in UTF-8, which must not be escaped again."""


def _utf8(value: str | bytes | None) -> bytes | None:
    if isinstance(value, str):
        return _Safe(value.encode()) if hasattr(value, "__html__") else value.encode()
    return escape.utf8(value)


def _escape(value: str | bytes) -> str | bytes:
    """Escape *value* for HTML text and attributes, unless it is HTML already."""
    if isinstance(value, _Safe):
        return value
    return str(markup_escape(escape.to_unicode(value)))


def _escaped(value: object) -> bytes:
    """Return any value as escaped UTF-8."""
    return markup_escape(value.decode() if isinstance(value, bytes) else value).encode()


def _raw(value: object) -> bytes:
    """Return any value as UTF-8."""
    return value if isinstance(value, bytes) else str(value).encode()


_COROUTINE = 0x80 | 0x200  # inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _function_code(module: CodeType) -> CodeType:
    return next(code for code in module.co_consts if isinstance(code, CodeType) and code.co_name == "_tt_execute")


def _names_in(code: CodeType) -> frozenset[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return frozenset(code.co_names).union(*map(_names_in, inner))
