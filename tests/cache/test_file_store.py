"""Files torn, foreign, locked or left by killed writers; folders and their modes; processes that write at once."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.cache.backends.filecache import FileBasedCache
from torngas_aio.cache.file_store import FileStore, FileStoreBusy
from torngas_aio.exception import CacheUnavailable

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[FileBasedCache]:
    made = FileBasedCache(str(tmp_path / "cache"), {"ALIAS": "files", "OPTIONS": {"SWEEP_INTERVAL": 0}})
    yield made
    await made.close()


def files(cache: FileBasedCache) -> list[Path]:
    return [path for path in Path(cache.location, "cached").rglob("*") if path.is_file()]


@asynccontextmanager
async def held(folder: Path, key: str) -> AsyncIterator[Path]:
    """Somebody else's lock on *key*; gives the path of its draft."""
    lock = FileStore(folder, time.time, 5)._locked(key)
    yield await asyncio.to_thread(lock.__enter__)
    await asyncio.to_thread(lock.__exit__, None, None, None)


async def file_of(cache: FileBasedCache) -> Path:
    await cache.set("key", "value" * 100)
    (path,) = files(cache)
    return path


@pytest.mark.parametrize("damage", ["empty", "half", "short", "longer", "one bit", "header", "foreign", "text"])
async def test_a_torn_or_foreign_file_is_a_miss(cache: FileBasedCache, damage: str) -> None:
    path = await file_of(cache)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes(
        {
            "empty": b"",
            "half": content[:middle],
            "short": content[:-1],
            "longer": content + b"x",
            "one bit": flipped,
            "header": content[:20],
            "foreign": b"\x80\x05K\x01." * 30,
            "text": b"hello" * 30,
        }[damage]
    )
    os.utime(path, (2e9, 2e9))
    assert await cache.get("key") is None
    assert await cache.gets("key") is None
    assert await cache.get_many(["key"]) == {}
    assert not await cache.touch("key")
    assert await cache.keys() == []
    assert await cache.add("key", "again")
    assert await cache.get("key") == "again"


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "another key"])
async def test_whatever_stands_in_a_value_s_place_is_a_miss(cache: FileBasedCache, tmp_path: Path, kind: str) -> None:
    path = await file_of(cache)
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        (path / "inside").mkdir(parents=True)
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        await cache.set("other", 1)
        files(cache)[0].rename(path)
    assert await cache.get("key") is None
    assert not await cache.delete("key")
    await cache.set("key", 2)
    assert await cache.get("key") == 2


async def test_the_folder_is_made_private(cache: FileBasedCache) -> None:
    path = await file_of(cache)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777], ids=oct)
async def test_every_folder_that_is_made_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    top = tmp_path / "made" / "for" / "it"
    cache = FileBasedCache(str(top / "cache"))
    former = os.umask(umask)
    try:
        await cache.set("key", 1)
        await cache.raw_set("%s:key", b"a session", 60)
        async with cache.lock("work"):
            assert await cache.get("key") == 1
    finally:
        os.umask(former)
        await cache.close()
    made = [tmp_path / "made", *(tmp_path / "made").rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o077) for path in made if path.is_file()} == {"0o0"}
    values = [path for path in made if path.is_file() and path.parent.name != "locks"]
    assert {oct(path.stat().st_mode & 0o777) for path in values} == {"0o600"}


async def test_a_folder_of_the_user_s_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    cache = FileBasedCache(str(tmp_path))
    await cache.set("key", 1)
    await cache.close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


async def test_removing_the_folder_while_it_is_in_use_loses_values_only(cache: FileBasedCache) -> None:
    import shutil

    await cache.set("key", 1)
    await asyncio.to_thread(shutil.rmtree, cache.location)
    assert await cache.get("key") is None
    assert not await cache.delete("key")
    await cache.set("key", 2)
    assert await cache.get("key") == 2


