"""WebSockets that join channels."""

import asyncio

from websockets.asyncio.client import connect

from tests.handler.conftest import Start
from tests.polling import until
from torngas_aio.channels import channels
from torngas_aio.handler import joining


async def test_joined_sockets_get_every_message_once(start: Start) -> None:
    _, port = await start()
    url = f"ws://127.0.0.1:{port}/room?room=news"
    async with connect(url, proxy=None) as first, connect(url, proxy=None) as second, asyncio.timeout(10):
        assert [await first.recv(), await second.recv()] == ["joined", "joined"]
        await first.send("hello")
        assert [await first.recv(), await second.recv()] == ['{"said":"hello"}'] * 2
        await second.send("leave")
        assert await second.recv() == "left"
        await first.send("again")
        assert await first.recv() == '{"said":"again"}'
        await second.send("third")
        assert await first.recv() == '{"said":"third"}'
    await until(lambda: not joining._joined_by_loop.get(asyncio.get_running_loop()))
    assert channels["default"]._by_name == {}


async def test_a_room_that_may_not_be_joined_closes_the_socket(start: Start) -> None:
    _, port = await start()
    async with connect(f"ws://127.0.0.1:{port}/room?room=secret", proxy=None) as client, asyncio.timeout(10):
        await client.wait_closed()
        assert client.close_code == 1011
