"""From an alias in CHANNELS to its open backend: one an alias and loop. Begin with `Channels`."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from torngas_aio._backends import Backends, named_backend
from torngas_aio.channels.base import BaseChannels, Subscription
from torngas_aio.exception import ConfigError

__all__ = ["Channels", "channels", "make_channels"]


class Channels(Backends[BaseChannels]):
    """The channels of the settings by alias; its own `publish` and `subscribe` are those of "default"."""

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
    kind = named_backend(where, path, "torngas_aio.channels.redis.RedisChannels")
    if not (isinstance(kind, type) and issubclass(kind, BaseChannels)):
        raise ConfigError(f"{where}: name a subclass of torngas_aio.channels.BaseChannels.", code="TGA401")
    return kind(config.get("LOCATION", ""), {**config, "ALIAS": alias})


channels = Channels("CHANNELS", make_channels)
"""The channels of the settings: `channels["alias"]`; `channels.publish` uses "default"."""
