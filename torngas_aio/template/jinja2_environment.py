"""The Jinja2 environment configured by TEMPLATE_CONFIG."""

import hashlib
import os
from collections.abc import Callable, Mapping
from inspect import iscoroutine
from pathlib import Path
from typing import Any, TypeVar

import jinja2
from jinja2.runtime import Context

from torngas_aio._names import import_object
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.template.loading import FileWatch, private_directory
from torngas_aio.utils.narrowing import class_of, is_iterable

__all__ = ["ENGINE_OPTIONS", "OUR_OPTIONS", "WatchedFiles", "keep_bytecode", "make_environment", "resolve_object"]

ENGINE_OPTIONS = (
    "block_start_string", "block_end_string", "variable_start_string", "variable_end_string", "comment_start_string",
    "comment_end_string", "line_statement_prefix", "line_comment_prefix", "trim_blocks", "lstrip_blocks",
    "newline_sequence", "keep_trailing_newline", "extensions", "optimized", "undefined", "finalize", "autoescape",
)  # fmt: skip
"""Options passed to `jinja2.Environment` unchanged."""

OUR_OPTIONS = ("auto_reload", "bytecode_cache", "enable_async", "filters", "globals", "loader", "policies", "tests")

T = TypeVar("T")
_DICT_ATTRIBUTES = frozenset(dir(dict))


def make_environment(files: jinja2.BaseLoader, options: Mapping[str, Any]) -> jinja2.Environment:
    """Return the environment, without file access, since this runs in the loop.

    Raises:
        ConfigError: A dotted path among the options cannot be imported.
    """
    given = _engine_options(options)
    is_async = bool(options.get("enable_async", False))
    made = (_Environment if is_async else _SyncEnvironment)(
        loader=files,
        auto_reload=not isinstance(files, WatchedFiles),  # a project's loader reports changes itself
        cache_size=0 if options.get("cache_size") == 0 else -1,  # the loader bounds it and clears it as a whole
        enable_async=is_async,
        bytecode_cache=resolve_object("bytecode_cache", options.get("bytecode_cache")),
        **given,
    )
    for key in ("filters", "tests"):
        table: dict[str, object] = getattr(made, key)
        given_names: Mapping[str, object] = options.get(key) or {}
        for name, value in given_names.items():
            table[name] = resolve_object(f"{key}.{name}", value)
    names: dict[str, object] = vars(made)["globals"]
    names["awaited"] = _same  # Jinja2 awaits what a call returns: `awaited(user.awaitable_attrs.posts)`
    names.update(options.get("globals") or {})
    made.policies.update(options.get("policies") or {})
    return made


def _same(value: T) -> T:
    return value


def keep_bytecode(environment: jinja2.Environment, options: Mapping[str, Any]) -> None:
    """Store bytecode in `cache_directory`, unless the options name another bytecode cache; call in a thread.

    Raises:
        ConfigError: Other users may write to the directory.
    """
    directory = None if environment.bytecode_cache else private_directory(options.get("cache_directory"))
    if directory is not None:
        # The file name contains a hash of the options: Jinja2 compares only the source's checksum, and would use code
        # compiled with other options, such as without autoescape.
        made_with = f"{environment.is_async} {sorted(_engine_options(options).items())!r}"
        mark = hashlib.sha256(made_with.encode()).hexdigest()[:16]
        environment.bytecode_cache = jinja2.FileSystemBytecodeCache(directory, f"{mark}_%s.cache")


def resolve_object(option: str, value: object) -> Any:
    """Return *value* itself, or the object at a dotted path.

    Raises:
        ConfigError: The path cannot be imported.
    """
    if not isinstance(value, str):
        return value
    try:
        return import_object(value)
    except ImportError as exc:
        raise ConfigError(
            f"TEMPLATE_CONFIG: {option} = {value!r}: {exc}. Write a full dotted path.", code="TGA601"
        ) from exc


class WatchedFiles(jinja2.FileSystemLoader):
    """A file loader that records the state of each file before reading it.

    Attributes:
        seen: File states by template name; cleared together with the environment's cache.
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
    return True  # changes are detected through `seen`, in a worker thread


class _Environment(jinja2.Environment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        # PERF: `row.name` of a dict skips the AttributeError: 50 instead of 91 us for a page of 20 dicts
        # (benchmarks/templates.py). The rest is a copy of Jinja2's method, since `super()` would cost another frame.
        if class_of(obj) is not dict or attribute in _DICT_ATTRIBUTES:
            try:
                return getattr(obj, attribute)
            except AttributeError:
                pass
        try:
            return obj[attribute]
        except (TypeError, LookupError, AttributeError):
            return self.undefined(obj=obj, name=attribute)


class _SyncContext(Context):
    def call(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        value = super().call(func, *args, **kwargs)
        if iscoroutine(value):
            value.close()
            raise ArgumentError(
                f"Template {self.name!r} calls {getattr(func, '__qualname__', func)!r}, which must be awaited. "
                "Give its result to the template as a value, or set TEMPLATE_CONFIG['enable_async'] = True."
            )
        return value


class _SyncEnvironment(_Environment):
    context_class = _SyncContext


def _engine_options(options: Mapping[str, object]) -> dict[str, Any]:
    given = {key: options[key] for key in ENGINE_OPTIONS if options.get(key) is not None}
    given.setdefault("autoescape", True)
    for key in ("undefined", "finalize", "autoescape"):
        if key in given:
            given[key] = resolve_object(key, given[key])
    if "extensions" in given:
        given["extensions"] = _resolve_extensions(given["extensions"])
    return given


def _resolve_extensions(extensions: object) -> list[object]:
    if isinstance(extensions, str) or not is_iterable(extensions):
        raise ConfigError(
            f"TEMPLATE_CONFIG['extensions'] = {extensions!r}: a list of classes or dotted paths was wanted.",
            code="TGA601",
        )
    former = [each for each in extensions if each in _FORMER_EXTENSIONS]
    ConfigError.gather(
        (
            f"TEMPLATE_CONFIG['extensions'] names {each!r}: Jinja2 has had it built in since 2.9, and has no "
            "extension of this name any more. Take it out."
            for each in former
        ),
        code="TGA601",
    )
    return [resolve_object("extensions", each) for each in extensions]


_FORMER_EXTENSIONS = ("jinja2.ext.autoescape", "jinja2.ext.with_")
