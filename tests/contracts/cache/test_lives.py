"""Timeouts: left out, None, 0, fractions; touch, expire, ttl."""

from datetime import timedelta
from typing import Any

import pytest

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import DEFAULT_TIMEOUT, MISSING, BaseCache
from torngas_aio.exception import ArgumentError, ConfigError


@pytest.mark.parametrize("timeout", [0, -1, 0.0, -0.5])
async def test_a_timeout_of_0_or_less_expires_at_once(cache: BaseCache, timeout: float) -> None:
    await cache.set("key", "old", None)
    await cache.set("key", "new", timeout)
    assert await cache.get("key", MISSING) is MISSING
    assert await cache.add("key", "v", timeout)
    assert await cache.get("key", MISSING) is MISSING
    await cache.set("key", "old", None)
    assert not await cache.add("key", "v", timeout)
    assert await cache.touch("key", timeout)
    assert not await cache.touch("key", timeout)
    assert await cache.get("key", MISSING) is MISSING
    await cache.set("key", "old", None)
    assert await cache.set_many({"key": 1, "other": 2}, timeout) == []
    assert await cache.get_many(["key", "other"]) == {}


async def test_without_a_timeout_the_setting_holds(subject: Subject) -> None:
    short, ever = subject.make(TIMEOUT=subject.unit), subject.make(TIMEOUT=None)
    at_once = subject.make(TIMEOUT=0)
    await short.set("long", 1, subject.unit * 100)
    await ever.set("ever", 1)
    await ever.set("explicit", 1, DEFAULT_TIMEOUT)
    await at_once.set("never", 1)
    await short.set("short", 1)  # set last, to keep the time until the first read short
    assert await short.get_many(["short", "long", "ever", "explicit", "never"]) == {
        "short": 1,
        "long": 1,
        "ever": 1,
        "explicit": 1,
    }
    await subject.wait(subject.unit * 2)
    assert await short.get_many(["short", "long", "ever", "explicit"]) == {"long": 1, "ever": 1, "explicit": 1}


async def test_fractions_of_a_second_count(subject: Subject) -> None:
    cache = subject.make()
    await cache.set("key", 1, subject.unit * 2.5)
    await subject.wait(subject.unit)
    assert await cache.get("key") == 1
    await subject.wait(subject.unit * 3.5)
    assert await cache.get("key") is None


async def test_an_expired_key_counts_as_absent_for_every_operation(subject: Subject) -> None:
    cache = subject.make()
    for key in ("n", "m"):
        await cache.set(key, 1, subject.unit)
    await subject.wait(subject.unit * 2)
    assert not await cache.touch("n")
    assert not await cache.delete("n")
    assert not await cache.has_key("n")
    assert await cache.get_many(["n", "m"]) == {}
    with pytest.raises(ValueError, match="no key 'n'"):
        await cache.incr("n")
    with pytest.raises(ValueError, match="no key 'n'"):
        await cache.incr_version("n")
    assert await cache.get_or_set("n", 2) == 2


async def test_touch_gives_a_new_life(subject: Subject) -> None:
    cache = subject.make()
    await cache.set("forgotten", 1, subject.unit)
    await cache.set("touched", 1, subject.unit)
    assert await cache.touch("touched", subject.unit * 50)
    await cache.set("expire", 1, subject.unit)
    assert await cache.expire("expire", None)
    assert not await cache.touch("absent")
    await subject.wait(subject.unit * 2)
    assert await cache.get_many(["touched", "expire", "forgotten"]) == {"touched": 1, "expire": 1}


async def test_incr_keeps_the_life(subject: Subject) -> None:
    cache = subject.make()
    await cache.set("n", 1, subject.unit)
    await cache.incr("n")
    await subject.wait(subject.unit * 2)
    assert await cache.get("n") is None


async def test_ttl_tells_what_is_left(subject: Subject) -> None:
    cache = subject.make()
    await cache.set("short", 1, 50)
    await cache.set("ever", 1, None)
    if not subject.can_ttl:
        with pytest.raises(NotImplementedError, match=type(cache).__qualname__):
            await cache.ttl("short")
        return
    left = await cache.ttl("short")
    assert left is not None
    assert 40 < left <= 50
    assert await cache.ttl("ever") is None
    assert await cache.ttl("absent") == 0.0


@pytest.mark.parametrize("timeout", [1e18, 1e300, 10**18, 10**400, float("inf")], ids=str)
async def test_a_life_beyond_any_clock_lasts(cache: BaseCache, timeout: float) -> None:
    await cache.set("key", "v", timeout)
    assert await cache.add("added", "v", timeout)
    assert await cache.touch("key", timeout)
    assert await cache.set_many({"many": "v"}, timeout) == []
    assert await cache.get_many(["key", "added", "many"]) == {"key": "v", "added": "v", "many": "v"}


@pytest.mark.parametrize("timeout", [-(10**400), float("-inf")], ids=["integer", "float"])
async def test_an_endless_time_ago_expires_at_once(cache: BaseCache, timeout: float) -> None:
    await cache.set("key", "old", None)
    await cache.set("key", "new", timeout)
    assert await cache.get("key", MISSING) is MISSING


@pytest.mark.parametrize("timeout", [float("nan"), "soon", "", timedelta(seconds=5), [], 1j], ids=repr)
async def test_what_is_no_number_of_seconds_is_refused_and_stores_nothing(cache: BaseCache, timeout: Any) -> None:
    await cache.set("old", "v", None)
    for call in (
        cache.set("key", 1, timeout), cache.add("key", 1, timeout), cache.touch("old", timeout),
        cache.set_many({"key": 1}, timeout), cache.get_or_set("key", 1, timeout),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match="give seconds, or None for ever"):
            await call
    assert await cache.get_many(["key", "old"]) == {"old": "v"}


@pytest.mark.parametrize("timeout", ["soon", object(), float("nan")])
def test_a_default_timeout_that_is_no_number_is_refused(subject: Subject, timeout: object) -> None:
    with pytest.raises(ConfigError, match="TIMEOUT"):
        subject.make(TIMEOUT=timeout)
