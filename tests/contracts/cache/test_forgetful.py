"""The dummy cache behaves like an empty cache."""

import pytest

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.exception import InvalidKey, SerializationError


@pytest.fixture
def empty(subject_dummy: Subject) -> BaseCache:
    return subject_dummy.make()


async def test_it_answers_as_an_empty_cache(empty: BaseCache) -> None:
    await empty.set("key", 1)
    assert await empty.add("key", 1)
    assert await empty.get("key", 5) == 5
    assert await empty.get_or_set("key", lambda: 6) == 6
    assert await empty.get_many(["key"]) == {}
    assert await empty.set_many({"key": 1}) == []
    assert not await empty.has_key("key")
    assert not await empty.touch("key")
    assert not await empty.delete("key")
    await empty.delete_many(["key"])
    assert await empty.ttl("key") == 0.0
    assert await empty.keys() == []
    await empty.clear()
    with pytest.raises(ValueError, match="no key 'key'"):
        await empty.incr("key")


async def test_it_refuses_what_every_cache_refuses(empty: BaseCache) -> None:
    with pytest.raises(InvalidKey):
        await empty.set("a\nb", 1)
    with pytest.raises(SerializationError):
        await empty.set("key", lambda: 1)
    with pytest.raises(NotImplementedError, match=r"DummyCache has no compare-and-set"):
        await empty.gets("key")
    with pytest.raises(NotImplementedError, match=r"DummyCache has no lock"):
        empty.lock("work")
