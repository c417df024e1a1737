"""The contract of a template engine.

    create_loader(TEMPLATE_CONFIG, path) ─► TemplateLoader ── load(name) ─► Template
                                                                             ├── await render(values)
                                                                             ├── await render_block(name, values)
                                                                             ├── async for part in stream(values)
                                                                             └── generate(**values)   without a loop

If the last page of a template was larger than `offload_bytes`, the next one is rendered in a worker thread, so as not
to block the loop. All engines await awaitable values before rendering.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from torngas_aio._concurrency import run_in_thread
from torngas_aio._names import did_you_mean, import_object
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.template.values import await_values, awaitable_names, has_awaitables

__all__ = [
    "DEFAULT_OFFLOAD_BYTES",
    "SHARED",
    "STREAM_BYTES",
    "PageMaker",
    "Template",
    "TemplateLoader",
    "adapted",
    "create_loader",
    "parts_of",
    "refuse_unknown",
]


DEFAULT_OFFLOAD_BYTES = 256 * 1024
"""Page size from which templates are rendered in a thread: 10 ms of work or more on one core of a small server."""

STREAM_BYTES = 16 * 1024
"""Approximate size of one part of a streamed page."""

PageMaker = Callable[[], Awaitable[bytes]]


class Template(ABC):
    """One compiled template, shared by all requests and therefore without request state.

    Attributes:
        name: Path relative to the template directory, with forward slashes.
        names: All names that the template may look up, so that other values need not be computed; None if they are
            unknown before it runs.
        is_sync: Whether the template contains no await; `generate` then returns the same as `render`.
    """

    name: str
    names: frozenset[str] | None = None
    is_sync: bool = True
    offload_bytes: int = DEFAULT_OFFLOAD_BYTES
    _last_bytes: int = 0

    @abstractmethod
    def generate(self, **values: Any) -> bytes:
        """Return the page, rendered synchronously; for code that cannot await.

        Raises:
            ArgumentError: A value, or an expression in the template, must be awaited.
        """

    async def render(self, values: Mapping[str, object]) -> bytes:
        """Return the page as UTF-8; awaitable values are awaited first, in order.

        Large pages are rendered in a worker thread, in a copy of the caller's context; a cancelled caller waits for the
        thread. Exceptions of the template propagate unchanged.
        """
        if has_awaitables(values):
            values = await await_values(values)
        page = await self._render(values)
        self._last_bytes = len(page)
        return page

    def begin(self, values: Mapping[str, object]) -> bytes | PageMaker:
        """Return the page if it can be rendered synchronously without blocking the loop for long.

        Otherwise return a function that renders the page, or the rest of it; call it once and await the result.
        """
        if not self.is_sync or self.is_heavy or has_awaitables(values):
            return partial(self.render, values)
        page = self._make(values)
        self._last_bytes = len(page)
        return page

    @abstractmethod
    async def render_block(self, name: str, values: Mapping[str, object]) -> bytes:
        """Return one named block (Mako: block or def) without the rest of the page.

        Raises:
            ArgumentError: Neither the template nor one of its parents has such a block.
        """

    async def stream(self, values: Mapping[str, object]) -> AsyncIterator[bytes]:
        """Yield the page in parts of about 16 KiB; the loop runs between them.

        Engines that cannot pause render the whole page first.
        """
        page = await self.render(values)
        for part in parts_of(page):
            yield part

    @property
    def is_heavy(self) -> bool:
        """Whether the last page was so large that `render` uses a worker thread."""
        return self._last_bytes >= self.offload_bytes

    async def _render(self, values: Mapping[str, object]) -> bytes:
        if self.is_heavy:
            return await run_in_thread(self._make, values)
        return self._make(values)

    @abstractmethod
    def _make(self, values: Mapping[str, object]) -> bytes:
        """Return the page, from values without awaitables; may run in a worker thread."""

    def _refuse_awaitables(self, values: Mapping[str, object]) -> None:
        if names := awaitable_names(values):
            raise ArgumentError(
                f"Template {self.name!r} was given values that must be awaited ({', '.join(map(repr, names))}). "
                "Await them first, or use `await template.render(...)`."
            )


class TemplateLoader(ABC):
    """A loader and cache of the compiled templates of one directory; compatible with Tornado's `BaseLoader`.

    Attributes:
        check_seconds: Interval between checks for changed files; infinite if `filesystem_checks` is off, 0 with
            DEBUG on.
    """

    check_seconds: float = 1.0
    _fetched: Mapping[str, tuple[Template, float]] = MappingProxyType({})
    _due: frozenset[str] = frozenset()  # names that `fetch` must check on disk

    def find(self, name: str) -> Template | None:
        """Return the template *name* from memory; None if the caller must `fetch` it.

        After `check_seconds` only one caller gets None; until it has fetched the template, others get the old one.
        """
        kept = self._fetched.get(name)
        if kept is None:
            return None
        now = time.monotonic()
        if now < kept[1]:
            return kept[0]
        self._keep(name, kept[0], now)
        self._due |= {name}
        return None

    async def fetch(self, name: str) -> Template:
        """Return the template *name*; if needed, load it in a worker thread. Raises the same as `load`."""
        found = None if name in self._due else self.find(name)
        self._due -= {name}
        if found is None:
            found = await run_in_thread(self.load, name)
            self._keep(name, found, time.monotonic())
        return found

    def _keep(self, name: str, template: Template, now: float) -> None:
        self._fetched = {**self._fetched, name: (template, now + self.check_seconds)}

    @abstractmethod
    def load(self, name: str, parent_path: str | None = None) -> Template:
        """Return the template *name*, compiling it if necessary.

        Args:
            name: Path relative to the template directory, or to the folder of *parent_path*.

        Raises:
            TemplateNotFound: There is no such file, or the name leads out of the template directory.
            TemplateSyntaxError: The file does not parse; the message names file and line.
        """

    @abstractmethod
    def reset(self) -> None:
        """Remove all compiled templates from memory."""


def parts_of(page: bytes) -> Iterator[bytes]:
    """Cut *page* into parts of `STREAM_BYTES`."""
    view = memoryview(page)
    for start in range(0, len(page), STREAM_BYTES):
        yield bytes(view[start : start + STREAM_BYTES])


def take_offload_bytes(options: dict[str, object]) -> int:
    """Remove `offload_bytes` from a loader's *options* and return it.

    Raises:
        ConfigError: The value is not a size in bytes.
    """
    size = options.pop("offload_bytes", DEFAULT_OFFLOAD_BYTES)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ConfigError(
            f"TEMPLATE_CONFIG['offload_bytes'] = {size!r}: a number of bytes was wanted, "
            f"such as {DEFAULT_OFFLOAD_BYTES}.",
            code="TGA601",
        )
    return size


def adapted(loader: object) -> TemplateLoader:
    """Return *loader* itself if it is a `TemplateLoader`, else an adapter for it."""
    return loader if isinstance(loader, TemplateLoader) else _ForeignLoader(loader)


class _ForeignLoader(TemplateLoader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def load(self, name: str, parent_path: str | None = None) -> Template:
        return _ForeignTemplate(name, self._loader.load(name))

    def reset(self) -> None:
        self._fetched = {}
        self._loader.reset()


class _ForeignTemplate(Template):
    def __init__(self, name: str, template: Any) -> None:
        self.name = name
        self._template = template

    def generate(self, **values: Any) -> bytes:
        self._refuse_awaitables(values)
        return self._make(values)

    async def render_block(self, name: str, values: Mapping[str, object]) -> bytes:
        raise ArgumentError(f"{self.name!r} comes from a plain Tornado loader, which knows no blocks by name.")

    def _make(self, values: Mapping[str, object]) -> bytes:
        page = self._template.generate(**values)
        return page if isinstance(page, bytes) else str(page).encode()


SHARED = frozenset(
    {
        "autoescape", "cache_directory", "cache_size", "collection_size", "filesystem_checks", "format_exceptions",
        "offload_bytes",
    }
)  # fmt: skip
"""Options that TEMPLATE_CONFIG of torngas 1.8 has for any engine; each engine uses some of them."""


def refuse_unknown(options: Mapping[str, object], known: Iterable[str], engine: str) -> None:
    """Raise if *options* contains keys that are neither in *known* nor in SHARED.

    Raises:
        ConfigError: Lists all such keys, each with the most similar known one.
    """
    allowed = SHARED | frozenset(known)
    faults: list[str] = []
    for name in options:
        if name not in allowed:
            hint = did_you_mean(name, sorted(allowed), f" It knows {', '.join(sorted(allowed))}.")
            faults.append(f"TEMPLATE_CONFIG[{name!r}]: the {engine} engine has no such option.{hint}")
    ConfigError.gather(faults, code="TGA102")


_TORNADO = "torngas_aio.template.tornado_loader.TornadoTemplateLoader"


def create_loader(config: Mapping[str, object], template_path: str, *, debug: bool = False) -> TemplateLoader:
    """Return the loader configured by *config* (TEMPLATE_CONFIG) for *template_path*.

    Args:
        config: `template_engine` is the dotted path of a loader class, in short `template.jinja2_loader...`, or None
            for Tornado's; every other key is an option of the engine.
        debug: Check for changed files regardless of `filesystem_checks`.

    Raises:
        ConfigError: The engine does not exist, its library is not installed, or an option is unknown.
    """
    options = dict(config)
    path = options.pop("template_engine", None) or _TORNADO
    if debug:
        options["filesystem_checks"] = True
    kind = _engine(path) if isinstance(path, str) else path
    if not isinstance(kind, type):
        raise ConfigError(f"TEMPLATE_CONFIG['template_engine'] = {path!r}: a loader class was wanted.", code="TGA601")
    loader: TemplateLoader = kind(template_path, **options)
    if debug:
        loader.check_seconds = 0.0
    elif not options.get("filesystem_checks", False):
        loader.check_seconds = math.inf
    return loader


def _engine(path: str) -> object:
    # torngas 1.8 allows the path with and without the package name.
    full = f"torngas_aio.{path}" if path.startswith("template.") else path
    try:
        return import_object(full)
    except ImportError as exc:
        extra = " Install it: pip install 'torngas-aio[mako]'." if getattr(exc, "name", "") == "mako" else ""
        raise ConfigError(
            f"TEMPLATE_CONFIG['template_engine'] = {path!r}: {exc}.{extra} Write None for Tornado's engine, "
            "'torngas_aio.template.jinja2_loader.Jinja2TemplateLoader' or "
            "'torngas_aio.template.mako_loader.MakoTemplateLoader'.",
            code="TGA601",
        ) from exc
