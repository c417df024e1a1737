"""From an alias in a setting to its open backend: one an alias and loop. Begin with `Backends.__getitem__`."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from torngas_aio._cleanup import close_with_loop, forget
from torngas_aio._names import did_you_mean, import_object
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.settings_manager import settings
from torngas_aio.utils.kinds import fault

__all__ = ["Backends", "entry_faults", "named_backend"]

Config = Mapping[str, Any]
_KEYS = frozenset({"ALIAS", "BACKEND", "LOCATION", "OPTIONS"})


class _Closable(Protocol):
    async def aclose(self) -> None: ...


B = TypeVar("B", bound=_Closable)


class Backends(Generic[B]):
    """The backends of one setting by alias; `alias in backends` and iteration see what is configured.

    Args:
        setting: Its name.
        make: Makes the backend of an alias and its entry.
    """

    def __init__(self, setting: str, make: Callable[[str, Config], B]) -> None:
        self._setting = setting
        self._make = make
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, tuple[Config, B]]] = WeakKeyDictionary()

    def __getitem__(self, alias: str) -> B:
        """Return the backend that the setting configures as *alias*, opened for the running loop.

        Raises:
            UnknownAlias: The setting has no such entry.
            ConfigError: Its entry cannot work.
            RuntimeError: No loop is running.
        """
        configured = self._configured
        if alias not in configured:
            there_are = f" It configures {', '.join(map(repr, configured))}."
            raise UnknownAlias(f"{self._setting} has no {alias!r}.{did_you_mean(alias, configured, there_are)}")
        config = configured[alias]
        opened = self._opened.setdefault(asyncio.get_running_loop(), {})
        known = opened.get(alias)
        if known is not None and known[0] == config:
            return known[1]
        made = self._make(alias, config)
        opened[alias] = config, made
        key = (self._setting, id(made))

        async def close() -> None:
            if opened.get(alias, (None, None))[1] is made:
                del opened[alias]
            forget(key)
            await made.aclose()

        close_with_loop(key, close)
        return made

    def __contains__(self, alias: object) -> bool:
        return alias in self._configured

    def __iter__(self) -> Iterator[str]:
        return iter(self._configured)

    @property
    def _configured(self) -> Mapping[str, Config]:
        found: Mapping[str, Config] = getattr(settings, self._setting)
        return found


def named_backend(where: str, path: Any, example: str) -> Any:
    """Return what the BACKEND *path* names: a class or dotted path.

    Args:
        where: Its place, for the message.
        example: A dotted path that works, for the message.

    Raises:
        ConfigError: It cannot be imported.
    """
    try:
        return import_object(path) if isinstance(path, str) else path
    except ImportError as exc:
        raise ConfigError(f"{where}: {exc} Write a full dotted path, such as {example!r}.", code="TGA401") from exc


def entry_faults(where: str, entry: Config, keys: Iterable[str], options: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each key of *entry*, and of its OPTIONS, that there is not.

    Args:
        where: The entry's place, such as `JOBS['default']`.
        keys, options: Those that there are, beside BACKEND, LOCATION and OPTIONS.
    """
    given = entry.get("OPTIONS") or {}
    if not isinstance(given, Mapping):
        yield fault(f"{where}['OPTIONS']", given, "must be a dict.")
        given = {}
    found = (("", entry, {*_KEYS, *keys}, "key"), ("['OPTIONS']", given, {*options}, "option"))
    for place, names, known, kind in found:
        listed = f" Known are {', '.join(sorted(known))}." if known else ""
        for name in names:
            if name not in known:
                hint = did_you_mean(str(name).upper(), known, listed)
                yield f"{where}{place}[{name!r}]: there is no such {kind}.{hint}"