async def test_a_full_disk_leaves_neither_the_old_value_nor_a_draft(
    cache: FileBasedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cache.set("key", "old")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torngas_aio.cache.file_store.os.utime", full)
    with pytest.raises(CacheUnavailable, match="No space left"):
        await cache.set("key", "new")
    with pytest.raises(CacheUnavailable, match="No space left"):
        await cache.add("new", 1)
    monkeypatch.undo()
    assert await cache.get("key") is None, "the caller believes it replaced"
    assert list(Path(cache.location, "locks").glob("*.new")) == []


async def test_reading_that_fails_is_an_error(cache: FileBasedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    await cache.set("key", 1)

    def failing(*args: object, **kwargs: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("torngas_aio.cache.file_store.os.open", failing)
    with pytest.raises(CacheUnavailable, match="Too many open files"):
        await cache.get("key")


async def test_a_sweep_removes_the_expired_and_what_killed_writers_left(cache: FileBasedCache) -> None:
    now = time.time()
    cache.clock = lambda: now
    for number in range(10):
        await cache.set(f"short{number}", 1, 5)
    await cache.set("long", 1, 500)
    await cache.raw_set("%s::id", b"x", 5)
    drafts = [Path(cache.location, "locks", f"{stripe:02x}.new") for stripe in (0, 13, 63)]
    for draft in drafts:
        draft.write_bytes(b"half of a val")
    now += 6
    await cache.sweep()
    assert len(files(cache)) == 1
    assert not [path for path in Path(cache.location, "reserved").rglob("*") if path.is_file()]
    assert not any(draft.exists() for draft in drafts)
    assert await cache.get("long") == 1


async def test_a_sweep_leaves_alone_what_is_being_written(cache: FileBasedCache) -> None:
    await cache.set("key", 1)
    async with held(Path(cache.location), ":1:key") as draft:
        draft.write_bytes(b"being written")
        await cache.sweep()
        assert draft.exists()


async def test_a_sweep_leaves_alone_what_is_not_ours(cache: FileBasedCache) -> None:
    path = await file_of(cache)
    foreign = path.parent.parent / "notes"
    foreign.mkdir()
    (foreign / "todo.txt").write_text("mine")
    os.utime(foreign / "todo.txt", (1, 1))
    (path.parent / "folder").mkdir()
    os.utime(path.parent / "folder", (1, 1))
    await cache.sweep()
    assert (foreign / "todo.txt").exists()
    assert (path.parent / "folder").exists()
    assert await cache.get("key") is not None


WRITER = """
import sys, time
from torngas_aio.cache.file_store import FileStore
folder = FileStore(sys.argv[1], time.time, 5)
print("ready", flush=True)
number = 0
while True:
    number += 1
    folder.put(f":1:k{number % 7}", bytes([number % 256]) * 300_000, time.time() + 1000)
"""


COUNTER = """
import sys, time
from torngas_aio.cache.file_store import FileStore
folder = FileStore(sys.argv[1], time.time, 10)
for number in range(int(sys.argv[2])):
    folder.change(":1:n", lambda old: b"%d" % (int(old) + 1))
    is_done = False
    while not is_done:
        record = folder.find(":1:names")
        is_done, _ = folder.swap(":1:names", record.data + b".", record.nonce, time.time() + 1000)
"""


def started(program: str, *args: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", program, *map(str, args)], cwd=ROOT, stdout=subprocess.PIPE)


async def test_writers_killed_in_the_middle_leave_no_torn_value_and_no_orphan(cache: FileBasedCache) -> None:
    def killing() -> int:
        seen = 0
        for round_number in range(4):
            writers = [started(WRITER, cache.location) for _ in range(2)]
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.03 + 0.007 * round_number)  # anywhere in the writing
            for writer in writers:
                writer.send_signal(signal.SIGKILL)
                writer.wait()
                assert writer.stdout is not None
                writer.stdout.close()
            folder = FileStore(cache.location, time.time, 1)
            for number in range(7):
                record = folder.find(f":1:k{number}")
                if record is not None:
                    seen += 1
                    assert len(record.data) == 300_000
                    assert len(set(record.data)) == 1
            folder.put(":1:after", b"1", time.time() + 10)  # no lock is left behind
        return seen

    assert await asyncio.to_thread(killing) > 0
    await cache.sweep()
    left = [path for path in Path(cache.location).rglob("*") if path.is_file() and path.parent.name != "locks"]
    assert len(left) <= 8, "seven values and the one after"
    assert list(Path(cache.location).rglob("*.new")) == []


async def test_processes_count_and_swap_without_loss(cache: FileBasedCache) -> None:
    await cache.set("n", 0)
    await cache.raw_set(":1:names", b"", 1000)
    workers = [started(COUNTER, cache.location, 60) for _ in range(3)]
    for worker in workers:
        assert await asyncio.to_thread(worker.wait) == 0
        assert worker.stdout is not None
        worker.stdout.close()
    assert await cache.get("n") == 180
    assert await cache.raw_get(":1:names") == b"." * 180


def test_a_lock_without_a_timeout_is_tried_once(tmp_path: Path) -> None:
    folder = FileStore(tmp_path, time.time, 0)
    with folder._locked("a"), pytest.raises(FileStoreBusy):
        folder.put("a", b"x", 1)


async def test_a_lock_that_somebody_keeps_is_waited_for_only_so_long(tmp_path: Path) -> None:
    cache = FileBasedCache(str(tmp_path), {"ALIAS": "f", "OPTIONS": {"LOCK_TIMEOUT": 0.01, "SWEEP_INTERVAL": 0}})
    await cache.set("key", 1)
    async with held(tmp_path, ":1:key"):
        with pytest.raises(CacheUnavailable, match=r"lock was held by another process for 0\.01 s"):
            await cache.set("key", 2)
        assert await cache.get("key") == 1, "readers need no lock"
    await cache.set("key", 3)
    assert await cache.get("key") == 3
