"""The registry of open caches by alias in CACHES: one instance per alias and event loop.

    caches["redis"]   the cache itself inside a running loop; outside, a proxy that looks it up at each use
    cache             the same for "default"

Caches open on first use; the application that runs in the loop closes them.
"""

from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import Any, NoReturn, cast

from torngas_aio._backends import Backends
from torngas_aio._masking import show_setting
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.checks.references import imported
from torngas_aio.checks.shapes import CACHE_SHAPE
from torngas_aio.checks.signing import project_secrets
from torngas_aio.exception import ConfigError
from torngas_aio.settings_manager import settings

__all__ = ["Caches", "cache", "caches", "close_caches", "make_cache"]


class Caches(Backends[BaseCache]):
    """The caches of the settings by alias; `alias in caches` and iteration cover the configured aliases.

    Attributes:
        on_open: Callbacks that receive each newly opened cache, for example to observe its calls.
    """

    def __init__(self) -> None:
        super().__init__("CACHES", self._made, methodcaller("close"))
        self.on_open: list[Callable[[BaseCache], None]] = []

    def _outside_of_loops(self, alias: str) -> BaseCache:
        return cast(BaseCache, _StandIn(self, alias))

    def _state(self, config: Mapping[str, object]) -> object:
        return config, settings.TORNADO_CONF  # its cookie_secret signs the values

    def _made(self, alias: str, config: Mapping[str, object]) -> BaseCache:
        made = make_cache(alias, config)
        for tell in self.on_open:
            tell(made)
        return made


async def close_caches(**_: object) -> None:
    """Close every cache opened in this loop; a later use opens it again."""
    for _alias, opened in list(caches.opened()):
        await opened.close()


def make_cache(alias: str, config: Mapping[str, object]) -> BaseCache:
    """Return a new cache of the CACHES entry *config*, to be closed by the caller.

    If its backend signs values, it uses the project's secret, TORNADO_CONF['cookie_secret'].

    Raises:
        ConfigError: The backend does not exist, its library is not installed, or it rejects its parameters.
    """
    ConfigError.gather(CACHE_SHAPE(f"CACHES[{alias!r}]", config), code="TGA103")
    where = f"CACHES[{alias!r}]['BACKEND']"
    kind = imported(where, config["BACKEND"])
    if not (isinstance(kind, type) and hasattr(kind, "close")):
        raise ConfigError(
            f"{where} = {show_setting(config['BACKEND'])} is not a cache. "
            "Name a subclass of torngas_aio.cache.backends.base.BaseCache.",
            code="TGA401",
        )
    secrets, is_lasting = project_secrets(settings.as_dict())
    secret = {"SECRET_KEY" if is_lasting else "RUN_SECRET": secrets}
    made: BaseCache = kind(config.get("LOCATION", ""), {**config, **secret, "ALIAS": alias})
    return made


class _StandIn:
    """A proxy of the cache that belongs to the running event loop at each use."""

    __slots__ = ("_alias", "_caches")

    def __init__(self, owner: Caches, alias: str) -> None:
        self._caches = owner
        self._alias = alias

    def __getattr__(self, name: str) -> Any:
        found = self._caches[self._alias]
        if not isinstance(found, _StandIn):
            return getattr(found, name)
        if name in ("client", "_client"):
            return _ClientStandIn(self)
        raise RuntimeError(_outside_loop(self, name))

    def __contains__(self, key: object) -> NoReturn:
        BaseCache.__contains__(cast(BaseCache, self), key)

    def __repr__(self) -> str:
        return f"caches[{self._alias!r}]"


class _ClientStandIn:
    """A proxy of `RedisClient.client` in the running event loop, for modules that keep the client in a global."""

    __slots__ = ("_cache",)

    def __init__(self, cache: _StandIn) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        client = self._cache.client
        if isinstance(client, _ClientStandIn):
            raise RuntimeError(_outside_loop(self, name))
        return getattr(client, name)

    def __repr__(self) -> str:
        return f"{self._cache!r}.client"


def _outside_loop(kept: object, name: str) -> str:
    return (
        f"{kept!r}.{name} was used outside a running event loop: by a module that is imported, or in a worker thread. "
        f"Use `{kept!r}.{name}` in an `async def`, where it is awaited; {kept!r} itself may be kept. "
        "Pass the awaited value to a page that is rendered in a thread."
    )


caches = Caches()
"""The caches of the settings: `caches["alias"]`."""

cache: BaseCache = cast(BaseCache, _StandIn(caches, "default"))
"""The cache that CACHES configures as `default`."""
