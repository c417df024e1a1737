"""get_many, set_many, delete_many."""

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.keys import Key


async def test_many_keys_go_and_come_together(cache: BaseCache) -> None:
    values: dict[Key, object] = {f"key{number}": {"n": number} for number in range(50)}
    values |= {"none": None, b"raw": b"\x00"}
    assert await cache.set_many(values) == []
    assert await cache.get_many([*values, "absent"]) == values
    await cache.delete_many(["key0", "absent", b"raw"])
    del values["key0"], values[b"raw"]
    assert await cache.get_many(["key0", *values, b"raw"]) == values


async def test_nothing_is_asked_for_nothing(cache: BaseCache) -> None:
    assert await cache.get_many([]) == {}
    assert await cache.set_many({}) == []
    await cache.delete_many([])


async def test_any_iterable_will_do(cache: BaseCache) -> None:
    await cache.set_many({"a": 1, "b": 2})
    assert await cache.get_many(key for key in ("a", "b", "b")) == {"a": 1, "b": 2}
    await cache.delete_many(key for key in ("a", "b"))
    assert await cache.get_many({"a", "b"}) == {}


async def test_set_many_keeps_its_timeout_and_version(subject: Subject) -> None:
    cache = subject.make()
    await cache.set_many({"a": 1, "b": 2}, subject.unit, version=3)
    assert await cache.get_many(["a", "b"], version=3) == {"a": 1, "b": 2}
    assert await cache.get_many(["a", "b"]) == {}
    await subject.wait(subject.unit * 2)
    assert await cache.get_many(["a", "b"], version=3) == {}
