"""A store of bytes in a folder, safe for concurrent threads and processes; calls block, no event loop is used.

    LOCATION/cached/3f/9c…e1     one value: header, key, data; its modification time is the expiry
             reserved/…          the same for sessions and locks
             locks/00 … 3f       64 lock files, each for a 64th of the keys; writers hold the key's lock
             locks/00.new …      the value being written under that lock, then renamed into place

A reader sees a complete value or none: values are replaced by an atomic rename, and a checksum detects torn files.
If a writer is killed, the system frees its lock; at most its `.new` file remains, which the next `sweep` or the next
writer under that lock removes.
"""

import contextlib
import errno
import fcntl
import math
import os
import secrets
import shutil
import stat
import struct
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from torngas_aio.cache.keys import is_reserved

__all__ = ["FOREVER", "LAST_CERTAIN", "FileStore", "FileStoreBusy", "Record"]

FOREVER = 15_000_000_000.0
"""The expiry that stands for "never": in the year 2445, near the limit of file systems' timestamps."""

LAST_CERTAIN = 2**31 - 1.0
"""Some file systems cap timestamps at this one (2038); a value with this expiry is treated as never expiring."""

_HEADER = struct.Struct(">4s8sHQI")
_MAGIC = b"TAF1"
_STRIPES = 64
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # refuse a pipe or link at a value's path
_FOREIGN = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENXIO}
_LONGEST_PAUSE = 0.02


class FileStoreBusy(OSError):
    """Another process held a lock for longer than the caller may wait."""


@dataclass(frozen=True, slots=True)
class Record:
    """One value as read from its file.

    Attributes:
        nonce: Eight random bytes, new for each write: the compare-and-set token.
        expires_at: Seconds of the store's clock; FOREVER for no expiry.
    """

    key: str
    data: bytes
    nonce: bytes
    expires_at: float


