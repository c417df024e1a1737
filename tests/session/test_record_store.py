"""Records in a cache's store, under keys of their own; a lock in place of compare-and-set where there is none."""

import asyncio
import gc
from typing import Any, ClassVar

import pytest

from tests.session.conftest import RemoteCache
from tests.session.test_store import opened
from torngas_aio.exception import CacheUnavailable, InvalidKey
from torngas_aio.session.record_store import LockedRecordStore, RecordStore, open_record_store


class PlainCache(RemoteCache):
    can_swap: ClassVar[bool] = False


@pytest.fixture(params=[RemoteCache, PlainCache], ids=["own", "locked"])
def records(request: pytest.FixtureRequest) -> RecordStore:
    return open_record_store(request.param(request.node.nodeid))


@pytest.fixture
def locked(request: pytest.FixtureRequest) -> LockedRecordStore:
    return LockedRecordStore(PlainCache(request.node.nodeid))


def test_no_key_of_a_cache_reaches_a_record(cache: RemoteCache) -> None:
    records = RecordStore(cache)
    assert (records.session_key("abc"), records.user_key("def")) == ("%s::abc", "%u::def")
    made = []
    for key in ("%s::abc", "s::abc", b"%s::abc", "%u::def"):
        try:
            made.append(cache.keys_of.make(key))
        except InvalidKey:
            continue
    assert not {records.session_key("abc"), records.user_key("def")} & set(made)


async def test_a_change_is_written_over_what_was_read_only(records: RecordStore) -> None:
    assert await records.read("%s::a") is None
    assert await records.add("%s::a", b"one", 60)
    assert not await records.add("%s::a", b"other", 60)
    found = await records.read("%s::a", 60.0)
    assert found is not None
    assert found.data == b"one"
    assert (await records.swap("%s::a", b"two", found.token, 60)).is_done
    late = await records.swap("%s::a", b"three", found.token, 60)
    assert not late.is_done
    assert late.current is not None
    assert late.current.data == b"two"
    assert (await records.swap("%s::a", b"three", late.current.token, 60)).is_done
    assert not await records.drop("%s::a", late.current.token)
    found = await records.read("%s::a")
    assert found is not None
    assert await records.drop("%s::a", found.token)
    gone = await records.swap("%s::a", b"back", found.token, 60)
    assert (gone.is_done, gone.current) == (False, None)
    assert not await records.drop("%s::a", found.token)


async def test_several_records_are_read_and_removed_together(records: RecordStore) -> None:
    keys = [f"%s::{name}" for name in "abc"]
    for key in keys:
        await records.add(key, key.encode(), None)
    assert await records.get_many(iter([*keys, "%s::absent"])) == {key: key.encode() for key in keys}
    await records.delete()
    await records.delete(keys[0])
    await records.delete(*keys[1:], "%s::absent")
    assert await records.get_many(keys) == {}
    assert not await records.touch(keys[0], 60)


async def test_a_read_gives_new_life_on_the_way(records: RecordStore) -> None:
    cache: Any = records._cache
    now = 1000.0
    cache.clock = lambda: now
    await records.add("%s::a", b"1", 10)
    now = 1008.0
    assert await records.read("%s::a", 10.0) is not None
    now = 1015.0
    assert await records.read("%s::a") is not None
    now = 1019.0
    assert await records.read("%s::a") is None


async def test_a_miss_because_the_server_is_down_is_none(cache: RemoteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoking that took it for "no session" would leave the session alive."""
    records = RecordStore(cache)

    async def nothing(keys: Any) -> dict[str, bytes]:
        return {}

    monkeypatch.setattr(cache, "raw_get_many", nothing)
    assert await records.get_many(["%s::a"]) == {}
    monkeypatch.setattr(cache, "is_down_for", lambda key: True)
    cache.is_down = True
    with pytest.raises(CacheUnavailable):
        await records.get_many(["%s::a"])


async def test_without_compare_and_set_concurrent_changes_are_kept_apart_by_a_lock(locked: LockedRecordStore) -> None:
    await locked.add("%s::n", b"0", None)

    async def count() -> None:
        is_done = False
        while not is_done:
            found = await locked.read("%s::n")
            assert found is not None
            is_done = (await locked.swap("%s::n", b"%d" % (int(found.data) + 1), found.token, None)).is_done

    await asyncio.gather(*(count() for _ in range(10)))
    found = await locked.read("%s::n")
    assert found is not None
    assert found.data == b"10"


async def test_a_lock_is_forgotten_when_no_one_holds_it(locked: LockedRecordStore) -> None:
    for number in range(100):
        await locked.delete(f"%s::{number}")
    gc.collect()
    assert not locked._locks


async def test_a_change_that_is_cancelled_holds_up_no_other(locked: LockedRecordStore) -> None:
    await locked.add("%s::a", b"1", None)
    for turns in range(6):
        task = asyncio.ensure_future(locked.delete("%s::a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            await locked.delete("%s::a")
    assert await locked.read("%s::a") is None


@pytest.mark.parametrize(("kind", "warns"), [(RemoteCache, False), (PlainCache, True)])
def test_a_store_that_several_processes_would_overwrite_warns(
    kind: type[RemoteCache], warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    records = open_record_store(kind("warns"))
    assert isinstance(records, LockedRecordStore) == warns
    assert ("several processes would overwrite" in caplog.text) == warns
    assert records.label == f"The session store {kind.__name__}"


async def test_a_store_without_compare_and_set_gets_a_lock_and_a_warning(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    cache = PlainCache(request.node.nodeid)
    visitor = opened(cache)
    assert "PlainCache) has no compare-and-set" in caplog.text
    async with visitor.request() as session:
        session["n"] = 0

    async def one(number: int) -> None:
        async with visitor.copy().request() as session:
            session[f"k{number}"] = 1
            session.incr("n")

    await asyncio.gather(*(one(number) for number in range(20)))
    assert len(await visitor.data()) == 21
    late = await visitor.open()
    late["late"] = 1
    old = visitor.copy()
    async with visitor.request() as session:
        session.cycle_id()
        session.bind_user(7)
    assert (await visitor.data())["n"] == 20
    await old.close(late)
    assert await old.data() == {}
    assert await visitor.store.revoke_user(7) == 1
    assert await visitor.data() == {}
    assert await visitor.store.revoke_user(7) == 0
