"""Channels: messages between the processes of an application, to WebSockets, event streams and tasks.

from torngas_aio.channels import channels

await channels.publish("task:7", {"state": "done"})
async with channels.subscribe("task:7") as messages:
    async for message in messages: ...

base.py      the contract: publish, subscribe, members      memory.py    channels in one process
redis.py     Redis pub/sub, and streams for the history     presence.py  the members of channels
listener.py  a process's subscriptions in Redis, with automatic reconnection

`Channels` is the registry of open backends by alias in CHANNELS: one per alias and event loop.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from torngas_aio._backends import Backends, make_backend
from torngas_aio.channels.base import BaseChannels, Message, Subscription

__all__ = ["BaseChannels", "Channels", "Message", "Subscription", "channels", "make_channels"]


class Channels(Backends[BaseChannels]):
    """The channel backends of the settings by alias; `publish`, `subscribe` and the like use "default"."""

    async def publish(self, name: str, data: Any, *, now: bool = False) -> None:
        """Publish with "default"; see `BaseChannels.publish`."""
        await self["default"].publish(name, data, now=now)

    async def members(self, name: str) -> list[str]:
        """Return the members in "default"; see `BaseChannels.members`."""
        return await self["default"].members(name)

    def present(self, name: str, member: str) -> AbstractAsyncContextManager[None]:
        """Make *member* present in "default"; see `BaseChannels.present`."""
        return self["default"].present(name, member)

    def subscribe(self, *names: str, **options: Any) -> Subscription:
        """Subscribe with "default"; see `BaseChannels.subscribe`."""
        return self["default"].subscribe(*names, **options)


def make_channels(alias: str, config: Mapping[str, object]) -> BaseChannels:
    """Return a new backend of the CHANNELS entry *config*; see `make_backend`."""
    makers: Mapping[object, Callable[..., BaseChannels] | None] = {BaseChannels: None}
    return make_backend("CHANNELS", alias, config, makers, "torngas_aio.channels.redis.RedisChannels")


channels = Channels("CHANNELS", make_channels)
"""The channels of the settings: `channels["alias"]`; `channels.publish` uses "default"."""
