"""Validation of settings by the services themselves: each configured service is created once, without connecting.

    CACHES                  the backend's constructor, and OPTIONS that it did not read
    CHANNELS, JOBS          the backend's constructor
    TEMPLATE_CONFIG         the engine's loader
    SESSION                 the session store's configuration, if SessionMiddleware is used
    DATABASE_CONNECTION     the databases' parser and their engines, SQLALCHEMY_CONFIGURATION included

So each setting is validated only by the class that uses it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from torngas_aio import global_settings
from torngas_aio._names import did_you_mean, import_object
from torngas_aio._project_errors import headline, import_fault, place_of
from torngas_aio.checks.references import SESSION_MIDDLEWARE, imported, section, uses
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.settings_manager import Settings

__all__ = ["raised_fault", "service_findings"]

logger = logging.getLogger("torngas_aio.server")

CACHE_PACKAGE = "torngas_aio.cache."
EVERYWHERE = frozenset({"MAX_ENTRIES", "CULL_FREQUENCY"})
"""OPTIONS that every backend accepts, so that backends can be exchanged, as in Django."""


def service_findings(settings: Settings, faults: Iterable[Fault]) -> tuple[list[Fault], list[str]]:
    """Return the faults and the cautions of caches, templates, databases, channels and jobs.

    Args:
        faults: Known faults; their settings are not checked again.
    """
    found: list[Fault] = []
    cautions: list[str] = []
    steps: dict[str, Callable[[], list[str]]] = {
        "TEMPLATE_CONFIG": partial(_try_templates, settings),
        "SESSION": partial(_try_session, settings),
        "DATABASE_CONNECTION": partial(_try_databases, settings),
        "CHANNELS": partial(_try_backends, settings, "CHANNELS", "torngas_aio.channels.make_channels"),
        "JOBS": partial(_try_backends, settings, "JOBS", "torngas_aio.jobs.registry.make_jobs"),
        **{f"CACHES[{alias!r}]": partial(_try_cache, settings, alias) for alias in _aliases(settings)},
    }
    for path, step in steps.items():
        if any(fault.is_at(path) or fault.path == path.partition("[")[0] for fault in faults):
            continue
        try:
            cautions += step()
        except ConfigError as exc:
            found += exc.faults
        except Exception as exc:  # noqa: BLE001  a boundary: checks of a library, or the project's code
            found.append(raised_fault(exc, path, _CODES.get(path, "TGA401")))
    return found, cautions


def raised_fault(error: Exception, path: str, code: str) -> Fault:
    """Return a fault for *error*, raised when the setting *path* was used.

    Args:
        code: The fault's code, unless the error is in the project's code.
    """
    logger.debug("%s could not be used.", path, exc_info=error)
    mine = bool(place_of(error))
    return Fault(f"{headline(error)} ({path}: using it raised this.)", code="TGA108" if mine else code, path=path)


_CODES = {"TEMPLATE_CONFIG": "TGA601", "SESSION": "TGA402"}


def _try_templates(settings: Settings) -> list[str]:
    if settings.TEMPLATE_CONFIG != global_settings.TEMPLATE_CONFIG:
        from torngas_aio.template import create_loader

        create_loader(settings.TEMPLATE_CONFIG, settings.TORNADO_CONF.get("template_path") or ".")
    return []


def _try_session(settings: Settings) -> list[str]:
    if uses(settings.as_dict(), SESSION_MIDDLEWARE):
        from torngas_aio.session.config import SessionConfig

        SessionConfig.of(settings.SESSION)
    return []


def _try_databases(settings: Settings) -> list[str]:
    if not settings.DATABASE_CONNECTION:
        return []
    try:
        from torngas_aio.db.dbalchemy.registry import validate_databases
    except ImportError as exc:
        raise ConfigError(
            import_fault(exc, "DATABASE_CONNECTION", "torngas_aio.db.dbalchemy", ""), code="TGA401"
        ) from exc
    return validate_databases()


def _try_backends(settings: Settings, name: str, maker: str) -> list[str]:
    """Create each backend of the setting *name* that differs from the default; *maker* is a factory's dotted path."""
    entries, defaults = getattr(settings, name), getattr(global_settings, name)
    faults: list[Any] = []
    for alias, entry in entries.items():
        if entry != defaults.get(alias):
            try:
                import_object(maker)(alias, entry)
            except ImportError as exc:
                where = f"{name}[{alias!r}]['BACKEND']"
                faults.append(import_fault(exc, where, entry.get("BACKEND", ""), ""))
            except ConfigError as exc:
                faults += exc.faults
    ConfigError.gather(faults, code="TGA401")
    return []


def _aliases(settings: Settings) -> Iterator[str]:
    """Yield the aliases that the project configures or uses; unused defaults may lack their libraries."""
    for alias, entry in section(settings.as_dict(), "CACHES").items():
        if entry != global_settings.CACHES.get(alias) or alias == _session_alias(settings):
            yield alias


def _session_alias(settings: Settings) -> str | None:
    values = settings.as_dict()
    return section(values, "SESSION").get("session_cache_alias") if uses(values, SESSION_MIDDLEWARE) else None


def _try_cache(settings: Settings, alias: str) -> list[str]:
    from torngas_aio.cache.backends.base import BaseCache
    from torngas_aio.cache.registry import make_cache

    entry = settings.CACHES[alias]
    path = f"CACHES[{alias!r}]['BACKEND']"
    kind = imported(path, entry["BACKEND"])
    user = _cache_user(settings, alias)
    if user and hasattr(kind, "close") and not (isinstance(kind, type) and issubclass(kind, BaseCache)):
        raise ConfigError(
            f"{path} = {entry['BACKEND']!r}: {user} needs a cache, and this is none (it does not inherit "
            "from torngas_aio.cache.backends.base.BaseCache). Name a cache, such as "
            "'torngas_aio.cache.backends.rediscache.RedisCache', and give this one an alias of its own.",
            code="TGA401",
        )
    if not hasattr(kind, "close") or kind.__module__.startswith(CACHE_PACKAGE):  # others may connect when created
        options = _TrackedOptions(entry.get("OPTIONS") or {})
        make_cache(alias, {**entry, "OPTIONS": options})
        ConfigError.gather(options.unknown(f"CACHES[{alias!r}]['OPTIONS']"), code="TGA102")
    return []


def _cache_user(settings: Settings, alias: str) -> str:
    """Return the name of the part that uses *alias* as a cache, for a message; "" if none does."""
    if alias == "default":
        return "`torngas_aio.cache.cache`"
    return "SessionMiddleware" if alias == _session_alias(settings) else ""


class _TrackedOptions(Mapping[str, Any]):
    """OPTIONS that record which keys their backend reads."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self._options = options
        self._read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        return self._options[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def unknown(self, path: str) -> Iterator[str]:
        """Yield a fault for each key that was not read."""
        known = self._read | EVERYWHERE
        for key in self._options:
            if key not in known:
                hint = did_you_mean(str(key).upper(), known, f" Known are {', '.join(sorted(known))}.")
                yield f"{path}[{key!r}]: no such option.{hint}"
