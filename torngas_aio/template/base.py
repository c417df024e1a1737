"""The contract of a template engine.

    create_loader(TEMPLATE_CONFIG, path) ─► TemplateLoader ── load(name) ─► Template
                                                                             ├── await render(values)
                                                                             ├── await render_block(name, values)
                                                                             ├── async for part in stream(values)
                                                                             └── generate(**values)   without a loop

A page that came out larger than `offload_bytes` is made in a worker thread from then on, so that it does not
hold the loop. Values that can be awaited are awaited before the page is made, in every engine.
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
"""Pages of this size and more leave the loop; on one core of a small server they take 10 ms and more."""

STREAM_BYTES = 16 * 1024
"""Size of one part of a streamed page, more or less."""

PageMaker = Callable[[], Awaitable[bytes]]


class Template(ABC):
    """One compiled template; shared by every request, so it holds nothing of theirs.

    Attributes:
        name: As the loader knows it: relative to the template directory, with forward slashes.
        names: The names that the template may look up, None when that cannot be known before it runs. A
            superset, so that values that are not asked for need not be made.
        is_sync: Whether nothing in the template can await: `generate` then gives what `render` gives.
    """

    name: str
    names: frozenset[str] | None = None
    is_sync: bool = True
    offload_bytes: int = DEFAULT_OFFLOAD_BYTES
    _last_bytes: int = 0

    @abstractmethod
    def generate(self, **values: Any) -> bytes:
        """Return the page, made here and now; for code that cannot await.

        Raises:
            ArgumentError: A value, or something in the template, has to be waited for.
        """

    async def render(self, values: Mapping[str, object]) -> bytes:
        """Return the page as UTF-8; values that can be awaited are awaited first, in their order.

        Larger pages are made in a worker thread, in a copy of the caller's context; cancelling the caller
        waits for the thread. Errors of the template pass as they are.
        """
        if has_awaitables(values):
            values = await await_values(values)
        page = await self._render(values)
        self._last_bytes = len(page)
        return page

    def begin(self, values: Mapping[str, object]) -> bytes | PageMaker:
        """Return the page if it can be made at once, without waiting and without holding the loop for long.

        Otherwise return a function that makes the page, or what is left of it; call it once and await the result.
        """
        if not self.is_sync or self.is_heavy or has_awaitables(values):
            return partial(self.render, values)
        page = self._make(values)
        self._last_bytes = len(page)
        return page

    @abstractmethod
    async def render_block(self, name: str, values: Mapping[str, object]) -> bytes:
        """Return one named block (Mako: block or def) without the page around it.

        Raises:
            ArgumentError: Neither the template nor one of its parents has such a block.
        """

    async def stream(self, values: Mapping[str, object]) -> AsyncIterator[bytes]:
        """Give the page in parts of about 16 KiB, letting the loop run between them.

        Engines that cannot pause make the page first and hand it out in parts.
        """
        page = await self.render(values)
        for part in parts_of(page):
            yield part

    @property
    def is_heavy(self) -> bool:
        """Whether the page is so large that `render` makes it in a worker thread."""
        return self._last_bytes >= self.offload_bytes

    async def _render(self, values: Mapping[str, object]) -> bytes:
        if self.is_heavy:
            return await run_in_thread(self._make, values)
        return self._make(values)

    @abstractmethod
    def _make(self, values: Mapping[str, object]) -> bytes:
        """Return the page, with no value left to be awaited; may run in a worker thread."""

    def _refuse_awaitables(self, values: Mapping[str, object]) -> None:
        if names := awaitable_names(values):
            raise ArgumentError(
                f"Template {self.name!r} was given values that must be awaited ({', '.join(map(repr, names))}). "
                "Await them first, or use `await template.render(...)`."
            )


class TemplateLoader(ABC):
    """Finds, compiles and keeps templates of one directory; compatible with Tornado's `BaseLoader`.

    Attributes:
        check_seconds: For how long `find` trusts a template without looking at its files; infinite where
            `filesystem_checks` is off, 0 with DEBUG on.
    """

    check_seconds: float = 1.0
    _fetched: Mapping[str, tuple[Template, float]] = MappingProxyType({})
    _due: frozenset[str] = frozenset()  # what `find` has asked `fetch` to look after

    def find(self, name: str) -> Template | None:
        """Return the template *name* if it can be had without touching the disk; None: it is to be fetched.

        When its time is up, one caller is sent to fetch it; the others go on with what there is meanwhile.
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
        """Return the template *name*, read and compiled in a worker thread where need be; raises as `load`."""
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
        """Return the template *name*, compiled now or before.

        Args:
            name: Relative to the template directory; to *parent_path*'s folder when that is given.

        Raises:
            TemplateNotFound: No such file, or the name leads out of the template directory.
            TemplateSyntaxError: The file does not parse; file and line are in it.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget every compiled template."""


def parts_of(page: bytes) -> Iterator[bytes]:
    """Cut *page* into parts of `STREAM_BYTES`."""
    view = memoryview(page)
    for start in range(0, len(page), STREAM_BYTES):
        yield bytes(view[start : start + STREAM_BYTES])


def take_offload_bytes(options: dict[str, object]) -> int:
    """Take `offload_bytes` out of a loader's *options*.

    Raises:
        ConfigError: It is not a size.
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
    """Return *loader* itself if it keeps our contract, else a loader that does and asks it."""
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
"""What the TEMPLATE_CONFIG of torngas 1.8 holds whatever the engine; each engine takes its own part of it."""


def refuse_unknown(options: Mapping[str, object], known: Iterable[str], engine: str) -> None:
    """Raise when *options* holds a key that neither *engine* nor the shared part of TEMPLATE_CONFIG knows.

    Raises:
        ConfigError: All such keys, each with the nearest known one.
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
    """Return the loader that *config* (TEMPLATE_CONFIG) asks for, on *template_path*.

    Args:
        config: `template_engine` is the dotted path of a loader class, `template.jinja2_loader...` for short,
            or None for Tornado's; every other key is an option of the engine.
        debug: Look for changed files whatever `filesystem_checks` says.

    Raises:
        ConfigError: No such engine, its library is not installed, or it does not know an option.
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
    # The document and the settings of torngas 1.8 write the path with and without the package's name.
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
