"""The cache in a folder beyond the contract: sweeping by itself, culling, cancelled calls."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.cache.test_file_store import files
from tests.polling import until
from torngas_aio.cache.backends.filecache import FileBasedCache
from torngas_aio.exception import CacheUnavailable, ConfigError


async def test_a_file_system_that_fails_is_an_error_with_alias_and_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = FileBasedCache(str(tmp_path / "file"), {"ALIAS": "files", "OPTIONS": {"SWEEP_INTERVAL": 0}})
    with pytest.raises(CacheUnavailable, match=r"CACHES\['files'\] in the folder .*file"):
        await cache.set("key", 1)
    assert await cache.get("key") is None


async def test_the_sweeper_sweeps_by_itself_and_ends_with_the_cache(tmp_path: Path) -> None:
    now = time.time()
    cache = FileBasedCache(str(tmp_path), {"OPTIONS": {"SWEEP_INTERVAL": 0.005}})
    cache.clock = lambda: now
    await cache.set("key", 1, 5)
    now += 6
    await until(lambda: not files(cache))
    await cache.close()
    assert len(asyncio.all_tasks()) == 1


async def test_it_holds_little_more_than_max_entries_and_spares_sessions(tmp_path: Path) -> None:
    options = {"MAX_ENTRIES": 40, "CULL_FREQUENCY": 4, "SWEEP_INTERVAL": 0}
    cache = FileBasedCache(str(tmp_path), {"OPTIONS": options})
    await cache.raw_set("%s::id", b"x", 1000)
    most = 0
    for number in range(90):
        await cache.set(f"k{number}", number, 1000 + number)
        most = max(most, len(files(cache)))
    assert 40 <= most <= 45
    assert await cache.get("k89") == 89
    assert await cache.get("k0") is None, "what expires first goes first"
    assert await cache.raw_get("%s::id") == b"x"


async def test_a_cull_frequency_of_0_empties_it(tmp_path: Path) -> None:
    cache = FileBasedCache(str(tmp_path), {"OPTIONS": {"MAX_ENTRIES": 10, "CULL_FREQUENCY": 0, "SWEEP_INTERVAL": 0}})
    for number in range(14):
        await cache.add(f"k{number}", number)
    assert len(files(cache)) < 10


def test_a_folder_must_be_named() -> None:
    with pytest.raises(ConfigError, match="name the folder"):
        FileBasedCache("", {"ALIAS": "files"})


async def test_a_cancelled_call_has_happened_or_not_and_disturbs_nobody(tmp_path: Path) -> None:
    cache = FileBasedCache(str(tmp_path), {"OPTIONS": {"SWEEP_INTERVAL": 0}})
    for turns in range(6):
        task = asyncio.ensure_future(cache.set("key", turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await cache.get("key") in (*range(turns + 1), None)
    await cache.set("key", "last")
    assert await cache.get("key") == "last"
