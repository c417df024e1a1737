"""Versions, prefixes, key functions; rejected keys."""

from typing import Any

import pytest

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.keys import Key, default_key, hashed_key
from torngas_aio.exception import ConfigError, InvalidKey

TRICKY: list[Key] = [
    "a", "A", "a:b", "a::b", ":1:a", "é", "e\u0301", "日本", "🐢", "ß", "ss", "a*", "a?", "[a]", "a\\", "%", "%s:x",
    "..", "../a", "/etc/passwd", "a/b", "'", '"', "{a}", "{a}b", "a#b", b"a", b"\x00\xff", b"", "b'a'", "a" * 200,
]  # fmt: skip


async def test_no_key_reaches_another(cache: BaseCache) -> None:
    for number, key in enumerate(TRICKY):
        await cache.set(key, number)
    assert await cache.get_many(TRICKY) == {key: number for number, key in enumerate(TRICKY)}
    for key in TRICKY[::2]:
        assert await cache.delete(key)
    assert await cache.get_many(TRICKY) == {key: number for number, key in enumerate(TRICKY) if number % 2}


@pytest.mark.parametrize(
    "key",
    ["line\nbreak", "a\r\nset b 0 0 1", "nul\0", "\x7f", "%b:61", "\ud800", None, 1.5, True],
    ids=repr,
)
async def test_a_key_that_could_be_misread_is_refused_by_every_operation(cache: BaseCache, key: str) -> None:
    operations = [
        cache.get(key), cache.set(key, 1), cache.add(key, 1), cache.touch(key), cache.delete(key), cache.has_key(key),
        cache.incr(key), cache.decr(key), cache.get_many([key]), cache.set_many({key: 1}), cache.delete_many([key]),
        cache.get_or_set(key, 1), cache.incr_version(key), cache.expire(key, 1), cache.ttl(key), cache.gets(key),
        cache.cas(key, 1, None),
    ]  # fmt: skip
    for operation in operations:
        with pytest.raises(InvalidKey):
            await operation


@pytest.mark.parametrize(
    "key", ["a" * 251, "é" * 130, "%h:" + "0" * 48, "a" * 100_000], ids=lambda key: f"{key[:4]}{len(key)}"
)
async def test_a_long_key_is_stored_under_a_digest(cache: BaseCache, key: str) -> None:
    await cache.set(key, 1)
    await cache.set(f"{key}x", 2)
    assert await cache.get(key) == 1
    assert await cache.get_many([key, f"{key}x", f"{key}y"]) == {key: 1, f"{key}x": 2}
    assert await cache.incr(key) == 2
    assert await cache.get(cache.keys_of.make(key).rpartition(":1:")[2]) is None  # no input reaches another key
    assert await cache.incr_version(key) == 2
    assert await cache.get(key, version=2) == 2
    assert await cache.delete(f"{key}x")


async def test_an_integer_is_a_key(cache: BaseCache) -> None:
    await cache.set(7, "seven")
    assert await cache.get(7) == await cache.get("7") == "seven"
    assert await cache.get_many([7, 8]) == {7: "seven"}
    assert await cache.has_key(7)
    assert await cache.delete(7)


async def test_spaces_are_taken_or_refused_but_never_misread(subject: Subject) -> None:
    cache = subject.make()
    if not subject.takes_spaces:
        with pytest.raises(InvalidKey, match="hashed_key"):
            await cache.set("two words", 1)
        return
    await cache.set("two words", 1)
    assert await cache.get("two words") == 1
    assert await cache.get("two") is None


async def test_versions_are_apart(cache: BaseCache) -> None:
    await cache.set("key", "one")
    await cache.set("key", "two", version=2)
    assert await cache.get("key") == "one"
    assert await cache.get("key", version=1) == "one"
    assert await cache.get("key", version=2) == "two"
    assert await cache.get_many(["key"], version=2) == {"key": "two"}
    assert await cache.delete("key", version=1)
    assert not await cache.has_key("key")
    assert await cache.has_key("key", version=2)
    await cache.delete_many(["key"], version=2)
    assert not await cache.has_key("key", version=2)


async def test_a_value_moves_to_another_version(cache: BaseCache) -> None:
    await cache.set("key", "v")
    assert await cache.incr_version("key") == 2
    assert await cache.get("key") is None
    assert await cache.get("key", version=2) == "v"
    assert await cache.incr_version("key", 3, version=2) == 5
    assert await cache.decr_version("key", 4, version=5) == 1
    assert await cache.get("key") == "v"
    with pytest.raises(ValueError, match="no key 'absent' in version 1"):
        await cache.decr_version("absent")


async def test_the_version_setting_is_the_default(subject: Subject) -> None:
    one, two = subject.make(), subject.make(VERSION=2)
    await two.set("key", "two")
    assert two.version == 2
    assert await one.get("key") is None
    assert await one.get("key", version=2) == "two"


