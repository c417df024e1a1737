"""The store as a whole: isolation of values, size, several caches, ping, close."""

import asyncio

import pytest

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.exception import ConfigError, SerializationError


async def test_values_are_apart_from_the_caller_s_objects(cache: BaseCache) -> None:
    flat, deep = [1, 2], {"a": [1]}
    await cache.set("flat", flat)
    await cache.add("deep", deep)
    flat.append(3)
    deep["a"].append(2)
    first = await cache.get("flat")
    assert first == [1, 2]
    first.append(4)
    assert await cache.get("flat") == [1, 2]
    (await cache.get("deep"))["a"].append(5)
    assert await cache.get("deep") == {"a": [1]}


async def test_big_values_fit(subject: Subject) -> None:
    cache = subject.make()
    big = b"\x00\xff\n\r" * (subject.max_value_bytes // 4 - 64)
    await cache.set("big", big)
    assert await cache.get("big") == big
    assert await cache.get_many(["big", "absent"]) == {"big": big}


async def test_what_cannot_be_written_is_refused_and_nothing_is_kept(cache: BaseCache) -> None:
    await cache.set("key", "old")
    for operation in (cache.set("key", lambda: 1), cache.set_many({"key": lambda: 1}), cache.add("new", lambda: 1)):
        with pytest.raises(SerializationError, match="function"):
            await operation
    assert await cache.get("key") == "old"
    assert not await cache.has_key("new")


@pytest.mark.parametrize("name", ["json", "msgpack", "pickle", "safe-pickle", "signed-pickle"])
async def test_every_serializer_works_on_every_store(subject: Subject, name: str) -> None:
    cache = subject.make(OPTIONS={"SERIALIZER": name, "SECRET_KEY": "sixteen bytes at least"})
    values = {"n": 5, "minus": -5, "half": 1.5, "text": "é", "none": None, "yes": True, "deep": {"a": [1, "b", None]}}
    await cache.set_many(values)
    found = await cache.get_many(values)
    assert found == values
    assert [type(value) for value in found.values()] == [type(values[str(key)]) for key in found]
    assert await cache.incr("n") == 6
    assert await cache.get("n") == 6
    with pytest.raises(ValueError, match="integer"):
        await cache.incr("half")


async def test_a_serializer_that_does_not_exist_is_refused(subject: Subject) -> None:
    with pytest.raises(ConfigError, match=r"SERIALIZER = 'no\.such'"):
        subject.make(OPTIONS={"SERIALIZER": "no.such"})


async def test_all_caches_on_a_store_see_the_same(subject: Subject) -> None:
    one, two = subject.make(), subject.make()
    await one.set("key", 1)
    assert await two.get("key") == 1
    await two.clear()
    assert await two.get("key") is None
    await asyncio.sleep(subject.clear_seconds)
    assert await one.get("key") is None


async def test_ping_answers(any_subject: Subject) -> None:
    await any_subject.make().ping()


async def test_a_closed_cache_opens_again(subject: Subject) -> None:
    cache = subject.make()
    await cache.set("key", 1)
    await cache.close()
    await cache.close()
    assert await subject.make().get("key") == 1
    assert await cache.get("key") == 1
