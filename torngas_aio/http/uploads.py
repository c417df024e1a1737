"""Uploaded files, in memory or spooled, and their storage.

UploadedFile    one file of a form: safe name, size, content type; read, iterated and saved in threads
FolderStorage   a folder that stores uploads under unguessable names
safe_filename   a client's file name without folders and control characters
"""

import functools
import mimetypes
import os
import re
import secrets
import threading
import unicodedata
from collections.abc import AsyncIterator, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tornado.httputil import HTTPFile

from torngas_aio._cleanup import close_safely
from torngas_aio._concurrency import run_in_thread
from torngas_aio.exception import ArgumentError
from torngas_aio.http.spool import IN_MEMORY, Spool, SpooledFile, writing_to

__all__ = ["FolderStorage", "Storage", "UploadedFile", "has_type", "read_media_types", "safe_filename", "uploads_of"]

_MAX_NAME = 200  # bytes; file systems allow 255, and a storage adds a prefix
_UNSAFE = frozenset('<>:"/\\|?*')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)[ ]*(\.|$)", re.IGNORECASE).match  # on Windows


class Storage(Protocol):
    """A target of `UploadedFile.save`: a folder, an object store."""

    async def save(self, file: "UploadedFile") -> Any:
        """Store *file*, read by `file.iterate()`; return its identifier in the storage."""


class UploadedFile(SpooledFile):
    """A file of a form.

    Attributes:
        filename: Safe as a file name, see `safe_filename`.
        raw_filename: The client's value: never use it as a path.
        content_type: The client's value.
        size: In bytes.
    """

    def __init__(self, file: SpooledFile | HTTPFile) -> None:
        spool, start = (file.spool, file.start) if isinstance(file, SpooledFile) else (Spool(file.body), 0)
        stop = start + (file.size if isinstance(file, SpooledFile) else len(file.body))
        super().__init__(spool, safe_filename(file.filename), file.content_type, start, stop)
        self.raw_filename: str = file.filename

    async def iterate(self, chunk_bytes: int = IN_MEMORY) -> AsyncIterator[bytes]:
        """Yield the whole content in pieces of *chunk_bytes*; raises as `read`."""
        for at in range(0, self.size, chunk_bytes):
            yield await self.spool.read(min(chunk_bytes, self.size - at), self.start + at)

    async def save(self, target: str | os.PathLike[str] | Storage, *, overwrite: bool = False) -> Any:
        """Write the content to a path, or pass the file to a storage; return the storage's result.

        The file appears at the path once it is complete; a cancelled or failed call leaves no file.

        Args:
            target: A path in an existing folder, or an object with `async def save(file)`.
            overwrite: Replace an existing file.

        Raises:
            FileExistsError: A file exists at the path.
            Unavailable: The disk is full.
            OSError: It cannot be written.
        """
        if not isinstance(target, str | os.PathLike):
            return await target.save(self)
        writer = _Writer(Path(target))
        try:
            async for chunk in self.iterate(IN_MEMORY // 4):  # limits memory with many concurrent uploads
                await run_in_thread(writer.write, chunk)
            await run_in_thread(writer.commit, overwrite)
        finally:
            await close_safely("the file of an upload", functools.partial(run_in_thread, writer.discard))
        return None


class _Writer:
    """A file with a temporary name in the target's folder, until it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = str(path.parent)
        self._temporary = path.with_name(f".{secrets.token_hex(12)}.part")
        self._stream: BinaryIO | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # a cancelled call may still be writing in its thread

    def write(self, chunk: bytes) -> None:
        with self._lock, writing_to(self._folder):
            if not self._is_closed:
                self._open().write(chunk)

    def commit(self, overwrite: bool) -> None:
        with self._lock, writing_to(self._folder):
            if self._is_closed:
                return
            self._open().close()
            if overwrite:
                self._temporary.replace(self._path)
                return
            try:
                os.link(self._temporary, self._path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links: an empty file is visible for a moment
                self._path.open("xb").close()
                self._temporary.replace(self._path)

    def discard(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._stream is not None:
                self._stream.close()
                self._temporary.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        if self._stream is None:
            self._stream = self._temporary.open("xb")
        return self._stream


class FolderStorage:
    """A storage that keeps uploads in one folder, each under a random prefix and its safe name.

    Handlers send them with `send_file(name, root=storage.root)`.

    Args:
        root: The folder; created with the first file.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    async def save(self, file: UploadedFile) -> str:
        """Store *file*; return its name in the folder. Raises as `UploadedFile.save`."""
        name = f"{secrets.token_hex(16)}-{file.filename}"
        await run_in_thread(self._make)
        await file.save(self.root / name)
        return name

    async def delete(self, name: str) -> None:
        """Remove the file *name*, if it exists.

        Raises:
            ArgumentError: *name* cannot be a name returned by `save`.
        """
        if name != safe_filename(name, max_bytes=255):
            raise ArgumentError(f"FolderStorage.delete({name!r:.80}): give a name that `save` has returned.")
        await run_in_thread((self.root / name).unlink, True)

    def _make(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)


def uploads_of(files: Mapping[str, Iterable[SpooledFile | HTTPFile]]) -> dict[str, list[UploadedFile]]:
    """Return a request's *files* by field, as `UploadedFile`."""
    return {name: [UploadedFile(file) for file in found] for name, found in files.items()}


def safe_filename(name: str, *, max_bytes: int = _MAX_NAME) -> str:
    r"""Return *name* as a name that every file system accepts: never a path, hidden, or reserved.

    Folders (`/` and `\`), control characters, marks that reorder text, and `<>:"|?*` are removed; a long name is
    shortened before its suffix. "file" if nothing is left.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = "".join(each for each in " ".join(name.split()) if each.isprintable() and each not in _UNSAFE).strip(". ")
    stem, dot, suffix = name.rpartition(".")
    if len(name.encode()) > max_bytes:
        tail = dot + suffix if stem and len(suffix.encode()) <= 20 else ""
        head = name.encode()[: max_bytes - len(tail.encode())].decode(errors="ignore")
        name = head.rstrip(". ") + tail
    return f"_{name}" if _DEVICES(name) else name or "file"


def has_type(file: UploadedFile, allowed: Iterable[str]) -> bool:
    """Return whether the client's content type and that of the file's suffix are both *allowed*.

    Args:
        allowed: Media types such as "application/pdf" and "image/*". The content is not examined.
    """
    patterns = [each.lower() for each in allowed]
    claimed = file.content_type.partition(";")[0].strip().lower()
    guessed = mimetypes.guess_type(file.filename)[0] or claimed
    return all(any(fnmatchcase(kind, pattern) for pattern in patterns) for kind in (claimed, guessed))


def read_media_types() -> None:
    """Load Python's table of file suffixes, read from files, at start, so that no request waits for it."""
    if not mimetypes.inited:
        mimetypes.init()
