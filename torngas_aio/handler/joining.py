"""The WebSockets of this process that have joined channels.

Each channel has one subscription and one task, however many sockets have joined it: a message is framed once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from torngas_aio.channels.base import BaseChannels, Subscription
from torngas_aio.handler.response import ResponseHandler

__all__ = ["join_channel", "leave_channel", "leave_channels"]

logger = logging.getLogger("torngas_aio.channels")

_JoinedChannels = dict[tuple[int, str], "_JoinedChannel"]
_joined_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _JoinedChannels] = WeakKeyDictionary()


class _JoinedChannel:
    """The sockets that have joined one channel, and the task that sends to them."""

    def __init__(self, channels: BaseChannels, name: str, broadcast: Callable[..., Awaitable[int]]) -> None:
        self.sockets: dict[ResponseHandler, str] = {}  # with the member of each, "" until it is present
        self.channels = channels
        self._subscription: Subscription = channels.subscribe(name)
        self._broadcast = broadcast
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Subscribe, once."""
        async with self._lock:
            if self._task is None:
                await self._subscription.__aenter__()
                self._task = asyncio.create_task(self._forward_messages(), name="channel to sockets")

    async def aclose(self) -> None:
        await self._subscription.aclose()
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.wait([self._task])

    async def _forward_messages(self) -> None:
        async for message in self._subscription:
            if not message.is_gap:
                try:
                    await self._broadcast(self.sockets, message.text)
                except Exception:  # a boundary: a message that cannot be sent must not end the subscription
                    logger.exception("A message of channel %r could not be sent to its sockets.", message.channel)


async def join_channel(handler: ResponseHandler, channels: BaseChannels, name: str, member: str) -> None:
    """Send the messages of *name* to the socket of *handler*, and make *member* present there.

    Raises:
        Unavailable: The channels' store does not respond; the socket has not joined.
    """
    joined = _joined_by_loop.setdefault(asyncio.get_running_loop(), {})
    key = (id(channels), name)
    channel = joined.get(key)
    if channel is None:
        channel = joined[key] = _JoinedChannel(channels, name, handler.application.broadcast)
    channel.sockets.setdefault(handler, "")
    try:
        await channel.open()
        if not channel.sockets.get(handler):
            await channels.presence.enter(name, member)
            if channel.sockets.get(handler) != "":  # it has left in the meantime, or joins twice concurrently
                await channels.presence.leave(name, member)
            else:
                channel.sockets[handler] = member
    except BaseException:
        await _remove_socket(joined, key, handler)
        raise


async def leave_channel(handler: ResponseHandler, channels: BaseChannels, name: str) -> None:
    """Undo `join_channel`."""
    await _remove_socket(_joined_by_loop.get(asyncio.get_running_loop(), {}), (id(channels), name), handler)


async def leave_channels(handler: ResponseHandler) -> None:
    """Leave every channel; called when the socket has closed."""
    joined = _joined_by_loop.get(asyncio.get_running_loop())
    if joined:
        for key in [key for key, channel in joined.items() if handler in channel.sockets]:
            await _remove_socket(joined, key, handler)


async def _remove_socket(joined: _JoinedChannels, key: tuple[int, str], handler: ResponseHandler) -> None:
    channel = joined.get(key)
    if channel is not None:
        member = channel.sockets.pop(handler, "")
        if not channel.sockets:
            del joined[key]
        if member:
            await channel.channels.presence.leave(key[1], member)
        if not channel.sockets:
            await channel.aclose()
