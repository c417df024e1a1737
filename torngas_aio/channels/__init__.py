"""Channels: messages between the processes of an application, to WebSockets, event streams and tasks.

from torngas_aio.channels import channels

await channels.publish("task:7", {"state": "done"})
async with channels.subscribe("task:7") as messages:
    async for message in messages: ...

base.py      the contract: publish, subscribe, members      memory.py    within one process
redis.py     Redis pub/sub, and streams for the history     presence.py  who is in a channel
listener.py  a process's connections to Redis, each made again by itself

From an alias in CHANNELS to its open backend leads `Channels`: one an alias and loop.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from torngas_aio._backends import Backends, make_backend
from torngas_aio.channels.base import BaseChannels, Message, Subscription

__all__ = ["BaseChannels", "Channels", "Message", "Subscription", "channels", "make_channels"]


class Channels(Backends[BaseChannels]):
    """The channels of the settings by alias; its own `publish` and `subscribe` are those of "default"."""

    async def publish(self, name: str, data: Any, *, now: bool = False) -> None:
        """As `BaseChannels.publish` of "default"."""
        await self["default"].publish(name, data, now=now)

    async def members(self, name: str) -> list[str]:
        """As `BaseChannels.members` of "default"."""
        return await self["default"].members(name)

    def present(self, name: str, member: str) -> AbstractAsyncContextManager[None]:
        """As `BaseChannels.present` of "default"."""
        return self["default"].present(name, member)

    def subscribe(self, *names: str, **options: Any) -> Subscription:
        """As `BaseChannels.subscribe` of "default"."""
        return self["default"].subscribe(*names, **options)


def make_channels(alias: str, config: Mapping[str, object]) -> BaseChannels:
    """Return a new backend of the CHANNELS entry *config*; see `make_backend`."""
    makers: Mapping[object, Callable[..., BaseChannels] | None] = {BaseChannels: None}
    return make_backend("CHANNELS", alias, config, makers, "torngas_aio.channels.redis.RedisChannels")


channels = Channels("CHANNELS", make_channels)
"""The channels of the settings: `channels["alias"]`; `channels.publish` uses "default"."""
