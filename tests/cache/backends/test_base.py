"""A backend of one's own, with nothing but the seven operations: everything that callers use works or is refused.

What all backends keep to stands in `tests/contracts/cache`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cache.test_store import Seven
from torngas_aio.cache.backends import base
from torngas_aio.cache.backends.base import DEFAULT_TIMEOUT, MISSING, BaseCache
from torngas_aio.exception import ArgumentError, CacheUnavailable, ConfigError


class OwnCache(Seven, BaseCache):
    """The dict of `Seven` behind the callers' operations; notes the lives that it is given."""

    def __init__(self, location: Any = "", params: Any = None) -> None:
        Seven.__init__(self)
        BaseCache.__init__(self, location, params)
        self.lives: list[float | None] = []
        self.refuses: set[str] = set()

    async def raw_set(self, key: str, data: bytes, timeout: float | None) -> None:
        self.lives.append(timeout)
        if key in self.refuses:
            raise CacheUnavailable("refused")
        await super().raw_set(key, data, timeout)

    async def raw_set_many(self, items: Any, timeout: float | None) -> list[str]:
        await super().raw_set_many({key: data for key, data in items.items() if key not in self.refuses}, timeout)
        return [key for key in items if key in self.refuses]


@pytest.fixture
async def cache() -> AsyncIterator[OwnCache]:
    made = OwnCache("", {"ALIAS": "own", "TIMEOUT": 30, "SECRET_KEY": "a secret of sixteen bytes"})
    yield made
    await made.close()


async def test_it_answers_callers(cache: OwnCache) -> None:
    await cache.set("key", {"n": [1]})
    assert await cache.get("key") == {"n": [1]}
    assert await cache.get_many(["key", "absent"]) == {"key": {"n": [1]}}
    assert not await cache.add("key", 2)
    assert await cache.add("n", 2)
    assert await cache.incr("n", 3) == 5
    assert await cache.decr("n") == 4
    assert await cache.incr_version("n", 2) == 3
    assert await cache.get("n", MISSING) is MISSING
    assert await cache.decr_version("n", version=3) == 2
    assert await cache.get("n", version=2) == 4
    assert await cache.touch("key")
    assert await cache.delete("key")
    assert not await cache.has_key("key")
    await cache.raw_set("%s::id", b"", None)
    await cache.clear()
    assert list(cache.data) == ["%s::id"]
    await cache.ping()


async def test_what_its_store_cannot_do_is_refused(cache: OwnCache) -> None:
    for call in (cache.ttl("key"), cache.keys(), cache.gets("key"), cache.cas("key", 1, 1)):
        with pytest.raises(NotImplementedError, match="OwnCache has no "):
            await call
    with pytest.raises(NotImplementedError, match=r"OwnCache has no lock\(\)"):
        cache.lock("work")


@pytest.mark.parametrize(
    ("timeout", "life"), [(DEFAULT_TIMEOUT, 30), (None, None), (2.5, 2.5), (float("inf"), None), (10**400, None)]
)
async def test_its_store_is_given_lives_as_it_takes_them(
    cache: OwnCache, timeout: float | None, life: float | None
) -> None:
    await cache.set("key", 1, timeout)
    assert cache.lives == [life]
    assert repr(DEFAULT_TIMEOUT) == "DEFAULT_TIMEOUT"


async def test_a_life_that_is_over_never_reaches_its_store(cache: OwnCache) -> None:
    await cache.set("key", 1)
    for timeout in (0, -1, float("-inf"), -(10**400)):
        assert await cache.add("other", 1, timeout)
        assert not await cache.add("key", 1, timeout)
        await cache.set("gone", 1, timeout)
        assert await cache.set_many({"gone": 1}, timeout) == []
    assert cache.lives == [30]
    assert await cache.touch("key", 0)
    assert not cache.data


