"""The contract of channels, on every backend; what Redis alone can do wrong stands in test_redis.py."""

import asyncio
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.channels.conftest import Make
from tests.polling import until
from torngas_aio.channels.base import MAX_MESSAGE_BYTES, Message, Subscription
from torngas_aio.channels.memory import MemoryChannels
from torngas_aio.channels.redis import RedisChannels
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


@pytest.mark.parametrize("history", [0, 10])
@pytest.mark.parametrize("name", ["a b", "{x}", "user:*", "a{b}c}", "}x", "名字", "[1]"])
async def test_names_are_literal(make: Make, name: str, history: int) -> None:
    here = make(HISTORY=history)
    async with here.subscribe(name) as messages:
        await here.publish("user:7", "other")
        await here.publish(name, "mine")
        assert (await next_of(messages)).data == "mine"


@pytest.mark.parametrize("patterns", ["user:*", ["user:*"]])
async def test_patterns(make: Make, patterns: str | list[str]) -> None:
    here = make()
    if not here.takes_patterns:
        with pytest.raises(ArgumentError, match="take no patterns"):
            here.subscribe(patterns=patterns)
        return
    async with here.subscribe("user:7", patterns=patterns) as messages:
        await here.publish("user:7", 1)
        await here.publish("group:7", 2)
        await here.publish("user:8", 3)
        assert [(each.channel, each.data) for each in (await next_of(messages), await next_of(messages))] == [
            ("user:7", 1),
            ("user:8", 3),
        ]


@pytest.mark.parametrize(
    "pattern", ["[!a]", "[^a]", "?", "a?", "??", "a\\b", "a\\*b", "a[b", "[[]a]", "[é]", "[]]", "[!]]", "[a-]", "*b"]
)
async def test_patterns_are_those_of_file_names(make: Make, pattern: str) -> None:
    here = make()
    if not here.takes_patterns:
        pytest.skip("a cluster")
    names = ["a", "b", "é", "!", "^", "\\", "a\\b", "ab", "a*b", "a[b", "[a]", "aé", "]", "-", "日本"]
    async with here.subscribe("end", patterns=[pattern, "c?"]) as messages:
        for name in [*names, "end"]:
            await here.publish(name, name)
        found = [message.data async for message in _up_to(messages, "end")]
    assert found == [*(name for name in names if fnmatchcase(name, pattern)), "end"]


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
        found = [message async for message in _up_to(messages, 2)]
    assert found[0].is_gap is (after != "")


async def test_an_id_that_the_history_does_not_have_is_a_gap(make: Make) -> None:
    """The data is lost, or the id another's; what there is comes after the gap."""
    here = make(HISTORY=10)
    await here.publish("x", 1)
    for after in ("1000000000000-0", "9999999999999-0", "5"):
        async with here.subscribe("x", "y", after=after) as messages:
            assert (await next_of(messages)).is_gap
    async with here.subscribe("empty", after="1000000000000-0") as messages:
        assert (await next_of(messages)).is_gap
    async with here.subscribe("x", "y", after="0") as messages:
        first = await next_of(messages)
        assert first.data == 1
    async with here.subscribe("x", "y", after=first.id) as messages:
        await here.publish("y", 2)
        assert (await next_of(messages)).data == 2


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
    with pytest.raises(ArgumentError, match="'drop' or 'close'"):
        here.subscribe("x", when_full="closed")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"after=5\): give the id of a message"):
        here.subscribe("x", after=5)  # type: ignore[arg-type]


async def test_a_cancelled_wait_loses_nothing() -> None:
    here = MemoryChannels()
    async with here.subscribe("x") as messages:
        waiting = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await here.publish("x", 1)
        assert (await next_of(messages)).data == 1


@pytest.mark.parametrize(
    "after",
    [
        *("99999999999999999999-0", "0-99999999999999999999", "1-", "0-0"),
        *("18446744073709551615-0", "0-18446744073709551615", "18446744073709551615-18446744073709551615"),
    ],
)
async def test_ids_that_no_history_has_are_read_as_far_as_they_go(make: Make, after: str) -> None:
    here = make(HISTORY=10)
    await here.publish("x", 1)
    async with here.subscribe("x", after=after) as messages:
        await here.publish("x", 2)
        assert [message.data async for message in _up_to(messages, 2)][-1] == 2


