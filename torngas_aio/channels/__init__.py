"""Channels: messages between the processes of an application, to WebSockets, event streams and tasks.

from torngas_aio.channels import channels

await channels.publish("task:7", {"state": "done"})
async with channels.subscribe("task:7") as messages:
    async for message in messages: ...

base.py      the contract: publish, subscribe, members      memory.py    within one process
redis.py     Redis pub/sub, and streams for the history     registry.py  CHANNELS by alias
presence.py  who is in a channel
"""

from torngas_aio.channels.base import BaseChannels, Message, Subscription
from torngas_aio.channels.registry import channels

__all__ = ["BaseChannels", "Message", "Subscription", "channels"]
