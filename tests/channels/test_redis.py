"""Channels whose Redis dies, is replaced, freezes or kills their connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from tests.channels.test_base import next_of
from tests.polling import until
from tests.services.process import HERE
from tests.services.redis import RedisCluster, RedisSentinels, RedisServer, command
from torngas_aio.channels import listener
from torngas_aio.channels.base import Subscription
from torngas_aio.channels.redis import RedisChannels
from torngas_aio.exception import Unavailable

pytestmark = pytest.mark.redis


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def until_published(channels: RedisChannels, name: str, data: object) -> None:
    """Publish as soon as the server takes it."""

    async def is_published() -> bool:
        await channels.publish(name, data)
        return True

    await until(is_published, accepts=(Unavailable,))


async def until_data(messages: Subscription, data: object) -> list[object]:
    """The data that came up to *data*; "gap" for a gap."""
    seen: list[object] = []
    while data not in seen:
        message = await next_of(messages)
        seen.append("gap" if message.is_gap else message.data)
    return seen


async def test_a_lost_connection_shows_as_a_gap(server: RedisServer) -> None:
    channels = RedisChannels(server.url)
    async with channels.subscribe("x") as messages:
        await channels.publish("x", 1)
        assert (await next_of(messages)).data == 1
        command(server.port, "CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(10):
            assert (await anext(messages)).is_gap
        await channels.publish("x", 2)
        assert (await next_of(messages)).data == 2
    await channels.aclose()


async def test_with_a_history_nothing_is_missed(server: RedisServer) -> None:
    here = RedisChannels(server.url, {"OPTIONS": {"HISTORY": 1000}})
    there = RedisChannels(server.url, {"OPTIONS": {"HISTORY": 1000}})
    async with here.subscribe("x") as messages:
        for number in range(200):
            if number % 20 == 10:
                command(server.port, "CLIENT", "KILL", "TYPE", "pubsub")
            await there.publish("x", number)
        assert await until_data(messages, 199) == list(range(200))
    await here.aclose()
    await there.aclose()


async def test_a_server_that_lost_its_data_shows_as_a_gap(server: RedisServer) -> None:
    channels = RedisChannels(server.url, {"OPTIONS": {"HISTORY": 100}})
    async with channels.subscribe("x", "never") as messages:
        await channels.publish("x", 1)
        assert (await next_of(messages)).data == 1
        command(server.port, "FLUSHALL")
        command(server.port, "CLIENT", "KILL", "TYPE", "pubsub")
        found = await next_of(messages)
        assert (found.channel, found.is_gap) == ("x", True)
        await until_published(channels, "x", 2)
        assert await until_data(messages, 2) == [2]
    await channels.aclose()


async def test_a_server_that_is_started_again_is_found_again(server: RedisServer) -> None:
    channels = RedisChannels(server.url, {"OPTIONS": {"DEADLINE": 1}})
    async with channels.subscribe("x", patterns=["y*"]) as messages:
        server.process.kill()
        with pytest.raises(Unavailable, match="CHANNELS"):
            await channels.publish("x", 1)
        with pytest.raises(Unavailable, match="cannot be subscribed"):
            await channels.subscribe("z").__aenter__()
        server.process.restart()
        async with asyncio.timeout(20):
            assert (await anext(messages)).is_gap
        await until_published(channels, "yes", 2)
        assert await until_data(messages, 2) == [2]
    await channels.aclose()


async def test_a_history_that_the_server_has_lost_shows_as_a_gap(server: RedisServer) -> None:
    channels = RedisChannels(server.url, {"OPTIONS": {"HISTORY": 100}})
    async with channels.subscribe("x") as messages:
        await channels.publish("x", 1)
        assert await until_data(messages, 1) == [1]
        server.process.kill()
        server.process.restart()
        await until_published(channels, "x", 2)
        assert await until_data(messages, 2) == ["gap", 2]
    await channels.aclose()


async def test_what_comes_after_leaving_leaves_no_place_in_the_history(server: RedisServer) -> None:
    """The next subscriber would begin there after a lost connection."""
    channels = RedisChannels(server.url, {"OPTIONS": {"HISTORY": 100}})
    async with channels.subscribe("kept"):
        for number in range(20):
            left = await channels.subscribe(f"left{number}").__aenter__()
            publishing = asyncio.create_task(channels.publish(f"left{number}", number))
            for _ in range(number % 10):
                await asyncio.sleep(0)
            await left.aclose()
            await publishing
        await until(lambda: len(channels._listener._homes) == 1)
        assert channels._last_ids.keys() == {"kept"}
    await channels.aclose()


async def test_bytes_that_other_programs_publish_do_no_harm(server: RedisServer) -> None:
    channels = RedisChannels(server.url)
    async with channels.subscribe("x", patterns=["y*"]) as messages, Redis(port=server.port) as other:
        await other.publish("channel:x", b"\xff\xfe")
        await other.publish(b"channel:y\xff", b"1")
        await channels.publish("x", 2)
        assert (await until_data(messages, 2))[-1] == 2
    await channels.aclose()


async def test_a_frozen_server_is_an_error_within_the_deadline(server: RedisServer) -> None:
    channels = RedisChannels(server.url, {"OPTIONS": {"DEADLINE": 0.2}})
    async with channels.subscribe("x") as messages:
        server.process.pause()
        with pytest.raises(Unavailable):
            await channels.publish("x", 1)
        server.process.resume()
        await until_published(channels, "x", 2)
        assert (await until_data(messages, 2))[-1] == 2
    await channels.aclose()


async def test_a_silent_connection_is_noticed(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half open: the server is gone without a word."""
    monkeypatch.setattr("torngas_aio.channels.listener.PING_SECONDS", 0.1)
    channels = RedisChannels(server.url, {"OPTIONS": {"DEADLINE": 5}})
    async with channels.subscribe("x") as messages:
        server.process.pause()
        await until(lambda: not channels._listener.is_heard(("", "channel:x")))
        server.process.resume()
        async with asyncio.timeout(20):
            assert (await anext(messages)).is_gap
    await channels.aclose()


