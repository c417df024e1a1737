"""From an alias in JOBS to its open backend: one an alias and loop. Begin with `Jobs.__getitem__`."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from taskiq import AsyncBroker

from torngas_aio._cleanup import close_with_loop, forget
from torngas_aio._importing import import_object
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.settings_manager import settings

__all__ = ["Jobs", "jobs", "make_jobs"]


class Jobs:
    """The backends of the settings by alias."""

    def __init__(self) -> None:
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, tuple[Mapping[str, Any], BaseJobs]]] = (
            WeakKeyDictionary()
        )

    def __getitem__(self, alias: str) -> BaseJobs:
        """Return the backend that JOBS configures as *alias*, opened for the running loop.

        Raises:
            UnknownAlias: JOBS has no such entry.
            ConfigError: Its entry cannot work.
            RuntimeError: No loop is running.
        """
        configured: Mapping[str, Mapping[str, Any]] = settings.JOBS
        if alias not in configured:
            raise UnknownAlias(f"JOBS has no {alias!r}. It configures {', '.join(map(repr, configured))}.")
        config = configured[alias]
        opened = self._opened.setdefault(asyncio.get_running_loop(), {})
        known = opened.get(alias)
        if known is not None and known[0] == config:
            return known[1]
        made = make_jobs(alias, config)
        opened[alias] = config, made

        async def close() -> None:
            if opened.get(alias, (None, None))[1] is made:
                del opened[alias]
            forget(("jobs", id(made)))
            await made.aclose()

        close_with_loop(("jobs", id(made)), close)
        return made

    def __contains__(self, alias: object) -> bool:
        return alias in settings.JOBS

    def __iter__(self) -> Iterator[str]:
        return iter(settings.JOBS)


def make_jobs(alias: str, config: Mapping[str, Any]) -> BaseJobs:
    """Return a new backend of the JOBS entry *config*, to be closed by the caller.

    Raises:
        ConfigError: The backend does not exist, misses its library, or refuses its parameters.
    """
    path: Any = config.get("BACKEND")
    where = f"JOBS[{alias!r}]['BACKEND'] = {path!r}"
    try:
        kind = import_object(path) if isinstance(path, str) else path
    except ImportError as exc:
        raise ConfigError(
            f"{where}: {exc} Write a full dotted path, such as 'torngas_aio.jobs.redis.RedisJobs'.", code="TGA401"
        ) from exc
    if isinstance(kind, type) and issubclass(kind, BaseJobs):
        return kind(config.get("LOCATION", ""), {**config, "ALIAS": alias})
    if isinstance(kind, type) and issubclass(kind, AsyncBroker):
        from torngas_aio.jobs.foreign import ForeignJobs

        return ForeignJobs(kind, config.get("LOCATION", ""), {**config, "ALIAS": alias})
    raise ConfigError(f"{where}: name a subclass of torngas_aio.jobs.BaseJobs, or a taskiq broker.", code="TGA401")


jobs = Jobs()
"""The backends of the settings: `jobs["alias"]`."""
