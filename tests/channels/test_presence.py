"""Who is present in a channel, on every backend."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Collection
from typing import Any

import pytest

from tests.channels.conftest import Make
from tests.polling import until
from tests.services.redis import RedisServer
from torngas_aio import Application
from torngas_aio.channels import channels
from torngas_aio.channels.presence import Presence
from torngas_aio.channels.redis import RedisChannels
from torngas_aio.exception import ArgumentError, Unavailable
from torngas_aio.handler import WebSocketHandler
from torngas_aio.testing import TestClient


async def test_members_of_all_processes_are_told_while_they_are_there(make: Make) -> None:
    here, there = make(), make()
    async with here.present("room", "ann"), there.present("room", "bob é"), there.present("room", "ann"):
        async with here.present("room", "ann"), here.present("other", "eve"):
            assert await here.members("room") == await there.members("room") == ["ann", "bob é"]
        assert await there.members("room") == ["ann", "bob é"]
        assert await here.members("other") == []
    assert await here.members("room") == []


async def test_members_of_a_process_that_was_killed_expire(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torngas_aio.channels.presence.BEAT_SECONDS", 0.2)
    monkeypatch.setattr("torngas_aio.channels.redis.PRESENT_SECONDS", 1.0)
    here, killed = make(), make()
    if here is killed:
        pytest.skip("one process")
    await killed.presence.enter("room", "gone")
    async with here.present("room", "stays"):
        await asyncio.sleep(1.5)
        assert await here.members("room") == ["gone", "stays"]
        assert killed.presence._beating is not None
        killed.presence._beating.cancel()
        await until_present(here, ["stays"])


PRESENT = """
import asyncio, sys
from torngas_aio.channels.redis import RedisChannels

async def main():
    async with RedisChannels(sys.argv[1]).present("room", "gone"):
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.redis
async def test_members_of_a_process_that_got_sigkill_are_gone_within_ten_seconds(lone_redis: RedisServer) -> None:
    here = RedisChannels(lone_redis.url)
    async with here.present("room", "stays"):
        with subprocess.Popen([sys.executable, "-c", PRESENT, lone_redis.url]) as process:
            try:
                await until_present(here, ["gone", "stays"])
                await asyncio.sleep(3)  # it has said it again
            finally:
                process.kill()
        killed_at = time.monotonic()
        assert await here.members("room") == ["gone", "stays"]
        await until_present(here, ["stays"])
        assert time.monotonic() - killed_at < 10
    await here.aclose()


@pytest.mark.parametrize(("name", "member"), [("", "a"), ("room", ""), ("room", "a\n"), ("room", "a" * 201)])
async def test_names_that_are_none_are_refused(make: Make, name: str, member: str) -> None:
    with pytest.raises(ArgumentError, match="channel name"):
        async with make().present(name, member):
            pass


async def test_an_error_that_nobody_expects_ends_no_beat(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torngas_aio.channels.presence.BEAT_SECONDS", 0.01)
    said: list[str] = []

    async def announce(name: str, members: Collection[str]) -> None:
        said.append(name)
        if len(said) == 2:
            raise ValueError("a reply that is none")

    presence = Presence(announce)
    await presence.enter("room", "ann")
    await until(lambda: len(said) > 3)
    assert "a reply that is none" in caplog.text
    await presence.aclose()


async def test_a_member_that_leaves_during_a_beat_is_not_announced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torngas_aio.channels.presence.BEAT_SECONDS", 0.0)
    said: list[str] = []

    async def announce(name: str, members: Collection[str]) -> None:
        said.extend(members)

    async def withdraw(name: str, member: str) -> None:
        said.append("gone")

    presence = Presence(announce, withdraw)
    for steps in range(10):
        said.clear()
        await presence.enter("room", "ann")
        for _ in range(steps):
            await asyncio.sleep(0)
        await presence.leave("room", "ann")
        for _ in range(10):
            await asyncio.sleep(0)
        assert said[-1] == "gone"
    await presence.aclose()


@pytest.mark.redis
async def test_a_server_that_is_down_is_an_error_and_is_told_again_when_it_is_back(
    lone_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torngas_aio.channels.presence.BEAT_SECONDS", 0.1)
    found = RedisChannels(lone_redis.url, {"OPTIONS": {"DEADLINE": 0.5}})
    async with found.present("room", "ann"):
        lone_redis.process.kill()
        with pytest.raises(Unavailable, match="members"):
            await found.members("room")
        with pytest.raises(Unavailable, match="members"):
            async with found.present("room", "bob"):
                pass
        lone_redis.process.restart()

        async def is_back() -> bool:
            return await found.members("room") == ["ann"]

        await until(is_back, 20, accepts=(Unavailable,))
    await found.aclose()


class Room(WebSocketHandler):
    async def open(self) -> None:
        await self.join("room", member=self.get_argument("member", ""))
        await self.write_message("joined")

    async def on_message(self, message: str | bytes) -> None:
        await self.leave("room")
        await self.write_message("left")


async def test_sockets_are_members_of_what_they_have_joined() -> None:
    async with TestClient(Application([(r"/room", Room)])) as client:
        async with client.websocket("/room?member=ann") as ann, client.websocket("/room?member=ann") as again:
            async with client.websocket("/room") as other:
                for socket in (ann, again, other):
                    assert await socket.receive_text() == "joined"
                members = await channels.members("room")
                assert (len(members), members.count("ann")) == (2, 1)
            await until_present(channels, ["ann"])
            await again.send_text("leave")
            assert await again.receive_text() == "left"
            assert await channels.members("room") == ["ann"]
        await until_present(channels, [])


async def until_present(channels: Any, members: list[str]) -> None:
    async def is_so() -> bool:
        return bool(await channels.members("room") == members)

    await until(is_so)
