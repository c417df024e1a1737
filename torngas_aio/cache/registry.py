"""From an alias in CACHES to its open cache: one instance an alias and loop.

    caches["redis"]   the cache itself inside a running loop; outside, a stand-in that finds it at each use
    cache             the same for "default"

Nothing is opened before it is used; the application that runs in the loop closes what was opened.
Begin with `Caches.__getitem__`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NoReturn, cast
from weakref import WeakKeyDictionary

from torngas_aio._cleanup import close_with_loop
from torngas_aio._masking import show_setting
from torngas_aio._names import did_you_mean
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.checks.references import imported
from torngas_aio.checks.shapes import CACHE_SHAPE
from torngas_aio.checks.signing import project_secrets
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.settings_manager import settings

__all__ = ["Caches", "cache", "caches", "close_caches", "make_cache"]

_Opened = dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any], BaseCache]]]


class Caches:
    """The caches of the settings by alias; `alias in caches` and iteration see what is configured.

    Attributes:
        on_open: Called with each cache that is opened; observers of its calls.
    """

    def __init__(self) -> None:
        self.on_open: list[Callable[[BaseCache], None]] = []
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, _Opened] = WeakKeyDictionary()

    def __getitem__(self, alias: str) -> BaseCache:
        """Return the cache that CACHES configures as *alias*.

        Raises:
            UnknownAlias: CACHES has no such entry.
            ConfigError: Its entry cannot work.
        """
        config = self._config(alias)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return cast(BaseCache, _StandIn(self, alias))
        opened = self._opened.get(loop)
        if opened is None:
            opened = self._opened[loop] = {}
        conf = settings.TORNADO_CONF  # whose secret signs the values
        for known, known_conf, found in opened.get(alias, ()):
            if known is config and known_conf is conf:
                return found
        return self._open(opened, alias, config, conf)

    def opened(self) -> Iterator[tuple[str, BaseCache]]:
        """Yield alias and cache of what the running loop has opened."""
        for alias, entries in self._opened.get(asyncio.get_running_loop(), {}).items():
            yield from {(alias, id(cache)): (alias, cache) for _, _, cache in entries}.values()

    def __contains__(self, alias: object) -> bool:
        return alias in settings.CACHES

    def __iter__(self) -> Iterator[str]:
        return iter(settings.CACHES)

    def _config(self, alias: str) -> Mapping[str, Any]:
        configured: Mapping[str, Mapping[str, Any]] = settings.CACHES
        try:
            return configured[alias]
        except KeyError:
            known = ", ".join(map(repr, configured)) or "nothing"
            raise UnknownAlias(
                f"CACHES has no {alias!r}.{did_you_mean(alias, configured)} It configures {known}."
            ) from None

    def _open(self, opened: _Opened, alias: str, config: Mapping[str, Any], conf: Mapping[str, Any]) -> BaseCache:
        entries = opened.setdefault(alias, [])
        for known, known_conf, found in entries:
            if known == config and known_conf == conf:  # the same settings under an override, or loaded once more
                entries.append((config, conf, found))
                return found
        made = make_cache(alias, config)
        for tell in self.on_open:
            tell(made)
        entries.append((config, conf, made))
        close_with_loop(("cache", alias, id(made)), self._closer(opened, alias, made))
        return made

    def _closer(self, opened: _Opened, alias: str, made: BaseCache) -> Callable[[], Awaitable[None]]:
        async def close() -> None:
            opened[alias] = [entry for entry in opened.get(alias, []) if entry[2] is not made]
            await made.close()

        return close


async def close_caches(**_: Any) -> None:
    """Close every cache that this loop has opened; what is used later is opened again."""
    for entries in list(caches._opened.get(asyncio.get_running_loop(), {}).values()):
        for _config, _conf, opened in list(entries):
            await opened.close()


def make_cache(alias: str, config: Mapping[str, Any]) -> BaseCache:
    """Return a new cache of the CACHES entry *config*, to be closed by the caller.

    It signs with the project's secret, TORNADO_CONF['cookie_secret'], where its backend signs values.

    Raises:
        ConfigError: The backend does not exist, misses its library, or refuses its parameters.
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
    """Passes everything on to the cache of the loop that is running when it is used."""

    __slots__ = ("_alias", "_caches")

    def __init__(self, owner: Caches, alias: str) -> None:
        self._caches = owner
        self._alias = alias

    def __getattr__(self, name: str) -> Any:
        found = self._caches[self._alias]
        if isinstance(found, _StandIn):
            raise RuntimeError(f"caches[{self._alias!r}].{name} was used outside a running event loop.")
        return getattr(found, name)

    def __contains__(self, key: object) -> NoReturn:
        BaseCache.__contains__(cast(BaseCache, self), key)

    def __repr__(self) -> str:
        return f"<cache {self._alias!r}>"


caches = Caches()
"""The caches of the settings: `caches["alias"]`."""

cache: BaseCache = cast(BaseCache, _StandIn(caches, "default"))
"""The cache that CACHES configures as `default`."""
