"""A request's body in a temporary file, for handler classes with `spool_body = True`.

    chunks ──► Spool.write ──► memory up to 1 MiB, then an unnamed file, written in threads
    form   ──► SpooledFile: a section of the spool for each file; nothing is copied

The request's scope closes the spool.
"""

# pyright: reportPrivateUsage=false

import contextlib
import errno
import mmap
import tempfile
import threading
from collections.abc import Generator
from typing import Any

from anyio.to_thread import run_sync

from torngas_aio.exception import Unavailable
from torngas_aio.http.base import BodyError
from torngas_aio.http.forms import Arguments, parts_of

__all__ = ["IN_MEMORY", "Spool", "SpooledFile", "writing_to"]

IN_MEMORY = 1024 * 1024
"""Most bytes kept in memory: of a body, of a file, or of all fields of a form together."""

_OF_LARGE = 64 * 1024  # bytes kept in memory of a body announced as larger, for many concurrent uploads


@contextlib.contextmanager
def writing_to(folder: str) -> "Generator[None]":
    """Convert errors of a full disk in the block to `Unavailable`.

    Raises:
        Unavailable: The disk of *folder* is full, or the user's share of it.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise Unavailable(f"The disk of {folder} is full: {exc.strerror}.") from exc


class Spool:
    """The part of a body that has been read.

    Attributes:
        size: Bytes so far.

    Args:
        content: The part that has already been read; such a spool is read-only.
        announced: The expected number of bytes, 0 if unknown; above 1 MiB only 64 KiB are kept in memory.
    """

    def __init__(self, content: bytes = b"", announced: int = 0) -> None:
        self.size = len(content)
        self._in_memory_up_to = IN_MEMORY if announced <= IN_MEMORY else _OF_LARGE
        self._memory: bytes | bytearray = content or bytearray()
        self._file: Any = None
        self._is_spilled = False
        self._is_closed = False
        self._lock = threading.Lock()  # keeps the file open while a thread of a cancelled request uses it

    @property
    def body(self) -> bytes:
        """The whole body.

        Raises:
            RuntimeError: It is larger than 1 MiB.
        """
        if self._is_spilled:
            raise RuntimeError(f"The body has {self.size} bytes and lies in a file: use `await request.spool.read()`.")
        return bytes(self._memory)

    async def write(self, chunk: bytes) -> None:
        """Append *chunk*.

        Raises:
            Unavailable: The disk of the temporary files is full.
        """
        self.size += len(chunk)
        if self.size > self._in_memory_up_to:
            self._is_spilled = True
            await run_sync(self._write, chunk)
        else:
            self._memory += chunk

    def _write(self, chunk: bytes) -> None:
        with self._lock, writing_to(tempfile.gettempdir()):
            if self._is_closed:
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the request's scope
                self._file.write(self._memory)
                self._memory = bytearray()
            self._file.write(chunk)

    async def read(self, size: int = -1, start: int = 0) -> bytes:
        """Return *size* bytes from *start*; -1 for all bytes to the end.

        Raises:
            ValueError: The request has ended.
        """
        stop = self.size if size < 0 else min(start + size, self.size)
        return await run_sync(self._read, start, stop) if self._is_spilled else bytes(self._memory[start:stop])

    def _read(self, start: int, stop: int) -> bytes:
        with self._lock:
            if self._is_closed:
                raise ValueError("The file of a request's body is closed: its request has ended.")
            self._file.seek(start)
            data: bytes = self._file.read(max(stop - start, 0))
            return data

    async def parse_form(self, boundary: bytes) -> tuple[Arguments, dict[str, list[Any]]]:
        """Parse the body as a multipart form; return the arguments and the files, as `SpooledFile`.

        Raises:
            HTTPInputError: The body is not a multipart form.
            BodyError: 413: the fields that are not files take more than 1 MiB.
        """
        if self._is_spilled:
            return await run_sync(self._parse_form, boundary)
        return self._parse_form(boundary)

    def _parse_form(self, boundary: bytes) -> tuple[Arguments, dict[str, list[object]]]:
        arguments: Arguments = {}
        files: dict[str, list[object]] = {}
        left = IN_MEMORY
        with self._lock, self._map_file() as data:
            for part in parts_of(data, boundary):
                if part.filename:
                    files.setdefault(part.name, []).append(
                        SpooledFile(self, part.filename, part.content_type, part.start, part.end)
                    )
                    continue
                left -= part.end - part.start
                if left < 0:
                    raise BodyError(413, f"The fields of the form take more than {IN_MEMORY} bytes.")
                arguments.setdefault(part.name, []).append(data[part.start : part.end])
        return arguments, files

    @contextlib.contextmanager
    def _map_file(self) -> "Generator[bytes | _Map]":
        if self._file is None:
            yield bytes(self._memory)
            return
        self._file.flush()
        with _Map(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data

    def close_now(self) -> bool:
        """Close the spool if it has no file; return whether it is closed."""
        if not self._is_spilled:
            self._is_closed = True
        return self._is_closed

    async def aclose(self) -> None:
        """Close and remove the file, in a thread."""
        await run_sync(self._close)

    def _close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                self._file.close()


class _Map(mmap.mmap):
    """A memory-mapped file that is searched from its beginning; pages already searched are released."""

    _left_at = 0

    def find(self, *wanted: Any) -> int:
        found = super().find(*wanted)
        start = wanted[1] // mmap.PAGESIZE * mmap.PAGESIZE
        if start - self._left_at >= IN_MEMORY:
            self.madvise(mmap.MADV_DONTNEED, self._left_at, start - self._left_at)
            self._left_at = start
        return found


class SpooledFile:
    """An uploaded file; the names of Tornado's `HTTPFile`, as attributes and as keys.

    Attributes:
        filename: The client's value: never use it as a path.
        content_type: The client's value.
        size: In bytes.
        spool: The body that contains the file, from byte *start* on.
    """

    def __init__(self, spool: Spool, filename: str, content_type: str, start: int, end: int) -> None:
        self.filename = filename
        self.content_type = content_type
        self.size = end - start
        self.spool = spool
        self.start = start
        self._at = 0

    @property
    def body(self) -> bytes:
        """The content.

        Raises:
            RuntimeError: It is larger than 1 MiB, or its request has ended.
        """
        spool = self.spool
        if self.size > IN_MEMORY and spool._is_spilled:
            raise RuntimeError(f"The file {self.filename!r} has {self.size} bytes: use `await file.read()`.")
        stop = self.start + self.size
        return spool._read(self.start, stop) if spool._is_spilled else spool.body[self.start : stop]

    async def read(self, size: int = -1) -> bytes:
        """Return the next *size* bytes, b"" at the end; -1 for all bytes to the end. Raises as `Spool.read`."""
        left = self.size - self._at
        size = left if size < 0 else min(size, left)
        data = await self.spool.read(size, self.start + self._at)
        self._at += size
        return data

    def seek(self, position: int) -> None:
        """Continue reading at *position*."""
        self._at = min(max(position, 0), self.size)

    def __getitem__(self, name: str) -> Any:
        if name not in {"filename", "content_type", "body"}:
            raise KeyError(name)
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"SpooledFile({self.filename!r}, {self.content_type!r}, {self.size} bytes)"
