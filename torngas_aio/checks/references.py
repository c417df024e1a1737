"""Checks of references in settings: to other settings (aliases, common modules, roles), and dotted paths.

Shapes have been checked before; absent values are skipped. Dotted paths are imported. The default cache aliases are
skipped unless sessions use them, since their libraries need not be installed.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from torngas_aio import global_settings
from torngas_aio._names import did_you_mean, import_object
from torngas_aio._project_errors import cause_of, code_of, import_fault, install_hint, place_of
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.utils.kinds import BLAMED, fault
from torngas_aio.utils.narrowing import is_list_or_tuple

__all__ = ["cautions_of", "imported", "path_faults", "reference_faults", "section", "uses"]

SESSION_MIDDLEWARE = "torngas_aio.middleware.session.SessionMiddleware"
DATABASE_MIDDLEWARE = "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware"
MODULE_MIDDLEWARE = "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware"
IN_PROCESS = ("localcache.LocMemCache", "dummy.DummyCache")


def reference_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each reference to something that does not exist."""
    if "default" not in values.get("CACHES", {"default": BLAMED}):
        yield "CACHES['default'] is missing: it is what `torngas_aio.cache.cache` opens. Add it."
    yield from _session_faults(values)
    yield from _module_faults(values)
    if not values.get("DATABASE_CONNECTION", BLAMED) and uses(values, DATABASE_MIDDLEWARE):
        yield (
            "DATABASE_CONNECTION is empty, but MIDDLEWARE_CLASSES has DBAlchemyMiddleware. "
            "Add a connection named 'default', or take the middleware out."
        )


def path_faults(values: Mapping[str, object]) -> Iterator[Fault]:
    """Yield a fault for each dotted path that cannot be imported or names an object of the wrong kind."""
    for path, target, wants_class in _targets(values):
        try:
            imported(path, target, wants_class=wants_class)
        except ConfigError as exc:
            yield from exc.faults


def imported(path: str, target: object, *, wants_class: bool = True) -> Any:
    """Return the object at the dotted path *target*, the value of the setting *path*; *target* itself if not a str.

    Args:
        wants_class: Whether it must be a class; else any callable.

    Raises:
        ConfigError: The path cannot be imported, or names an object of another kind.
    """
    if not isinstance(target, str):
        return target
    if "." not in target:
        text = f"write the full dotted path, such as 'package.module.{target}'."
        raise ConfigError(Fault(f"{path} = {target!r}: {text}", path=path, target=target), code="TGA104")
    try:
        found = import_object(target)
    except Exception as exc:  # importing runs the project's code
        raise ConfigError(_fault_of(exc, path, target).with_(path=path), code="TGA104") from exc
    if not (inspect.isclass(found) if wants_class else callable(found)):
        text = f"this is a {type(found).__name__}, a {'class' if wants_class else 'function'} is wanted."
        raise ConfigError(Fault(f"{path} = {target!r}: {text}", path=path, target=target), code="TGA104")
    return found


def cautions_of(values: Mapping[str, object], workers: int) -> Iterator[str]:
    """Yield warnings on valid but probably unintended settings; *workers* is the number of serving processes."""
    for name, ours in _NAMES_OF_DJANGO.items():
        if name in values:
            yield f"{name} is Django's setting and has no effect. Write {ours}; one of your own wants another name."
    modules = values.get("COMMON_MODULES") or values.get("ROUTE_MODULES")
    if modules and not uses(values, MODULE_MIDDLEWARE):
        yield (
            "COMMON_MODULES and ROUTE_MODULES have no effect: MIDDLEWARE_CLASSES lacks "
            f"{MODULE_MIDDLEWARE!r}. Add it, or empty both."
        )
    for name in ("template_path", "static_path"):
        folder = section(values, "TORNADO_CONF").get(name)
        if isinstance(folder, str) and not Path(folder).is_dir():
            yield f"TORNADO_CONF[{name!r}] = {folder!r}: there is no such folder. Make it, or name another."
    if not section(values, "TEMPLATE_CONFIG").get("autoescape", True):
        yield (
            "TEMPLATE_CONFIG['autoescape'] is off: what visitors typed stands in pages as HTML, scripts included. Set "
            "it to True, and mark what is HTML: `{% raw value %}` (Tornado), `|safe` (Jinja2), `| n` (Mako)."
        )
    alias = section(values, "SESSION").get("session_cache_alias", "")
    backend = str(section(section(values, "CACHES"), alias).get("BACKEND"))
    if workers > 1 and uses(values, SESSION_MIDDLEWARE) and backend.endswith(IN_PROCESS):
        yield (
            f"SESSION['session_cache_alias'] = {alias!r} keeps sessions inside one process, but {workers} workers "
            "are going to serve: visitors will lose theirs. Choose a cache that processes share."
        )