async def test_prefixes_are_apart_and_clear_stays_within_its_own(subject: Subject) -> None:
    plain, red, blue = subject.make(), subject.make(KEY_PREFIX="red"), subject.make(KEY_PREFIX="blue")
    for number, cache in enumerate((plain, red, blue)):
        await cache.set("key", number)
        await cache.set("key", number, version=7)
    assert [await cache.get("key") for cache in (plain, red, blue)] == [0, 1, 2]
    await red.clear()
    assert [await cache.get("key") for cache in (plain, red, blue)] == [0, None, 2]
    assert [await cache.get("key", version=7) for cache in (plain, red, blue)] == [0, None, 2]
    await plain.clear()
    assert [await cache.get("key") for cache in (plain, red, blue)] == [None, None, 2]


OVERLAPPING: list[tuple[str, int, Key]] = [
    (prefix, version, key)
    for prefix in ("", "app", "app:1", "app:1:", ":", "::", "app:", "app%3A1", "a:%3A", "a%:", "b:p:app", "app:1:1")
    for version in (0, 1, 11, -1)
    for key in ("x", "1:x", ":x", ":1:x", "1:1:x", "app:1:x", "%s:x", "%p:app%3A1:1:x", b"x")
]


async def test_no_two_of_prefix_version_and_key_share_a_stored_key(subject: Subject) -> None:
    caches = {prefix: subject.make(KEY_PREFIX=prefix) for prefix, _, _ in OVERLAPPING}
    for number, (prefix, version, key) in enumerate(OVERLAPPING):
        if number % 7 < 3:  # some of each prefix: all of them would fill the small in-process cache
            await caches[prefix].set(key, number, version=version)
    found = [await caches[prefix].get(key, version=version) for prefix, version, key in OVERLAPPING]
    assert found == [number if number % 7 < 3 else None for number in range(len(OVERLAPPING))]
    hashed = {hashed_key(str(key), prefix, version) for prefix, version, key in OVERLAPPING}
    made = {caches[prefix].keys_of.make(key, version) for prefix, version, key in OVERLAPPING}
    assert len(hashed) == len(made) == len(OVERLAPPING)


@pytest.mark.parametrize("hashes", [False, True])
@pytest.mark.parametrize(
    "cleared", ["", "app", "app:1", ":", "app:1:1", "app%3A1", "a:%3A"], ids=lambda prefix: f"clear {prefix!r}"
)
async def test_clear_takes_exactly_its_own_whatever_the_prefixes_hold(
    subject: Subject, cleared: str, hashes: bool
) -> None:
    function = {"KEY_FUNCTION": "torngas_aio.cache.keys.hashed_key"} if hashes else {}
    caches = {prefix: subject.make(KEY_PREFIX=prefix, **function) for prefix, _, _ in OVERLAPPING}
    for prefix, cache in caches.items():
        await cache.set_many({"1:x": prefix, ":1:x": prefix}, version=1)
        await cache.set("1:x", prefix, version=22)
    await caches[cleared].raw_set("%s:app:id", b"a session", 60)
    await caches[cleared].clear()
    for prefix, cache in caches.items():
        kept = None if prefix == cleared else prefix
        assert [await cache.get("1:x", version=version) for version in (1, 22)] == [kept, kept], prefix
        assert await cache.get(":1:x", version=1) == kept
    assert await caches[cleared].raw_get("%s:app:id") == b"a session"


async def test_locks_of_prefixes_that_overlap_are_apart(subject: Subject) -> None:
    names = [("a", "1:x"), ("a:1", "x"), ("", "a:1:x"), ("a:1:x", "")]
    for prefix, name in names:
        assert await subject.make(KEY_PREFIX=prefix).lock(name, wait=0).acquire(), (prefix, name)


@pytest.mark.parametrize("version", ["1", "1:x", 1.0, b"1"], ids=repr)
async def test_a_version_is_an_integer(cache: BaseCache, version: Any) -> None:
    with pytest.raises(InvalidKey, match="a version is an int"):
        await cache.set("key", 1, version=version)


async def test_a_version_of_0_is_its_own(subject: Subject) -> None:
    await subject.make(VERSION=0).set("key", 0)
    assert await subject.make(VERSION=1).get("key") is None


class Text(str):
    """A key of a subclass of str."""

    __slots__ = ()


@pytest.mark.parametrize("key", ["%b:78", Text("%b:78")])
async def test_text_never_reaches_the_keys_of_bytes(cache: BaseCache, key: str) -> None:
    await cache.set(b"x", 1)
    with pytest.raises(InvalidKey, match="%b:"):
        await cache.get(key)


@pytest.mark.parametrize(
    "reserved", ["%s:p:id", "%u:p:id", "%lock:p:x", "%generation:p:", "%h:00", "%ping", "%", "%p:app%3A1:1:x", "%b:78"]
)
@pytest.mark.parametrize("prefix", ["", "p", "app:2"])
async def test_no_key_function_reaches_the_reserved_keys(subject: Subject, reserved: str, prefix: str) -> None:
    cache = subject.make(KEY_PREFIX=prefix, KEY_FUNCTION=lambda key, prefix, version: f"%{key}")
    await cache.raw_set("%s:p:id", b"a session", 60)
    key = reserved[1:]
    for operation in (cache.get(key), cache.set(key, 1), cache.delete(key), cache.get_many([key])):
        with pytest.raises(InvalidKey, match="reserved"):
            await operation
    assert await cache.raw_get("%s:p:id") == b"a session"


