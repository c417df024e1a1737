"""From an alias in CHANNELS to its open backend: one an alias and loop. Begin with `Channels.__getitem__`."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from weakref import WeakKeyDictionary

from torngas_aio._cleanup import close_with_loop, forget
from torngas_aio._importing import import_object
from torngas_aio.channels.base import BaseChannels, Subscription
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.settings_manager import settings

__all__ = ["Channels", "channels", "make_channels"]


class Channels:
    """The channels of the settings by alias; its own `publish` and `subscribe` are those of "default"."""

    def __init__(self) -> None:
        self._opened: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[str, tuple[Mapping[str, Any], BaseChannels]]
        ] = WeakKeyDictionary()

    def __getitem__(self, alias: str) -> BaseChannels:
        """Return the backend that CHANNELS configures as *alias*, opened for the running loop.

        Raises:
            UnknownAlias: CHANNELS has no such entry.
            ConfigError: Its entry cannot work.
            RuntimeError: No loop is running.
        """
        configured: Mapping[str, Mapping[str, Any]] = settings.CHANNELS
        if alias not in configured:
            raise UnknownAlias(f"CHANNELS has no {alias!r}. It configures {', '.join(map(repr, configured))}.")
        config = configured[alias]
        opened = self._opened.setdefault(asyncio.get_running_loop(), {})
        known = opened.get(alias)
        if known is not None and known[0] == config:
            return known[1]
        made = make_channels(alias, config)
        opened[alias] = config, made

        async def close() -> None:
            if opened.get(alias, (None, None))[1] is made:
                del opened[alias]
            forget(("channels", id(made)))
            await made.aclose()

        close_with_loop(("channels", id(made)), close)
        return made

    def __contains__(self, alias: object) -> bool:
        return alias in settings.CHANNELS

    def __iter__(self) -> Iterator[str]:
        return iter(settings.CHANNELS)

    async def publish(self, name: str, data: Any) -> None:
        """As `BaseChannels.publish` of "default"."""
        await self["default"].publish(name, data)

    async def members(self, name: str) -> list[str]:
        """As `BaseChannels.members` of "default"."""
        return await self["default"].members(name)

    def present(self, name: str, member: str) -> AbstractAsyncContextManager[None]:
        """As `BaseChannels.present` of "default"."""
        return self["default"].present(name, member)

    def subscribe(self, *names: str, **options: Any) -> Subscription:
        """As `BaseChannels.subscribe` of "default"."""
        return self["default"].subscribe(*names, **options)


def make_channels(alias: str, config: Mapping[str, Any]) -> BaseChannels:
    """Return a new backend of the CHANNELS entry *config*, to be closed by the caller.

    Raises:
        ConfigError: The backend does not exist, misses its library, or refuses its parameters.
    """
    path: Any = config.get("BACKEND")
    where = f"CHANNELS[{alias!r}]['BACKEND'] = {path!r}"
    try:
        kind = import_object(path) if isinstance(path, str) else path
    except ImportError as exc:
        raise ConfigError(
            f"{where}: {exc} Write a full dotted path, such as 'torngas_aio.channels.redis.RedisChannels'.",
            code="TGA401",
        ) from exc
    if not (isinstance(kind, type) and issubclass(kind, BaseChannels)):
        raise ConfigError(f"{where}: name a subclass of torngas_aio.channels.BaseChannels.", code="TGA401")
    return kind(config.get("LOCATION", ""), {**config, "ALIAS": alias})


channels = Channels()
"""The channels of the settings: `channels["alias"]`; `channels.publish` uses "default"."""
