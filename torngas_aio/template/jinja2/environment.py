"""The two Jinja2 environments of one loader: the guarded one, which never awaits, and the other.

They share templates and options; their compiled code differs and is kept apart.
Begin with `environments`.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.bccache import BytecodeCache

from torngas_aio._importing import import_object
from torngas_aio.exception import ConfigError
from torngas_aio.template.jinja2.guards import GuardedContext, guarded, guarded_filters
from torngas_aio.template.loading import FileWatch, private_directory

__all__ = ["ENGINE_OPTIONS", "OUR_OPTIONS", "WatchedFiles", "environments", "object_of"]

ENGINE_OPTIONS = (
    "block_start_string", "block_end_string", "variable_start_string", "variable_end_string", "comment_start_string",
    "comment_end_string", "line_statement_prefix", "line_comment_prefix", "trim_blocks", "lstrip_blocks",
    "newline_sequence", "keep_trailing_newline", "extensions", "optimized", "undefined", "finalize", "autoescape",
)  # fmt: skip
"""Handed to `jinja2.Environment` as they are."""

OUR_OPTIONS = ("auto_reload", "bytecode_cache", "enable_async", "filters", "globals", "loader", "policies", "tests")

_DICT_ATTRIBUTES = frozenset(dir(dict))


def environments(
    files: jinja2.BaseLoader, options: Mapping[str, Any], *, may_await: bool
) -> tuple[jinja2.Environment, jinja2.Environment]:
    """Return the environment that never awaits and the one that may; one and the same without `enable_async`.

    Nothing is read or written by this: loaders are made in the loop.
    """
    if not may_await:
        only = _made(_Environment, files, options, is_async=False)
        return only, only
    return (
        _made(_GuardedEnvironment, files, options, is_async=False),
        _made(_Environment, files, options, is_async=True),
    )


class WatchedFiles(jinja2.FileSystemLoader):
    """Reads templates, and remembers in what state each file was just before.

    Attributes:
        seen: By template name; to be cleared together with the environments' caches.
    """

    def __init__(self, root: Path, *, is_checking: bool) -> None:
        super().__init__(os.fspath(root))
        self._root = root
        self._is_checking = is_checking
        self.seen: dict[str, FileWatch] = {}

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        watch = FileWatch([self._root / template]) if self._is_checking else None
        source, path, _ = super().get_source(environment, template)
        if watch is not None:
            self.seen[template] = watch
        return source, path, _always


def _always() -> bool:
    return True  # whether a file has changed is asked of `seen`, in a worker thread


class _Environment(jinja2.Environment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        # PERF: `row.name` of a dict without the AttributeError on the way: 50 instead of 91 us for a page of 20 dicts
        # (benchmarks/templates.py). What follows is what Jinja2 does, called from here it would cost another frame.
        if type(obj) is not dict or attribute in _DICT_ATTRIBUTES:
            try:
                return getattr(obj, attribute)
            except AttributeError:
                pass
        try:
            return obj[attribute]
        except (TypeError, LookupError, AttributeError):
            return self.undefined(obj=obj, name=attribute)


class _GuardedEnvironment(_Environment):
    context_class = GuardedContext

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(guarded(source), *args, **kwargs)


class _Apart(BytecodeCache):
    """A bytecode cache that keeps one environment's code under keys of its own.

    Args:
        make: Gives the cache itself when it is first used, in a worker thread; None where nothing can be kept.
    """

    def __init__(self, make: Callable[[], BytecodeCache | None], mark: str) -> None:
        self._make = make
        self._mark = mark

    @cached_property
    def _inner(self) -> BytecodeCache:
        return self._make() or _Nowhere()

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return self._inner.get_cache_key(f"{self._mark}:{name}", filename)

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        self._inner.load_bytecode(bucket)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        self._inner.dump_bytecode(bucket)

    def clear(self) -> None:
        self._inner.clear()


class _Nowhere(BytecodeCache):
    """Keeps nothing."""

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Leave *bucket* empty, so that the template is compiled."""

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Drop it."""


def _made(
    kind: type[jinja2.Environment], files: jinja2.BaseLoader, options: Mapping[str, Any], *, is_async: bool
) -> jinja2.Environment:
    given = {key: options[key] for key in ENGINE_OPTIONS if options.get(key) is not None}
    given.setdefault("autoescape", True)
    for key in ("undefined", "finalize", "autoescape"):
        if key in given:
            given[key] = object_of(key, given[key])
    made = kind(
        loader=files,
        auto_reload=not isinstance(files, WatchedFiles),  # a loader of the project's own says itself what is stale
        cache_size=0 if options.get("cache_size") == 0 else -1,  # bounded by the loader, which clears it as a whole
        enable_async=is_async,
        bytecode_cache=_bytecode_cache(options, f"{kind.__name__} {sorted(given.items())!r}"),
        **given,
    )
    for key, table in (("filters", made.filters), ("tests", made.tests)):
        for name, value in (options.get(key) or {}).items():
            table[name] = object_of(f"{key}.{name}", value)
    made.globals.update(options.get("globals") or {})
    made.policies.update(options.get("policies") or {})
    if kind is _GuardedEnvironment:
        made.filters = guarded_filters(made.filters)
    return made


def _bytecode_cache(options: Mapping[str, Any], made_with: str) -> BytecodeCache | None:
    given = object_of("bytecode_cache", options.get("bytecode_cache"))
    directory = options.get("cache_directory")
    if given is None and not directory:
        return None
    # Jinja2 asks for the source's checksum only; code made with other options, such as no autoescape, must not be
    # taken up again.
    mark = hashlib.sha256(made_with.encode()).hexdigest()[:16]
    return _Apart(lambda: given or _in_directory(directory), mark)


def _in_directory(directory: str | None) -> BytecodeCache | None:
    private = private_directory(directory)
    return None if private is None else jinja2.FileSystemBytecodeCache(private)


def object_of(option: str, value: Any) -> Any:
    """The object that an option means: itself, or what its dotted path names."""
    if not isinstance(value, str):
        return value
    try:
        return import_object(value)
    except ImportError as exc:
        raise ConfigError(
            f"TEMPLATE_CONFIG: {option} = {value!r}: {exc}. Write a full dotted path.", code="TGA601"
        ) from exc
