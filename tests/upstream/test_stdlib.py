"""Parts written together pause a protocol whose peer does not read; Python tells of forgotten coroutines."""

import asyncio
import socket

import pytest
import uvloop

from torngas_aio._compat.stdlib import set_unawaited_hook, unawaited_hook, write_parts


class Pausing(asyncio.Protocol):
    def __init__(self) -> None:
        self.is_paused = False

    def pause_writing(self) -> None:
        self.is_paused = True


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_peer_that_does_not_read_pauses_the_protocol(make_loop: type) -> None:
    """CVE-2024-12254: `writelines` of asyncio never told."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    async def write() -> bool:
        transport, protocol = await asyncio.get_running_loop().create_connection(Pausing, sock=ours)
        for _ in range(20):
            write_parts(transport, (b"head", b"x" * 100_000))
        transport.abort()
        return protocol.is_paused

    with theirs, asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(write())


def test_parts_arrive_in_order() -> None:
    ours, theirs = socket.socketpair()

    async def write() -> bytes:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        write_parts(transport, [b"one ", b"two ", b"three"])
        transport.close()
        reader, writer = await asyncio.open_connection(sock=theirs)
        found = await reader.read()
        writer.close()
        await writer.wait_closed()
        return found

    assert asyncio.run(write()) == b"one two three"


def test_python_calls_the_hook_for_a_coroutine_that_is_dropped() -> None:
    async def forgotten() -> None:
        pass

    before, dropped = unawaited_hook(), list[str]()
    set_unawaited_hook(lambda coroutine: dropped.append(coroutine.__qualname__))
    try:
        forgotten()  # type: ignore[unused-coroutine]
    finally:
        set_unawaited_hook(before)
    assert dropped == [forgotten.__qualname__]
    assert unawaited_hook() is before
