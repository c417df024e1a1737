"""The contract of channels, on every backend; what Redis alone can do wrong stands in test_redis.py."""

import asyncio
from typing import Any

import pytest

from tests.channels.conftest import Make
from torngas_aio.channels.base import MAX_MESSAGE_BYTES, Message, Subscription
from torngas_aio.channels.memory import MemoryChannels
from torngas_aio.exception import ArgumentError, SerializationError, ValueTooLarge


async def next_of(messages: Subscription) -> Message:
    async with asyncio.timeout(10):
        return await anext(messages)


async def test_every_subscriber_gets_a_message_once_and_in_order(make: Make) -> None:
    here, there = make(), make()
    async with here.subscribe("a", "b") as first, there.subscribe("a") as second:
        for number in range(20):
            await there.publish("a" if number % 2 else "b", {"n": number})
        found = [await next_of(first) for _ in range(20)]
        assert sorted(each.data["n"] for each in found) == list(range(20))
        assert [each.data["n"] for each in found if each.channel == "a"] == list(range(1, 20, 2))
        assert [(await next_of(second)).data["n"] for _ in range(10)] == list(range(1, 20, 2))


@pytest.mark.parametrize("data", [None, 0, "é\n\u2028", [1, {"a": [None]}], {"ü": 1.5}, True], ids=repr)
async def test_data_arrives_as_json_has_it(make: Make, data: Any) -> None:
    here = make()
    async with here.subscribe("x") as messages:
        await here.publish("x", data)
        assert (await next_of(messages)).data == data


@pytest.mark.parametrize("name", ["a b", "{x}", "user:*", "a{b}c}", "名字", "[1]"])
async def test_names_are_literal(make: Make, name: str) -> None:
    here = make()
    async with here.subscribe(name) as messages:
        await here.publish("user:7", "other")
        await here.publish(name, "mine")
        assert (await next_of(messages)).data == "mine"


async def test_patterns(make: Make) -> None:
    here = make()
    if not here.takes_patterns:
        with pytest.raises(ArgumentError, match="take no patterns"):
            here.subscribe(patterns=["user:*"])
        return
    async with here.subscribe("user:7", patterns=["user:*"]) as messages:
        await here.publish("user:7", 1)
        await here.publish("group:7", 2)
        await here.publish("user:8", 3)
        assert [(each.channel, each.data) for each in (await next_of(messages), await next_of(messages))] == [
            ("user:7", 1),
            ("user:8", 3),
        ]


async def test_nothing_arrives_after_leaving(make: Make) -> None:
    here = make()
    async with here.subscribe("x") as left:
        pass
    async with here.subscribe("x") as messages:
        await here.publish("x", 1)
        await next_of(messages)
    with pytest.raises(StopAsyncIteration):
        await anext(left)


async def test_the_history_is_read_first_and_nothing_comes_twice(make: Make) -> None:
    here, there = make(HISTORY=100), make(HISTORY=100)
    async with here.subscribe("x") as messages:
        for number in range(3):
            await there.publish("x", number)
        seen = await next_of(messages)
    async with there.subscribe("x", after=seen.id) as messages:
        await here.publish("x", 3)
        found = [await next_of(messages) for _ in range(3)]
    assert [each.data for each in found] == [1, 2, 3]
    assert len({each.id for each in found}) == 3


async def test_a_history_that_does_not_reach_back_begins_with_a_gap() -> None:
    here = MemoryChannels("", {"OPTIONS": {"HISTORY": 3}})
    async with here.subscribe("x") as messages:
        await here.publish("x", "first")
        seen = await next_of(messages)
    for number in range(10):
        await here.publish("x", number)
    async with here.subscribe("x", after=seen.id) as messages:
        found = [await next_of(messages) for _ in range(4)]
    assert [each.is_gap for each in found] == [True, False, False, False]
    assert [each.data for each in found] == [None, 7, 8, 9]


@pytest.mark.parametrize("after", ["", "x", "-", "9" * 500, "1-2-3", "\N{FULLWIDTH DIGIT ONE}-0"])
async def test_ids_of_strangers_are_harmless(make: Make, after: str) -> None:
    here = make(HISTORY=10)
    await here.publish("x", 1)
    async with here.subscribe("x", after=after) as messages:
        await here.publish("x", 2)
        found = [await next_of(messages), await next_of(messages)]
    assert 2 in [each.data for each in found]


async def test_a_slow_subscriber_loses_the_oldest_and_sees_the_gap() -> None:
    here = MemoryChannels("", {"OPTIONS": {"QUEUE_SIZE": 4}})
    async with here.subscribe("x") as slow:
        for number in range(10):
            await here.publish("x", number)
        found = [await next_of(slow) for _ in range(4)]
    assert [each.data for each in found] == [None, 7, 8, 9]
    assert found[0].is_gap


async def test_what_waits_for_a_slow_subscriber_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """1000 messages of the largest would be 256 MB."""
    monkeypatch.setattr("torngas_aio.channels.base.MAX_WAITING_CHARS", 1000)
    here = MemoryChannels()
    async with here.subscribe("x") as slow, here.subscribe("x", when_full="close") as ended:
        for number in range(20):
            await here.publish("x", f"{number:02}" * 50)
            assert sum(len(each.text) for each in slow._queue) <= 1000
        await here.publish("x", "y" * 990)  # alone as large as all that may wait
        found = [await next_of(slow), await next_of(slow)]
        assert [each.data for each in found] == [None, "y" * 990]
        await here.publish("x", "small")
        assert (await next_of(slow)).data == "small"
        assert len([message async for message in ended]) == 9


async def test_a_replayed_history_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    here = MemoryChannels("", {"OPTIONS": {"HISTORY": 50}})
    async with here.subscribe("x") as messages:
        await here.publish("x", "first")
        seen = await next_of(messages)
    for number in range(20):
        await here.publish("x", f"{number:02}" * 49)
    monkeypatch.setattr("torngas_aio.channels.base.MAX_WAITING_CHARS", 1000)
    async with here.subscribe("x", after=seen.id) as messages:
        await here.publish("x", "last")
        found = [await next_of(messages) for _ in range(len(messages._queue))]
        assert found[0].is_gap
        assert found[-1].data == "last"
        assert sum(len(each.text) for each in found) <= 1000


async def test_a_slow_subscriber_may_be_ended() -> None:
    here = MemoryChannels("", {"OPTIONS": {"QUEUE_SIZE": 2}})
    async with here.subscribe("x", when_full="close") as slow:
        for number in range(5):
            await here.publish("x", number)
        assert [message.data async for message in slow] == [0, 1]


async def test_what_cannot_be_sent_is_refused() -> None:
    here = MemoryChannels()
    with pytest.raises(ValueTooLarge):
        await here.publish("x", "x" * MAX_MESSAGE_BYTES)
    with pytest.raises(SerializationError):
        await here.publish("x", object())
    for name in ("", "x" * 201, "a\nb", "\0"):
        with pytest.raises(ArgumentError, match="no channel name"):
            await here.publish(name, 1)
    with pytest.raises(ArgumentError, match="HISTORY"):
        here.subscribe("x", after="1-0")
    with pytest.raises(ArgumentError, match="a channel name or a pattern"):
        here.subscribe()


async def test_a_cancelled_wait_loses_nothing() -> None:
    here = MemoryChannels()
    async with here.subscribe("x") as messages:
        waiting = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await here.publish("x", 1)
        assert (await next_of(messages)).data == 1