async def _up_to(messages: Subscription, last: Any) -> AsyncIterator[Message]:
    async with asyncio.timeout(10):
        async for message in messages:
            yield message
            if message.data == last:
                return


async def test_a_replay_takes_no_more_memory_than_a_slow_subscriber(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any client may name an old id; the newest messages are read, after a gap."""
    monkeypatch.setattr("torngas_aio.channels.base.MAX_WAITING_CHARS", 50_000)
    here = make(HISTORY=1000)
    for number in range(350):
        await here.publish("x", f"{number:03}" * 200)
    async with here.subscribe("x", after="1-0") as messages:
        assert messages._waiting <= 50_000
        await here.publish("x", "end")
        found = [message async for message in _up_to(messages, "end")]
    assert found[0].is_gap
    numbers = [int(each.data[:3]) for each in found[1:-1]]
    assert numbers == list(range(350 - len(numbers), 350))
    assert len(numbers) > 50
    async with here.subscribe("x", after=found[-10].id) as messages:
        assert [each.is_gap for each in messages._queue] == [False] * 9


async def test_a_subscription_that_is_cancelled_leaves_nothing_behind(make: Make) -> None:
    here = make()
    async with here.subscribe("kept") as kept:
        for number in range(50):
            waiting = asyncio.create_task(here.subscribe(f"left{number}").__aenter__())
            for _ in range(number % 7):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                await waiting.result().aclose()
        async with here.subscribe("left1") as again:  # a name that was left can be subscribed to again
            await here.publish("left1", 1)
            assert (await next_of(again)).data == 1
            if isinstance(here, RedisChannels):
                await until(lambda: len(here._listener._homes) == 2 and not here._listener._waiting)
        assert set(here._by_name) == {"kept"}
        await here.publish("kept", 2)
        assert (await next_of(kept)).data == 2


async def test_several_tasks_may_read_one_subscription() -> None:
    here = MemoryChannels()
    async with here.subscribe("x") as messages:
        reading = [asyncio.create_task(next_of(messages)) for _ in range(3)]
        await asyncio.sleep(0)
        for number in range(3):
            await here.publish("x", number)
        assert sorted([(await each).data for each in reading]) == [0, 1, 2]
        reading = [asyncio.create_task(anext(messages)) for _ in range(3)]
        await asyncio.sleep(0)
    ended = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(each, StopAsyncIteration) for each in ended)


async def test_a_subscription_can_be_entered_again_and_ends_outside_of_its_block(make: Make) -> None:
    here = make()
    messages = here.subscribe("x")
    assert [message async for message in messages] == []
    for number in range(2):
        async with messages:
            await here.publish("x", number)
            assert (await next_of(messages)).data == number
    assert not here._by_name


async def test_channels_that_were_closed_can_be_subscribed_to_again(make: Make) -> None:
    here = make()
    async with here.subscribe("x") as left:
        await here.aclose()
        assert [message async for message in left] == []
        async with here.subscribe("x") as messages:
            await here.publish("x", 1)
            assert (await next_of(messages)).data == 1


@pytest.mark.parametrize("name", [5, None, b"x", ["x"]])
async def test_names_that_are_no_text_are_refused(name: Any) -> None:
    here = MemoryChannels()
    for call in (lambda: here.publish(name, 1), lambda: here.members(name)):
        with pytest.raises(ArgumentError, match="no channel name"):
            await call()
    with pytest.raises(ArgumentError, match="no channel name"):
        here.subscribe(name)


async def test_many_that_subscribe_at_once_all_hear(make: Make) -> None:
    """A server that starts is met by all who come back: the first connection is made once."""
    here = make()

    async def hear(number: int) -> int:
        async with here.subscribe(f"room{number}") as messages:
            await here.publish(f"room{number}", number)
            return int((await next_of(messages)).data)

    assert await asyncio.gather(*(hear(number) for number in range(40))) == list(range(40))
