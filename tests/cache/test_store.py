"""A store with the seven operations alone: the rest is made of them, or refused by name."""

from collections.abc import Awaitable, Callable

import pytest

from torngas_aio.cache.store import Store
from torngas_aio.exception import CacheUnavailable


class Seven(Store):
    """The operations that every store has, over a dict; lives are not kept."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    async def raw_get(self, key: str) -> bytes | None:
        if key == "%down":
            raise CacheUnavailable("down")
        return self.data.get(key)

    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        self.data[key] = data

    async def raw_add(self, key: str, data: bytes, timeout: float | None) -> bool:
        return self.data.setdefault(key, data) is data

    async def raw_touch(self, key: str, timeout: float | None) -> bool:
        return key in self.data

    async def raw_delete(self, key: str) -> bool:
        return self.data.pop(key, None) is not None

    async def raw_incr(self, key: str, delta: int) -> int | None:
        if key not in self.data:
            return None
        self.data[key] = b"%d" % (int(self.data[key]) + delta)
        return int(self.data[key])

    async def raw_clear(self, head: str) -> None:
        self.data = {key: data for key, data in self.data.items() if not key.startswith(head)}


async def test_many_keys_are_asked_for_one_by_one() -> None:
    store = Seven()
    assert await store.raw_set_many({"a": b"1", "b": b"", "c": b"3"}, 5) == []
    assert await store.raw_get_many(key for key in ("a", "b", "absent")) == {"a": b"1", "b": b""}
    await store.raw_delete_many(["a", "absent", "c"])
    assert store.data == {"b": b""}


async def test_empty_bytes_are_there() -> None:
    store = Seven()
    await store.raw_set("key", b"", None)
    assert await store.raw_has("key")
    assert not await store.raw_has("absent")


async def test_an_outage_in_the_middle_reaches_the_caller() -> None:
    store = Seven()
    store.data["a"] = b"1"
    with pytest.raises(CacheUnavailable):
        await store.raw_get_many(["a", "%down"])
    with pytest.raises(CacheUnavailable):
        await store.raw_has("%down")


@pytest.mark.parametrize(
    ("call", "ability"),
    [
        (lambda store: store.raw_read("key"), "compare-and-set"),
        (lambda store: store.raw_swap("key", b"", 1, None), "compare-and-set"),
        (lambda store: store.raw_drop("key", 1), "compare-and-delete"),
        (lambda store: store.raw_ttl("key"), r"ttl\(\)"),
        (lambda store: store.raw_keys("head", "*"), r"keys\(\)"),
    ],
    ids=["read", "swap", "drop", "ttl", "keys"],
)
async def test_what_a_store_cannot_do_is_refused_by_its_name(
    call: Callable[[Store], Awaitable[object]], ability: str
) -> None:
    with pytest.raises(NotImplementedError, match=rf"{__name__}\.Seven has no {ability}: .*Use a backend that does"):
        await call(Seven())
    assert not Seven.can_swap


async def test_it_is_reached_and_closed_without_further_work() -> None:
    store = Seven()
    await store.raw_ping()
    await store.raw_close()
    await store.raw_close()
    assert store.data == {}


def test_each_of_the_seven_is_asked_for() -> None:
    names = {name for name in vars(Seven) if name.startswith("raw_")}
    for name in names:
        lacking = type("Lacking", (Seven,), {name: getattr(Store, name)})
        with pytest.raises(TypeError, match=name):
            lacking()
    assert len(names) == 7
