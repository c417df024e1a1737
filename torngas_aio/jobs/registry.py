"""From an alias in JOBS to its open backend: one an alias and loop. Begin with `make_jobs`."""

from collections.abc import Mapping
from typing import Any

from taskiq import AsyncBroker

from torngas_aio._backends import Backends, named_backend
from torngas_aio.exception import ConfigError
from torngas_aio.jobs.base import BaseJobs

__all__ = ["jobs", "make_jobs"]


def make_jobs(alias: str, config: Mapping[str, Any]) -> BaseJobs:
    """Return a new backend of the JOBS entry *config*, to be closed by the caller.

    Raises:
        ConfigError: The backend does not exist, misses its library, or refuses its parameters.
    """
    path: Any = config.get("BACKEND")
    where = f"JOBS[{alias!r}]['BACKEND'] = {path!r}"
    kind = named_backend(where, path, "torngas_aio.jobs.redis.RedisJobs")
    if isinstance(kind, type) and issubclass(kind, BaseJobs):
        return kind(config.get("LOCATION", ""), {**config, "ALIAS": alias})
    if isinstance(kind, type) and issubclass(kind, AsyncBroker):
        from torngas_aio.jobs.foreign import ForeignJobs

        return ForeignJobs(kind, config.get("LOCATION", ""), {**config, "ALIAS": alias})
    raise ConfigError(f"{where}: name a subclass of torngas_aio.jobs.BaseJobs, or a taskiq broker.", code="TGA401")


jobs: Backends[BaseJobs] = Backends("JOBS", make_jobs)
"""The backends of the settings: `jobs["alias"]`."""