async def test_a_failed_set_takes_the_old_value_along(cache: OwnCache) -> None:
    await cache.set_many({"a": "old", "b": "old"})
    cache.refuses = {cache.keys_of.make("a")}
    with pytest.raises(CacheUnavailable, match="refused"):
        await cache.set("a", "new")
    assert await cache.get_many(["a", "b"]) == {"b": "old"}
    await cache.raw_add(cache.keys_of.make("a"), b"old", None)
    assert await cache.set_many({"a": "new", "b": "new"}) == ["a"]
    assert await cache.get_many(["a", "b"]) == {"b": "new"}


async def test_a_set_whose_store_hangs_is_not_held_up_by_what_it_removes(
    cache: OwnCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_REMOVAL_SECONDS", 0.01)
    hanging = asyncio.Event()

    async def hang(keys: Any) -> None:
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(cache, "raw_delete_many", hang)
    cache.refuses = {cache.keys_of.make("a")}
    with pytest.raises(CacheUnavailable, match="refused"):
        await cache.set("a", 1)
    assert hanging.is_set()


async def test_values_that_others_wrote_into_a_shared_store_are_misses(cache: OwnCache) -> None:
    for key in ("a", "b"):
        await cache.raw_set(cache.keys_of.make(key), b"\x80\x05K\x01.", None)
    assert await cache.get("a", "default") == "default"
    assert await cache.get_many(["b"]) == {}
    assert not cache.data, "and they are removed"


async def test_computing_goes_on_while_its_store_is_down(cache: OwnCache, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: Any) -> None:
        raise CacheUnavailable("down")

    for name in ("raw_get", "raw_add"):
        monkeypatch.setattr(cache, name, down)
    assert await cache.get_or_set("key", lambda: "computed") == "computed"
    with pytest.raises(LookupError):
        await cache.get_or_set("key", _fail)


async def _fail() -> None:
    raise LookupError("no such row")


def test_the_cache_has_to_be_asked(cache: OwnCache) -> None:
    with pytest.raises(TypeError, match=r"await cache\.has_key\('key'\)"):
        "key" in cache  # noqa: B015


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"TIMEOUT": "soon"}, r"CACHES\['own'\]\['TIMEOUT'\] = 'soon': .*or None"),
        ({"TIMEOUT": float("nan")}, r"CACHES\['own'\]\['TIMEOUT'\] = nan"),
        ({"TIMEOUT": [1]}, r"CACHES\['own'\]\['TIMEOUT'\] = \[1\]"),
        ({"VERSION": "new"}, r"CACHES\['own'\]\['VERSION'\] = 'new'.*whole number"),
        ({"VERSION": [1]}, r"CACHES\['own'\]\['VERSION'\] = \[1\]"),
    ],
)
def test_settings_that_cannot_work_are_refused(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OwnCache("", {"ALIAS": "own", **params})


@pytest.mark.parametrize("timeout", ["5 minutes", float("nan"), object()])
def test_a_timeout_that_is_no_number_is_refused(cache: OwnCache, timeout: Any) -> None:
    with pytest.raises(ArgumentError, match="give seconds, or None for ever"):
        cache.life(timeout)


async def test_work_behind_the_caller_is_done_once_at_a_time_and_ends_with_the_cache(cache: OwnCache) -> None:
    begun: list[int] = []
    ended = asyncio.Event()

    async def work() -> None:
        begun.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    for _ in range(3):
        cache.refresh_soon("top", work)
    await asyncio.sleep(0)
    assert begun == [1]
    await cache.close()
    assert ended.is_set()


async def test_callers_of_one_name_compute_once(cache: OwnCache) -> None:
    may_end = asyncio.Event()
    begun: list[int] = []

    async def compute() -> int:
        begun.append(1)
        await may_end.wait()
        return 5

    callers = [asyncio.create_task(cache.compute_once("top", compute)) for _ in range(3)]
    await asyncio.sleep(0)
    may_end.set()
    assert await asyncio.gather(*callers) == [5, 5, 5]
    assert begun == [1]