_NAMES_OF_DJANGO = {
    "DATABASES": "DATABASE_CONNECTION",
    "MIDDLEWARE": "MIDDLEWARE_CLASSES",
    "ROOT_URLCONF": "INSTALLED_APPS, packages with a `urls.py`",
    "STATICFILES_DIRS": "TORNADO_CONF['static_path']",
    "TEMPLATES": "TEMPLATE_CONFIG and TORNADO_CONF['template_path']",
}


def section(values: Mapping[str, object], name: str) -> Mapping[str, Any]:
    """Return the dict *name* in *values*, a setting or an entry of one; {} if it is not a dict."""
    found = values.get(name)
    return cast(Mapping[str, Any], found) if isinstance(found, Mapping) else {}


def uses(values: Mapping[str, object], middleware: str) -> bool:
    """Return whether MIDDLEWARE_CLASSES contains *middleware*, as a dotted path or as the class."""
    entries = values.get("MIDDLEWARE_CLASSES")
    return is_list_or_tuple(entries) and middleware in _paths_of(entries)


def _paths_of(entries: Iterable[Any]) -> set[str]:
    """Return the dotted paths of *entries*, which are strings or classes."""
    return {
        entry if isinstance(entry, str) else f"{entry.__module__}.{entry.__qualname__}"
        for entry in entries
        if entry is not BLAMED
    }


def _session_faults(values: Mapping[str, Any]) -> Iterator[str]:
    alias = values.get("SESSION", {"session_cache_alias": BLAMED}).get("session_cache_alias")
    caches = values.get("CACHES", {alias: BLAMED})
    if alias is not BLAMED and alias not in caches and uses(values, SESSION_MIDDLEWARE):
        yield fault("SESSION['session_cache_alias']", alias, f"no such alias.{_choice(alias, caches)}")


def _module_faults(values: Mapping[str, Any]) -> Iterator[str]:
    common = _paths_of(values.get("COMMON_MODULES", ()))
    for path, module in _route_modules(values):
        if not isinstance(module, str):
            if not callable(module):
                yield fault(path, module, "must be a full dotted path or a class.")
        elif module.startswith("!") and module != "!all" and module[1:] not in common:
            yield fault(path, module, f"COMMON_MODULES has no {module[1:]!r}.{_choice(module[1:], common)}")


def _route_modules(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, modules in section(values, "ROUTE_MODULES").items():
        for index, module in enumerate(() if modules is BLAMED else modules):
            yield f"ROUTE_MODULES[{key!r}][{index}]", module


def _choice(wrong: str, known: Any) -> str:
    listed = f" Known are {', '.join(map(repr, sorted(known)))}." if known else " It is empty."
    return did_you_mean(wrong, known, listed)


def _targets(values: Mapping[str, Any]) -> Iterator[tuple[str, object, bool]]:
    for name in ("MIDDLEWARE_CLASSES", "COMMON_MODULES"):
        for index, target in enumerate(values.get(name, ())):
            yield f"{name}[{index}]", target, True
    for path, target in _route_modules(values):
        if not (isinstance(target, str) and target.startswith("!")):
            yield path, target, True
    yield from _cache_targets(values)
    for name in ("default_handler_class", "static_handler_class"):
        yield f"TORNADO_CONF[{name!r}]", section(values, "TORNADO_CONF").get(name), True
    for name in ("load_user", "has_permission"):
        yield f"AUTH[{name!r}]", section(values, "AUTH").get(name), False
    yield "OPENAPI_GUARD", values.get("OPENAPI_GUARD"), False
    yield "TEMPLATE_CONFIG['template_engine']", section(values, "TEMPLATE_CONFIG").get("template_engine"), True


def _cache_targets(values: Mapping[str, object]) -> Iterator[tuple[str, object, bool]]:
    session_alias = None
    if uses(values, SESSION_MIDDLEWARE):
        session_alias = section(values, "SESSION").get("session_cache_alias")
    for alias, entry in section(values, "CACHES").items():
        if entry is not BLAMED and (entry != global_settings.CACHES.get(alias) or alias == session_alias):
            yield f"CACHES[{alias!r}]['BACKEND']", entry["BACKEND"], True
            yield f"CACHES[{alias!r}]['KEY_FUNCTION']", entry.get("KEY_FUNCTION"), False


def _fault_of(error: Exception, path: str, target: str) -> Fault:
    """Return the fault for *error* of an import; it starts with the project's line if the project's code raised it."""
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