async def test_a_line_whose_reader_ends_while_it_subscribes_is_made_again(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the cancellation that follows is swallowed, as by `asyncio.wait_for` of Python 3.11."""
    send = listener._send
    swallowed: list[tuple[str, ...]] = []

    async def send_and_swallow(connection: AbstractConnection, *words: str) -> None:
        await send(connection, *words)
        if not swallowed:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(words)

    monkeypatch.setattr(listener, "_send", send_and_swallow)
    channels = RedisChannels(server.url)
    server.command("ACL", "SETUSER", "default", "resetchannels")
    with pytest.raises(Unavailable, match="no permissions"):
        await channels.subscribe("x").__aenter__()
    assert swallowed == [("SUBSCRIBE", "channel:x")]
    server.command("ACL", "SETUSER", "default", "allchannels")
    async with channels.subscribe("x") as messages:
        await channels.publish("x", 1)
        assert (await next_of(messages)).data == 1
    await channels.aclose()


@pytest.mark.parametrize("name", ["connect", "send_command"])
async def test_a_transport_that_is_closed_meanwhile_is_an_outage(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """uvloop tells it by a RuntimeError."""
    real, failed = getattr(AbstractConnection, name), asyncio.Event()

    async def fail_once(self: Any, *args: Any, **options: Any) -> Any:
        if not failed.is_set() and (name == "connect" or args[0] == "SUBSCRIBE"):
            failed.set()
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
        return await real(self, *args, **options)

    monkeypatch.setattr(AbstractConnection, name, fail_once)
    channels = RedisChannels(server.url)
    with pytest.raises(Unavailable, match="the connection was lost"):
        await channels.subscribe("x").__aenter__()
    async with channels.subscribe("x") as messages:
        await channels.publish("x", 1)
        assert (await next_of(messages)).data == 1
    await channels.aclose()
    assert failed.is_set()
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_failover_of_the_sentinels_is_followed() -> None:
    with RedisSentinels() as servers:
        channels = RedisChannels(servers.url, {"OPTIONS": {"HISTORY": 1000}})
        async with channels.subscribe("x") as messages:
            await channels.publish("x", "before")
            assert (await next_of(messages)).data == "before"
            await asyncio.to_thread(servers.switch)
            await until_published(channels, "x", "after")
            async with asyncio.timeout(30):
                assert (await until_data(messages, "after"))[-1] == "after"
        await channels.aclose()


async def test_a_cluster_that_was_down_is_found_again() -> None:
    with RedisCluster() as servers:
        channels = RedisChannels(servers.url, {"OPTIONS": {"DEADLINE": 1}})
        async with channels.subscribe("x") as messages:
            for node in servers.nodes:
                node.process.kill()
            with pytest.raises(Unavailable, match="cannot be subscribed"):
                await channels.subscribe("y").__aenter__()
            with pytest.raises(Unavailable):
                await channels.publish("x", 1)
            for node in servers.nodes:
                node.process.restart()
            async with asyncio.timeout(20):
                assert (await anext(messages)).is_gap
            await until_published(channels, "x", 2)
            assert await until_data(messages, 2) == [2]
        await channels.aclose()


async def test_all_is_closed_at_the_end(server: RedisServer) -> None:
    channels = RedisChannels(server.url)
    async with channels.subscribe("x"):
        pass
    await channels.publish("x", 1)
    await channels.aclose()
    await channels.aclose()
    await until(lambda: len(command(server.port, "CLIENT", "LIST").splitlines()) <= 1)


async def test_names_that_others_take_while_they_are_left_are_kept(server: RedisServer) -> None:
    channels = RedisChannels(server.url, {"OPTIONS": {"DEADLINE": 10}})
    kept = await channels.subscribe("kept").__aenter__()
    for _ in range(20):
        both = await channels.subscribe("a", "b").__aenter__()
        server.process.pause()
        await both.aclose()
        await asyncio.sleep(0)  # it has been asked to send "a" and "b" no more
        coming = [asyncio.create_task(channels.subscribe(name).__aenter__()) for name in "ab"]
        await until(lambda: {"a", "b"} <= set(channels._by_name))
        server.process.resume()
        for name, each in zip("ab", await asyncio.gather(*coming), strict=True):
            await channels.publish(name, "here")
            assert (await next_of(each)).data == "here"
            await each.aclose()
    await kept.aclose()
    await channels.aclose()


async def test_one_who_comes_while_the_last_one_leaves_hears_all(server: RedisServer) -> None:
    """The connection is closed when there are no subscribers, and made again without a gap."""
    channels = RedisChannels(server.url)
    for number in range(30):
        async with channels.subscribe("x"):
            pass
        for _ in range(number):
            await asyncio.sleep(0)
        async with channels.subscribe("x") as messages:
            await channels.publish("x", number)
            found = await next_of(messages)
            assert (found.is_gap, found.data) == (False, number)
    await channels.aclose()


async def test_a_failover_of_a_cluster_is_followed() -> None:
    names = [f"room{number}" for number in range(12)]  # on each of the shards
    with RedisCluster((HERE,) * 6) as servers:
        channels = RedisChannels(servers.url, {"OPTIONS": {"HISTORY": 1000}})
        async with channels.subscribe(*names) as messages:
            for name in names:
                await channels.publish(name, "before")
            assert {(await next_of(messages)).channel for _ in names} == set(names)
            assert len(channels._listener._lines) == 3
            await asyncio.to_thread(servers.master_of("{channel:room0}").process.kill)
            for name in names:
                await until_published(channels, name, "after")
            heard = dict.fromkeys(names, False)
            async with asyncio.timeout(30):
                while not all(heard.values()):
                    message = await anext(messages)
                    heard[message.channel] = message.data == "after"
        await channels.aclose()
