"""The ring, keys on the wire, and the generation that a clear renews."""

import asyncio

import pytest

from tests.cache.conftest import MakeMemcached
from torngas_aio.cache.memcached import node as nodes
from torngas_aio.cache.memcached.node import Ring, spelled


def test_keys_spread_evenly_and_alike_in_every_process() -> None:
    names = [f"10.0.0.{number}:11211" for number in range(1, 6)]
    ring, same = Ring(names), Ring(names[::-1])
    owners = [ring.owner(f"key{number}") for number in range(10_000)]
    assert owners == [same.owner(f"key{number}") for number in range(10_000)]
    assert all(1400 < owners.count(name) < 2600 for name in names)


def test_a_new_server_takes_its_share_and_moves_nothing_else() -> None:
    names = [f"10.0.0.{number}:11211" for number in range(1, 6)]
    small, large = Ring(names[:4]), Ring(names)
    moved = {number for number in range(10_000) if small.owner(f"key{number}") != large.owner(f"key{number}")}
    assert {large.owner(f"key{number}") for number in moved} == {names[4]}
    assert 1400 < len(moved) < 2600


def test_servers_that_are_out_are_passed_over_until_all_are() -> None:
    ring = Ring(["a", "b", "c"])
    first = ring.owner("key")
    second = ring.owner("key", lambda name: name == first)
    assert second != first
    third = ring.owner("key", lambda name: name in {first, second})
    assert {first, second, third} == {"a", "b", "c"}
    assert ring.owner("key", lambda name: True) == first
    assert Ring(["a"]).owner("key", lambda name: True) == "a"


@pytest.mark.parametrize("key", ["a" * 250, "p:1:k", "日本", "%session:x"])
def test_a_harmless_key_goes_as_it_is(key: str) -> None:
    assert spelled(key) == key.encode()


@pytest.mark.parametrize(
    "key", ["a" * 251, "日" * 84, "two words", "line\r\nend", "tab\t", "\x7f", "\x85", "\ud800", ""]
)
def test_any_other_key_goes_as_a_digest(key: str) -> None:
    wire = spelled(key)
    assert wire.startswith(b"%h:")
    assert len(wire) <= 250
    assert wire != spelled(key + "x")


@pytest.mark.memcached
async def test_keys_that_memcached_would_misread_are_kept_apart(make_memcached: MakeMemcached) -> None:
    cache = make_memcached(KEY_PREFIX="odd")
    odd = ["%lock:two words", "%lock:two", "%lock:" + "x" * 300, "%lock:" + "x" * 301, "%lock:a\r\nflush_all\r\n"]
    for number, key in enumerate(odd):
        await cache.raw_set(key, b"%d" % number, None)
    assert await cache.raw_get_many(odd) == {key: b"%d" % number for number, key in enumerate(odd)}
    for number, key in enumerate(odd):
        assert await cache.raw_get(key) == b"%d" % number
    await cache.raw_delete_many(odd)
    assert await cache.raw_get_many(odd) == {}


@pytest.mark.memcached
async def test_the_longest_key_still_works_behind_a_generation(make_memcached: MakeMemcached) -> None:
    cache = make_memcached(KEY_PREFIX="long")
    key = "k" * (250 - len("long:1:"))
    await cache.set(key, 1)
    assert await cache.get(key) == 1
    await cache.clear()
    assert await cache.get(key) is None


@pytest.mark.memcached
async def test_another_process_sees_a_clear_within_a_second(
    make_memcached: MakeMemcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make_memcached(KEY_PREFIX="shared"), make_memcached(KEY_PREFIX="shared")
    other = make_memcached(KEY_PREFIX="other")
    data = {f"key{number}": number for number in range(30)}
    await here.set_many(data)
    await other.set_many(data)
    await here.raw_set("%session:1", b"kept", None)
    assert await there.get_many(data) == data
    await here.clear()
    assert await here.get_many(data) == {}
    monkeypatch.setattr(nodes, "FRESH_SECONDS", 0.0)
    assert nodes.FRESH_SECONDS < 1
    assert await there.get_many(data) == {}
    assert await other.get_many(data) == data
    assert await there.raw_get("%session:1") == b"kept"


def test_generations_are_asked_for_again_within_a_second() -> None:
    assert 0 < nodes.FRESH_SECONDS < 1


@pytest.mark.memcached
async def test_a_clear_is_not_undone_by_a_question_under_way(
    make_memcached: MakeMemcached, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_memcached(KEY_PREFIX="race")
    await cache.set("key", "old")
    monkeypatch.setattr(nodes, "FRESH_SECONDS", 0.0)
    answers = await asyncio.gather(*(cache.get("key") for _ in range(20)), cache.clear())
    assert set(answers) <= {"old", None}
    assert await cache.get("key") is None


@pytest.mark.memcached
async def test_an_evicted_generation_loses_the_values_and_shows_no_others(make_memcached: MakeMemcached) -> None:
    cache, fresh = make_memcached(KEY_PREFIX="evicted"), make_memcached(KEY_PREFIX="evicted")
    await cache.set("key", "old")
    node = cache._node(cache.keys_of.make("key"))
    assert await node.run(lambda link: link.delete(spelled("%generation:evicted:")))
    assert await fresh.get("key") is None
    await fresh.set("key", "new")
    await fresh.close()
    assert await make_memcached(KEY_PREFIX="evicted").get("key") == "new"


@pytest.mark.memcached
async def test_only_its_own_prefix_can_be_cleared(make_memcached: MakeMemcached) -> None:
    cache = make_memcached(KEY_PREFIX="own")
    with pytest.raises(NotImplementedError, match="own prefix only"):
        await cache.raw_clear("other:")
    hidden = make_memcached(KEY_FUNCTION=lambda key, prefix, version: key)
    await hidden.set("key", 1)
    assert await hidden.get("key") == 1
    with pytest.raises(NotImplementedError, match="KEY_FUNCTION"):
        await hidden.clear()
