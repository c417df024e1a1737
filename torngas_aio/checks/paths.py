"""Dotted paths that settings name: each is imported once, and what it fails with is reported.

The default cache aliases are left alone unless sessions use them: their libraries need not be installed.
Begin with `path_faults`.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from torngas_aio import global_settings
from torngas_aio._importing import import_object
from torngas_aio._project_errors import cause_of, code_of, import_fault, install_hint, place_of
from torngas_aio.checks.kinds import BLAMED
from torngas_aio.checks.references import SESSION_MIDDLEWARE, uses
from torngas_aio.exception import Fault

__all__ = ["path_faults"]


def path_faults(values: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield one sentence for each dotted path that cannot be imported or names no class where one is wanted."""
    for path, target, wants_class in _targets(values):
        if isinstance(target, str):
            yield from (fault.with_(path=path) for fault in _faults_of(path, target, wants_class))


def _targets(values: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    for index, target in enumerate(values.get("MIDDLEWARE_CLASSES", ())):
        yield f"MIDDLEWARE_CLASSES[{index}]", target, True
    for index, target in enumerate(values.get("COMMON_MODULES", ())):
        yield f"COMMON_MODULES[{index}]", target, True
    for key, modules in values.get("ROUTE_MODULES", {}).items():
        for index, target in enumerate(() if modules is BLAMED else modules):
            if not (isinstance(target, str) and target.startswith("!")):
                yield f"ROUTE_MODULES[{key!r}][{index}]", target, True
    yield from _cache_targets(values)
    for name in ("default_handler_class", "static_handler_class"):
        yield f"TORNADO_CONF[{name!r}]", values.get("TORNADO_CONF", {}).get(name), True
    yield "TEMPLATE_CONFIG['template_engine']", values.get("TEMPLATE_CONFIG", {}).get("template_engine"), True


def _cache_targets(values: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    session_alias = None
    if uses(values, SESSION_MIDDLEWARE):
        session_alias = values.get("SESSION", {}).get("session_cache_alias")
    for alias, entry in values.get("CACHES", {}).items():
        if entry is not BLAMED and (entry != global_settings.CACHES.get(alias) or alias == session_alias):
            yield f"CACHES[{alias!r}]['BACKEND']", entry["BACKEND"], True
            yield f"CACHES[{alias!r}]['KEY_FUNCTION']", entry.get("KEY_FUNCTION"), False


def _faults_of(path: str, target: str, wants_class: bool) -> Iterator[Fault]:
    if "." not in target:
        yield Fault(
            f"{path} = {target!r}: write the full dotted path, such as 'package.module.{target}'.", target=target
        )
        return
    try:
        found = import_object(target)
    except Exception as exc:  # noqa: BLE001  # the project's own code runs here
        yield _fault_of(exc, path, target)
    else:
        if wants_class and not inspect.isclass(found):
            yield Fault(f"{path} = {target!r}: this is a {type(found).__name__}, a class is wanted.", target=target)


def _fault_of(error: Exception, path: str, target: str) -> Fault:
    """The fault for *error* of an import: the project's line first, where the project's code raised it."""
    hint = "Check the spelling, and that the project's directory is on sys.path."
    if place_of(error):
        return import_fault(error, path, target, hint)
    if isinstance(error, ImportError):
        reason = str(error).removeprefix(f"{target!r}: ").removesuffix(".")
        text = f"{reason}. {install_hint(error, target) or hint}"
    else:
        text = f"importing it raised {type(error).__name__}: {error}"
    return Fault(
        f"{path} = {target!r}: {text}", code=code_of(error, target), cause=cause_of(error, target), target=target
    )
