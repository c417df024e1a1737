"""Names that settings use of each other: aliases, common modules, roles.

Values have their shapes already; what is absent is not looked at. Begin with `reference_faults`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torngas_aio._suggest import did_you_mean
from torngas_aio.checks.kinds import BLAMED, fault

__all__ = ["cautions_of", "reference_faults", "uses"]

SESSION_MIDDLEWARE = "torngas_aio.middleware.session.SessionMiddleware"
DATABASE_MIDDLEWARE = "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware"
MODULE_MIDDLEWARE = "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware"
IN_PROCESS = ("localcache.LocMemCache", "dummy.DummyCache")


def reference_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each name that leads nowhere."""
    yield from _cache_faults(values)
    yield from _session_faults(values)
    yield from _module_faults(values)
    yield from _database_faults(values)


def cautions_of(values: Mapping[str, Any], workers: int) -> Iterator[str]:
    """Yield what will run but hardly as meant; *workers* is the number of serving processes."""
    modules = values.get("COMMON_MODULES") or values.get("ROUTE_MODULES")
    if modules and not uses(values, MODULE_MIDDLEWARE):
        yield (
            "COMMON_MODULES and ROUTE_MODULES have no effect: MIDDLEWARE_CLASSES lacks "
            f"{MODULE_MIDDLEWARE!r}. Add it, or empty both."
        )
    alias = (values.get("SESSION") or {}).get("session_cache_alias")
    backend = str((values.get("CACHES") or {}).get(alias, {}).get("BACKEND"))
    if workers > 1 and uses(values, SESSION_MIDDLEWARE) and backend.endswith(IN_PROCESS):
        yield (
            f"SESSION['session_cache_alias'] = {alias!r} keeps sessions inside one process, but {workers} workers "
            "are going to serve: visitors will lose theirs. Choose a cache that processes share."
        )


def uses(values: Mapping[str, Any], middleware: str) -> bool:
    """Whether MIDDLEWARE_CLASSES names *middleware*, by dotted path or as the class itself."""
    return middleware in _paths_of(values.get("MIDDLEWARE_CLASSES", ()))


def _paths_of(entries: Iterable[Any]) -> set[str]:
    """The dotted paths of *entries*: strings, or classes."""
    return {
        entry if isinstance(entry, str) else f"{entry.__module__}.{entry.__qualname__}"
        for entry in entries
        if entry is not BLAMED
    }


def _cache_faults(values: Mapping[str, Any]) -> Iterator[str]:
    if "CACHES" in values and "default" not in values["CACHES"]:
        yield "CACHES['default'] is missing: it is what `torngas_aio.cache.cache` opens. Add it."


def _session_faults(values: Mapping[str, Any]) -> Iterator[str]:
    session = values.get("SESSION", {})
    if session.get("samesite") == "None" and session.get("secure") is False:
        yield "SESSION['samesite'] = 'None': browsers want SESSION['secure'] = True with it. Set it, or use 'Lax'."
    alias = session.get("session_cache_alias")
    caches = values.get("CACHES", {alias: BLAMED})
    if alias is not BLAMED and alias not in caches and uses(values, SESSION_MIDDLEWARE):
        yield fault("SESSION['session_cache_alias']", alias, f"no such alias.{_choice(alias, caches)}")


def _module_faults(values: Mapping[str, Any]) -> Iterator[str]:
    common = _paths_of(values.get("COMMON_MODULES", ()))
    for key, modules in values.get("ROUTE_MODULES", {}).items():
        for index, module in enumerate(() if modules is BLAMED else modules):
            path = f"ROUTE_MODULES[{key!r}][{index}]"
            if not isinstance(module, str):
                if not callable(module):
                    yield fault(path, module, "must be a full dotted path or a class.")
            elif module.startswith("!") and module != "!all" and module[1:] not in common:
                yield fault(path, module, f"COMMON_MODULES has no {module[1:]!r}.{_choice(module[1:], common)}")


def _database_faults(values: Mapping[str, Any]) -> Iterator[str]:
    connections = values.get("DATABASE_CONNECTION")
    if connections is None:
        return
    if not connections and uses(values, DATABASE_MIDDLEWARE):
        yield (
            "DATABASE_CONNECTION is empty, but MIDDLEWARE_CLASSES has DBAlchemyMiddleware. "
            "Add a connection named 'default', or take the middleware out."
        )


def _choice(wrong: str, known: Any) -> str:
    listed = f" Known are {', '.join(map(repr, sorted(known)))}." if known else " It is empty."
    return did_you_mean(wrong, known, listed)
