"""Uploaded files: their names, and how they are read and stored."""

import asyncio
import errno
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tornado.httputil import HTTPFile

from torngas_aio.exception import ArgumentError, Unavailable
from torngas_aio.http.spool import IN_MEMORY, Spool, SpooledFile
from torngas_aio.http.uploads import FolderStorage, UploadedFile, has_type, safe_filename

CONTENT = b"0123456789abcdef" * (5 * IN_MEMORY // 32)


def in_memory(filename: str = "a.txt", body: bytes = CONTENT, content_type: str = "text/plain") -> UploadedFile:
    return UploadedFile(HTTPFile(filename=filename, body=body, content_type=content_type))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(params=["memory", "spool"])
async def file(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        yield in_memory()
        return
    spool = Spool()
    await spool.write(b"before" + CONTENT + b"behind")
    yield UploadedFile(SpooledFile(spool, "a.txt", "text/plain", 6, 6 + len(CONTENT)))
    await spool.aclose()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("报告 2026.pdf", "报告 2026.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\x.doc", "x.doc"),
        ("/", "file"),
        ("..", "file"),
        ("", "file"),
        (".htaccess", "htaccess"),
        ("a\r\nSet-Cookie: b", "a Set-Cookie b"),
        ("a\0.txt", "a.txt"),
        ("a\u202etxt.exe", "atxt.exe"),
        ("shot\u202fone.png", "shot one.png"),
        ("\ud800.txt", "txt"),
        ('<a>:"|?*.txt', "a.txt"),
        ("con", "_con"),
        ("NUL .txt", "_NUL .txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("console.txt", "console.txt"),
        ("a.txt. .", "a.txt"),
        ("e\u0301.txt", "\xe9.txt"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
        ("é" * 300, "é" * 100),
        ("a." + "x" * 300, "a." + "x" * 198),
    ],
)  # fmt: skip
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_filename(name) == safe
    assert safe_filename(safe) == safe
    assert in_memory(name).filename == safe
    assert in_memory(name).raw_filename == name


async def test_a_file_is_read_and_iterated(file: UploadedFile) -> None:
    assert await file.read(3) == CONTENT[:3]
    assert b"".join([part async for part in file.iterate(1000)]) == CONTENT
    assert [len(part) async for part in file.iterate()] == [IN_MEMORY, IN_MEMORY, len(CONTENT) - 2 * IN_MEMORY]
    assert len(await file.read()) == len(CONTENT) - 3
    assert file.size == len(CONTENT)
    assert [part async for part in in_memory(body=b"").iterate()] == []


async def test_a_file_is_saved_to_a_path(file: UploadedFile, tmp_path: Path) -> None:
    target = tmp_path / "a"
    assert await file.save(target) is None
    assert target.read_bytes() == CONTENT
    with pytest.raises(FileExistsError):
        await file.save(str(target))
    await in_memory(body=b"").save(target, overwrite=True)
    assert target.read_bytes() == b""
    assert names_in(tmp_path) == ["a"]
    with pytest.raises(FileNotFoundError):
        await file.save(tmp_path / "none" / "a")


async def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr("os.link", refuse)
    await in_memory().save(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    with pytest.raises(FileExistsError):
        await in_memory(body=b"other").save(tmp_path / "a")
    assert (names_in(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], CONTENT)


async def test_a_storage_keeps_what_it_is_given(file: UploadedFile, tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "new" / "folder")
    first, second = await file.save(storage), await file.save(storage)
    assert first != second
    assert first.endswith("-a.txt")
    assert (storage.root / first).read_bytes() == CONTENT
    await storage.delete(first)
    await storage.delete(first)
    assert names_in(storage.root) == [second]


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "..", "a/b", "a\\b", "a\0", ""])
async def test_only_names_of_a_storage_are_deleted(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError):
        await FolderStorage(tmp_path).delete(name)


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_save_that_is_cancelled_leaves_nothing(tmp_path: Path, turns: int) -> None:
    for saving in (in_memory().save(tmp_path / "a"), in_memory().save(FolderStorage(tmp_path))):
        task = asyncio.ensure_future(saving)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            assert names_in(tmp_path) == []


async def test_a_save_that_fails_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool()
    await spool.write(CONTENT)
    await spool.aclose()
    with pytest.raises(ValueError, match="request has ended"):
        await UploadedFile(SpooledFile(spool, "a", "b", 0, len(CONTENT))).save(tmp_path / "a")
    assert names_in(tmp_path) == []


class FullDisk(io.RawIOBase):
    """What a file is whose disk fails; `raw` of a temporary one."""

    def __init__(self, number: int) -> None:
        self._number = number

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, Unavailable), (errno.EDQUOT, Unavailable), (errno.EIO, OSError)]
)
@pytest.mark.parametrize("buffer_bytes", [1, 2 * len(CONTENT)], ids=["write", "close"])
async def test_a_disk_that_takes_no_more_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], buffer_bytes: int
) -> None:
    def opened(path: Path, mode: str) -> io.BufferedWriter:
        path.touch()
        return io.BufferedWriter(FullDisk(number), buffer_bytes)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        await in_memory().save(tmp_path / "a")
    assert type(raised.value) is kind
    assert kind is OSError or str(tmp_path) in str(raised.value)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, Unavailable), (errno.EIO, OSError)])
async def test_a_body_that_the_disk_does_not_take(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: FullDisk(number))
    spool = Spool()
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        await spool.write(CONTENT)
    assert type(raised.value) is kind
    await spool.aclose()


@pytest.mark.parametrize(
    ("filename", "content_type", "allowed", "is_allowed"),
    [
        ("a.png", "image/png", ["image/*"], True),
        ("a.png", "IMAGE/PNG; x=y", ["Image/png"], True),
        ("a", "image/png", ["image/*"], True),
        ("a.html", "image/png", ["image/*"], False),
        ("a.png", "text/html", ["image/*"], False),
        ("a.svg", "image/svg+xml", ["image/png", "image/jpeg"], False),
        ("a.png", "", ["image/*"], False),
        ("a.png", "image/png", [], False),
    ],
)
def test_claim_and_suffix_have_an_allowed_type(
    filename: str, content_type: str, allowed: list[str], is_allowed: bool
) -> None:
    assert has_type(in_memory(filename, b"", content_type), allowed) is is_allowed