async def test_a_key_function_may_build_on_the_default_one(subject: Subject) -> None:
    cache = subject.make(KEY_PREFIX="a:b", KEY_FUNCTION=lambda key, prefix, version: default_key("k" + key, prefix, 1))
    await cache.set("x", 1)
    assert await cache.get("x") == 1
    await cache.clear()
    assert await cache.get("x") is None
    plain = subject.make(KEY_FUNCTION=lambda key, prefix, version: key)
    await plain.set(b"x", 2)
    assert await plain.get(b"x") == 2


async def test_a_key_function_whose_prefixes_overlap_forbids_clear(subject: Subject) -> None:
    cache = subject.make(KEY_PREFIX="app", KEY_FUNCTION=lambda key, prefix, version: f"{prefix}{key}")
    with pytest.raises(NotImplementedError, match="KEY_FUNCTION"):
        await cache.clear()
    other = subject.make(KEY_FUNCTION=lambda key, prefix, version: f"mine:{key}")
    await other.set("x", 1)
    await other.clear()
    assert await other.get("x") is None


def reversed_key(key: str, key_prefix: str, version: int) -> str:
    return f"{key_prefix}/{version}/{key[::-1]}"


async def test_a_key_function_makes_the_keys(subject: Subject) -> None:
    cache = subject.make(KEY_FUNCTION=reversed_key, KEY_PREFIX="p")
    await cache.set("abc", 1)
    assert cache.keys_of.make("abc") == "p/1/cba"
    assert await cache.get("abc") == 1
    named = subject.make(KEY_FUNCTION="torngas_aio.cache.keys.hashed_key")
    long = "what a visitor typed, with spaces\n" * 50
    await named.set(long, 1)
    await named.set(long + "!", 2)
    await named.set("short", 3)
    assert await named.get_many([long, long + "!", "short"]) == {long: 1, long + "!": 2, "short": 3}
    await named.clear()
    assert await named.get_many([long, "short"]) == {}
    assert await cache.get("abc") == 1


async def test_a_key_function_that_hides_whose_the_keys_are_forbids_clear(subject: Subject) -> None:
    cache = subject.make(KEY_FUNCTION=lambda key, prefix, version: f"{key}{version}")
    await cache.set("abc", 1)
    with pytest.raises(NotImplementedError, match="KEY_FUNCTION"):
        await cache.clear()


@pytest.mark.parametrize("params", [{"KEY_PREFIX": "%s"}, {"KEY_FUNCTION": "no.such.path"}, {"KEY_FUNCTION": "os.sep"}])
def test_key_settings_that_cannot_work_are_refused(subject: Subject, params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="KEY_"):
        subject.make(**params)


async def test_keys_lists_by_pattern_without_prefix_and_version(subject: Subject) -> None:
    cache, other = subject.make(KEY_PREFIX="p*"), subject.make(KEY_PREFIX="pq")
    await cache.set_many({"user:1": 1, "user:22": 1, "item:1": 1})
    await cache.set("user:3", 1, version=2)
    await other.set("user:4", 1)
    if not subject.can_list:
        with pytest.raises(NotImplementedError, match=type(cache).__qualname__):
            await cache.keys()
        return
    assert sorted(await cache.keys()) == ["item:1", "user:1", "user:22"]
    assert sorted(await cache.keys("user:*")) == ["user:1", "user:22"]
    assert await cache.keys("user:?") == ["user:1"]
    assert await cache.keys("[hi]tem:1") == ["item:1"]
    assert await cache.keys("user:*", version=2) == ["user:3"]
    with pytest.raises(NotImplementedError, match="KEY_FUNCTION"):
        await subject.make(KEY_FUNCTION=reversed_key).keys()


async def _coroutine(key: str, prefix: str, version: int) -> str:
    return key


def _only_short(key: str, prefix: str, version: int) -> Any:
    return f"{prefix}:{key}" if len(key) < 5 else None


@pytest.mark.parametrize(
    "function",
    [lambda *_: None, lambda *_: b"x", lambda *_: 5, lambda: "x", lambda *_: 1 / 0, _coroutine],
    ids=["None", "bytes", "int", "no arguments", "raises", "coroutine"],
)
def test_a_key_function_that_makes_no_text_is_a_fault_of_the_settings(subject: Subject, function: Any) -> None:
    with pytest.raises(ConfigError, match=r"KEY_FUNCTION .* a str"):
        subject.make(KEY_FUNCTION=function)


async def test_a_key_function_that_makes_text_of_some_keys_only_says_so(subject: Subject) -> None:
    cache = subject.make(KEY_FUNCTION=_only_short)
    await cache.set("key", 1)
    assert await cache.get("key") == 1
    with pytest.raises(InvalidKey, match="has made None of 'longer'; it has to return a str"):
        await cache.set("longer", 1)