class FileStore:
    """The values in one folder. Every call may raise `OSError` if the file system fails.

    Args:
        path: The folder; created if missing, accessible to its owner only.
        clock: Returns seconds since the epoch, comparable across processes.
        lock_timeout: Seconds to wait for a lock that another process holds.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float], lock_timeout: float) -> None:
        self.path = Path(path)
        self.clock = clock
        self._lock_timeout = lock_timeout

    def find(self, key: str) -> Record | None:
        """Return the unexpired record of *key*, or None; a torn or foreign file counts as absent."""
        record = _read(self._place(key))
        return record if record is not None and record.key == key and record.expires_at > self.clock() else None

    def put(self, key: str, data: bytes, expires_at: float) -> bool:
        """Write *data*, replacing any earlier value; return whether a file was added to the folder."""
        with self._locked(key) as draft:
            return self._write(draft, key, data, expires_at)

    def add(self, key: str, data: bytes, expires_at: float) -> bool:
        """Write *data* if *key* is absent or expired; return whether it was written."""
        with self._locked(key) as draft:
            if self.find(key) is not None:
                return False
            self._write(draft, key, data, expires_at)
            return True

    def swap(self, key: str, data: bytes, nonce: object, expires_at: float) -> tuple[bool, Record | None]:
        """Write *data* if the current record has *nonce*; return whether it was written, and the record there now."""
        with self._locked(key) as draft:
            record = self.find(key)
            if record is None or record.nonce != nonce:
                return False, record
            self._write(draft, key, data, expires_at)
            return True, None

    def change(self, key: str, change: Callable[[bytes], bytes]) -> bytes | None:
        """Replace the data by *change*(data), keeping the expiry; return the new data, None if the key is absent."""
        with self._locked(key) as draft:
            record = self.find(key)
            if record is None:
                return None
            data = change(record.data)
            self._write(draft, key, data, record.expires_at)
            return data

    def touch(self, key: str, expires_at: float) -> Record | None:
        """Set the expiry of the unexpired record of *key*; return the record, or None."""
        with self._locked(key):
            record = self.find(key)
            if record is not None:
                os.utime(self._place(key), (expires_at, expires_at))
            return record

    def remove(self, key: str, nonce: object = None) -> bool:
        """Remove *key*, with *nonce* only if the current record has it; return whether it was removed."""
        with self._locked(key):
            record = self.find(key)
            if record is None or (nonce is not None and record.nonce != nonce):
                return False
            self._place(key).unlink(missing_ok=True)
            return True

    # The whole folder

    def keys(self, head: str) -> list[str]:
        """Return the keys of all unexpired records that begin with *head*."""
        now = self.clock()
        found = (_read(path) for path in self._files(is_reserved(head)))
        return [record.key for record in found if record and record.expires_at > now and record.key.startswith(head)]

    def sweep(self) -> int:
        """Remove expired records and the drafts of killed writers; return how many cached records remain."""
        for stripe in range(_STRIPES):
            draft = self._draft(stripe)
            if draft.exists():
                with contextlib.suppress(FileStoreBusy), self._holding(stripe, 0):
                    pass  # taking the lock removes the draft of its last holder
        now, remaining = self.clock(), 0
        for reserved in (True, False):
            for path in self._files(reserved):
                if _expiry(path) <= now:
                    self._remove_expired(path)
                elif not reserved:
                    remaining += 1
        return remaining

    def cull(self, wanted: int, reserved: bool = False) -> None:
        """Remove *wanted* records, earliest expiry first."""
        files = sorted(self._files(reserved), key=_expiry)
        for path in files[:wanted]:
            path.unlink(missing_ok=True)

    def count(self, reserved: bool = False) -> int:
        """Return the number of files, expired ones included."""
        return sum(1 for _ in self._files(reserved))

    # Files and locks

    def _place(self, key: str) -> Path:
        digest = blake2b(key.encode("utf-8"), digest_size=20).hexdigest()
        return self.path / ("reserved" if is_reserved(key) else "cached") / digest[:2] / digest[2:]

    def _files(self, reserved: bool) -> Iterator[Path]:
        top = self.path / ("reserved" if reserved else "cached")
        for folder in _list_files(top):
            yield from _list_files(folder)

    def _stripe(self, path: Path) -> int:
        return int(path.parent.name, 16) % _STRIPES

    def _draft(self, stripe: int) -> Path:
        return self.path / "locks" / f"{stripe:02x}.new"

    @contextlib.contextmanager
    def _locked(self, key: str) -> Generator[Path]:
        with self._holding(self._stripe(self._place(key)), self._lock_timeout) as draft:
            yield draft

    @contextlib.contextmanager
    def _holding(self, stripe: int, lock_timeout: float) -> Generator[Path]:
        """Hold a lock; yield the path at which its holder may write a draft."""
        draft = self._draft(stripe)
        file = _open_lock(draft.with_suffix(""))
        try:
            _take(file, lock_timeout)
            draft.unlink(missing_ok=True)
            yield draft
        finally:
            os.close(file)  # frees the lock too

    def _write(self, draft: Path, key: str, data: bytes, expires_at: float) -> bool:
        place = self._place(key)
        name = key.encode("utf-8")
        head = _HEADER.pack(_MAGIC, secrets.token_bytes(8), len(name), len(data), zlib.crc32(data, zlib.crc32(name)))
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(file, "wb") as stream:
                os.fchmod(file, 0o600)  # the umask may have cleared bits of open()'s mode
                stream.writelines((head, name, data))
            os.utime(draft, (expires_at, expires_at))
            return self._rename(draft, place)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def _rename(self, draft: Path, place: Path) -> bool:
        is_new = not place.exists()
        try:
            draft.replace(place)
        except FileNotFoundError:
            _make_private(place.parent)
            draft.replace(place)
        except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError):
            if not place.is_dir():
                raise
            shutil.rmtree(place)  # another program created a folder at the value's path
            draft.replace(place)
        return is_new

    def _remove_expired(self, path: Path) -> None:
        try:
            with self._holding(self._stripe(path), 0):
                if _expiry(path) <= self.clock():
                    path.unlink(missing_ok=True)
        except (FileStoreBusy, IsADirectoryError, PermissionError, ValueError):
            return  # in use, or another program's


def _read(path: Path) -> Record | None:
    """Return the record in the file *path*; None if the file is missing, torn or foreign."""
    try:
        file = os.open(path, _READING)
    except OSError as exc:
        if exc.errno in _FOREIGN:
            return None
        raise
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        with os.fdopen(file, "rb", closefd=False) as stream:
            return _parse(stream.read(), status.st_mtime)
    finally:
        os.close(file)


def _parse(content: bytes, expires_at: float) -> Record | None:
    if len(content) < _HEADER.size:
        return None
    magic, nonce, key_bytes, data_bytes, checksum = _HEADER.unpack_from(content)
    body = content[_HEADER.size :]
    if (
        magic != _MAGIC
        or len(body) != key_bytes + data_bytes
        or zlib.crc32(body[key_bytes:], zlib.crc32(body[:key_bytes])) != checksum
    ):
        return None
    try:
        return Record(body[:key_bytes].decode("utf-8"), body[key_bytes:], nonce, expires_at)
    except UnicodeDecodeError:
        return None


def _expiry(path: Path) -> float:
    """Return the expiry of the file *path*; a time long past if the file is gone."""
    try:
        return path.stat(follow_symlinks=False).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return -math.inf


def _list_files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _open_lock(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        _make_private(path.parent)
        return os.open(path, flags, 0o600)


def _make_private(folder: Path) -> None:
    """Create *folder* and its missing parents, accessible to the owner only regardless of the umask."""
    if folder.is_dir():
        return
    _make_private(folder.parent)
    with contextlib.suppress(FileExistsError):  # another process was first
        folder.mkdir(0o700)
        folder.chmod(0o700)


def _take(file: int, lock_timeout: float) -> None:
    pause, deadline = 0.0005, time.monotonic() + lock_timeout
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise FileStoreBusy(f"a lock was held by another process for {lock_timeout} s") from None
        time.sleep(pause)  # in a worker thread; flock has no timeout
        pause = min(pause * 2, _LONGEST_PAUSE)
