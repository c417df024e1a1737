"""Registries from the aliases of a setting to open backends: one backend per alias and loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from operator import methodcaller
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from torngas_aio._cleanup import close_with_loop
from torngas_aio._names import did_you_mean, import_object
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.settings_manager import settings
from torngas_aio.utils.kinds import fault
from torngas_aio.utils.narrowing import is_mapping

__all__ = ["Backends", "entry_faults", "make_backend"]

Config = Mapping[str, Any]
_KEYS = frozenset({"ALIAS", "BACKEND", "LOCATION", "OPTIONS"})

B = TypeVar("B")


class Backends(Generic[B]):
    """The backends of one setting by alias; `alias in backends` and iteration use the configured aliases.

    Args:
        setting: Its name.
        make: Creates the backend for an alias and its entry.
        close: Closes a backend.
    """

    def __init__(
        self,
        setting: str,
        make: Callable[[str, Config], B],
        close: Callable[[B], Awaitable[object]] = methodcaller("aclose"),
    ) -> None:
        self._setting = setting
        self._make = make
        self._close = close
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, list[tuple[Any, B]]]] = WeakKeyDictionary()

    def __getitem__(self, alias: str) -> B:
        """Return the backend that the setting configures as *alias*, opened for the running loop.

        Raises:
            UnknownAlias: The setting has no such entry.
            ConfigError: Its entry is invalid.
            RuntimeError: No loop is running.
        """
        configured: Mapping[str, Config] = getattr(settings, self._setting)
        if (config := configured.get(alias)) is None:
            known = ", ".join(map(repr, configured)) or "nothing"
            hint = did_you_mean(alias, configured)
            raise UnknownAlias(f"{self._setting} has no {alias!r}.{hint} It configures {known}.")
        state = self._state(config)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self._outside_of_loops(alias)
        if (opened := self._opened.get(loop)) is None:  # PERF: half the time of `setdefault`
            opened = self._opened[loop] = {}
        for known, found in opened.get(alias, ()):
            if known == state:  # PERF: identical objects are not compared further
                return found
        entries = opened.setdefault(alias, [])
        made = self._make(alias, config)
        entry = state, made
        entries.append(entry)

        async def close() -> None:
            if entry in entries:
                entries.remove(entry)
            await self._close(made)

        close_with_loop((self._setting, alias, id(made)), close)
        return made

    def __contains__(self, alias: object) -> bool:
        return alias in getattr(settings, self._setting)

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(settings, self._setting))

    def opened(self) -> Iterator[tuple[str, B]]:
        """Yield alias and backend of those that the running loop has opened."""
        for alias, entries in self._opened.get(asyncio.get_running_loop(), {}).items():
            yield from ((alias, found) for _, found in entries)

    def _outside_of_loops(self, alias: str) -> B:
        raise RuntimeError(
            f"{self._setting}[{alias!r}] was used outside a running event loop: by a module that is imported, or in a "
            "worker thread. Use it where it is awaited, in an `async def`."
        )

    def _state(self, config: Config) -> object:
        """Return everything that a backend depends on; a change of it creates a new backend."""
        return config


def make_backend(
    setting: str, alias: str, config: Config, makers: Mapping[Any, Callable[..., B] | None], example: str
) -> B:
    """Return a new backend for the entry *config*, to be closed by the caller.

    Args:
        makers: By base class of BACKEND: a function that creates a backend from the class, LOCATION and the entry; None
            to call the class with LOCATION and the entry.
        example: A valid dotted path, for the message.

    Raises:
        ConfigError: The backend does not exist, needs a missing library, or rejects its parameters.
    """
    path: Any = config.get("BACKEND")
    where = f"{setting}[{alias!r}]['BACKEND'] = {path!r}"
    try:
        kind = import_object(path) if isinstance(path, str) else path
    except ImportError as exc:
        raise ConfigError(f"{where}: {exc} Write a full dotted path, such as {example!r}.", code="TGA401") from exc
    for base, make in makers.items():
        if isinstance(kind, type) and issubclass(kind, base):
            given = config.get("LOCATION", ""), {**config, "ALIAS": alias}
            found: B = kind(*given) if make is None else make(kind, *given)
            return found
    bases = " or ".join(f"{base.__module__}.{base.__qualname__}" for base in makers)
    raise ConfigError(f"{where}: name a subclass of {bases}.", code="TGA401")


def entry_faults(where: str, entry: Config, keys: Iterable[str], options: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each unknown key of *entry*, and of its OPTIONS.

    Args:
        where: The entry's place, such as `JOBS['default']`.
        keys, options: The known ones, in addition to BACKEND, LOCATION and OPTIONS.
    """
    given: object = entry.get("OPTIONS") or {}
    found: list[tuple[str, Iterable[object], set[str], str]] = [("", entry, {*_KEYS, *keys}, "key")]
    if is_mapping(given):
        found.append(("['OPTIONS']", given, {*options}, "option"))
    else:
        yield fault(f"{where}['OPTIONS']", given, "must be a dict.")
    for place, names, known, kind in found:
        listed = f" Known are {', '.join(sorted(known))}." if known else ""
        for name in names:
            if name not in known:
                hint = did_you_mean(str(name).upper(), known, listed)
                yield f"{where}{place}[{name!r}]: there is no such {kind}.{hint}"
