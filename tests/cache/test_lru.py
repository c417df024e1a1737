"""Entries with a life: which go first, what a time limit hides, what may be kept as it is; no cache around them."""

import gc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torngas_aio.cache.lru import FOREVER, Entry, Kind, Location, LRUStore, kind_of


def entry(expires_at: float = FOREVER) -> Entry:
    return Entry("value", Kind.AS_IS, expires_at)


def filled(lives: dict[str, float]) -> LRUStore:
    store = LRUStore()
    for key, expires_at in lives.items():
        store.put(key, entry(expires_at), 1000, 3, now=0)
    return store


def test_an_entry_ends_at_its_time_and_is_gone_when_found_so() -> None:
    store = filled({"short": 10, "ever": FOREVER})
    assert store.find("short", 9.999) is not None
    assert store.find("short", 10) is None
    assert list(store.entries) == ["ever"]
    assert store.find("absent", 10) is None


def test_what_was_found_or_put_last_goes_last() -> None:
    store = filled(dict.fromkeys("abcd", FOREVER))
    store.find("a", 0)
    store.put("b", entry(), 4, 4, now=0)  # in its own place: nothing has to go
    assert list(store.entries) == ["c", "d", "a", "b"]
    store.put("e", entry(), 4, 4, now=0)
    assert list(store.entries) == ["d", "a", "b", "e"]


def test_the_expired_go_before_the_least_recently_used() -> None:
    store = filled({"old": FOREVER, "over": 5, "young": FOREVER, "over too": 5})
    store.put("new", entry(), 4, 2, now=5)
    assert list(store.entries) == ["old", "young", "new"]


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 8), st.integers(0, 5))
def test_there_are_never_more_than_the_limit(keys: list[int], limit: int, frequency: int) -> None:
    store = LRUStore()
    for now, key in enumerate(keys):
        store.put(str(key), entry(now + key), limit, frequency, now)
        assert len(store.entries) <= limit
        assert next(reversed(store.entries)) == str(key), "what was put is there"


@pytest.mark.parametrize(("frequency", "left"), [(0, 0), (1, 0), (2, 6), (3, 8), (100, 11)])
def test_a_cull_takes_its_share(frequency: int, left: int) -> None:
    store = filled({str(number): FOREVER for number in range(12)})
    store.cull(12, frequency, now=0)
    assert len(store.entries) == left
    numbers = list(map(int, store.entries))
    assert all(one < other for one, other in pairwise(numbers))
    assert not numbers or numbers[-1] == 11


def test_a_purge_takes_the_expired_among_its_keys_only() -> None:
    store = filled({"a": 1, "b": 1, "c": 9})
    assert store.purge(["a", "c", "absent"], now=5) == 1
    assert list(store.entries) == ["b", "c"]


def test_a_location_is_shared_by_name_while_it_is_used() -> None:
    one = Location.named("lru tests")
    one.lru("key").entries["key"] = entry()
    assert Location.named("lru tests") is one
    assert Location.named("lru tests elsewhere") is not one
    assert Location.all()["lru tests"] is one
    del one
    gc.collect()
    assert "lru tests" not in Location.all()
    assert not Location.named("lru tests").cached.entries


def test_reserved_keys_stand_apart() -> None:
    location = Location()
    assert location.lru("%s::id") is location.reserved
    assert location.lru("%b:61") is location.lru("%p:a%3Ab:1:key") is location.lru("key") is location.cached


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, Kind.AS_IS),
        ("x", Kind.AS_IS),
        (None, Kind.AS_IS),
        ((1, ("x", b"y")), Kind.AS_IS),
        (frozenset({1}), Kind.AS_IS),
        ([1, "x"], Kind.COPIED),
        ({"a": 1, 2: None}, Kind.COPIED),
        ({1, 2}, Kind.COPIED),
        ({1, (2,)}, Kind.PACKED),
        ((1, [2]), Kind.PACKED),
        ([[1]], Kind.PACKED),
        ({"a": [1]}, Kind.PACKED),
        (list(range(1000)), Kind.PACKED),
        (tuple(range(1000)), Kind.PACKED),
        (object(), Kind.PACKED),
    ],
)
def test_only_what_cannot_change_is_kept_as_it_is(value: object, kind: Kind) -> None:
    assert kind_of(value) is kind
