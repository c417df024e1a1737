"""get, set, add, touch, delete, has_key, incr: one key at a time."""

import pytest

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import MISSING, BaseCache
from torngas_aio.exception import CacheUnavailable


async def test_a_value_comes_back_as_it_went(cache: BaseCache) -> None:
    for value in (1, -7, 1.5, "text", "日本 🐢", b"\x00\xff", True, [1, [2]], {"a": {"b": 2}}, (1, "x"), {1, 2}):
        await cache.set("key", value)
        found = await cache.get("key")
        assert found == value
        assert type(found) is type(value)


async def test_a_cached_none_differs_from_a_miss(cache: BaseCache) -> None:
    await cache.set("none", None)
    assert await cache.get("none", MISSING) is None
    assert await cache.get("absent", MISSING) is MISSING
    assert await cache.has_key("none")
    assert not await cache.has_key("absent")


async def test_only_the_first_add_is_kept(cache: BaseCache) -> None:
    assert await cache.add("key", "first")
    assert not await cache.add("key", "second")
    assert await cache.get("key") == "first"


async def test_delete_tells_whether_the_key_was_there(cache: BaseCache) -> None:
    await cache.set("key", 1)
    assert await cache.delete("key")
    assert not await cache.delete("key")
    assert await cache.get("key") is None


async def test_incr_and_decr_count_in_both_directions(cache: BaseCache) -> None:
    await cache.set("n", 1)
    assert await cache.incr("n") == 2
    assert await cache.incr("n", 10) == 12
    assert await cache.decr("n", 2) == 10
    assert await cache.get("n") == 10


async def test_incr_of_what_is_no_number_is_an_error(cache: BaseCache) -> None:
    with pytest.raises(ValueError, match="no key 'absent'"):
        await cache.incr("absent")
    await cache.set("text", "seven")
    with pytest.raises(ValueError, match="integer"):
        await cache.incr("text")
    assert await cache.get("text") == "seven"


async def test_an_expired_key_counts_as_absent(subject: Subject) -> None:
    cache = subject.make()
    await cache.set("long", "v", subject.unit * 100)
    await cache.set("ever", "v", None)
    await cache.set("short", "v", subject.unit)
    assert await cache.get("short") == "v"
    await subject.wait(subject.unit * 2)
    assert await cache.get("short") is None
    assert not await cache.has_key("short")
    assert await cache.add("short", "again")
    assert await cache.get_many(["long", "ever"]) == {"long": "v", "ever": "v"}


async def test_a_set_that_the_store_refuses_leaves_no_old_value(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*args: object) -> None:
        raise CacheUnavailable("the store is full")

    async def refuse_many(items: dict[str, bytes], timeout: float) -> list[str]:
        return [key for key in items if key.endswith("b")]

    await cache.set_many({"a": 1, "b": 1, "c": 1})
    if type(cache).set is BaseCache.set:
        monkeypatch.setattr(cache, "raw_set", refuse)
        with pytest.raises(CacheUnavailable):
            await cache.set("a", 2)
        assert await cache.get("a") is None
    monkeypatch.setattr(cache, "raw_set_many", refuse_many)
    assert await cache.set_many({"b": 2, "c": 2}) == ["b"]
    assert await cache.get("b") is None
