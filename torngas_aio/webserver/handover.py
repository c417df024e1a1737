"""In-process sessions over an autoreload: the developer stays logged in.

    hand_over   before the program is replaced: records into a file without a name, whose descriptor it inherits
    take_over   in the new program: read once, put back where nothing is

Begin with `hand_over`.
"""

import contextlib
import json
import os
import tempfile
import time
from typing import Any

from torngas_aio.cache.lru import Entry, Kind, Location
from torngas_aio.session.record_store import RECORD_HEADS

__all__ = ["hand_over", "take_over"]

_DESCRIPTOR = "TORNGAS_RELOAD_DESCRIPTOR"
"""Environment variable: number and inode of the inherited file; useless to a process that does not inherit it."""

_kept: list[Any] = []  # the file until the program is replaced; the locations until their caches are made


def hand_over() -> None:
    """Leave the session records of every in-process cache to the program that replaces this one."""
    now = time.monotonic()
    records = [
        (name, key, entry.value.decode("latin-1"), entry.expires_at - now)
        for name, location in Location.all().items()
        for key, entry in location.reserved.entries.items()
        if key.startswith(RECORD_HEADS) and isinstance(entry.value, bytes) and entry.expires_at > now
    ]
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the program that reads it
    file.write(json.dumps(records).encode())
    file.flush()
    os.set_inheritable(file.fileno(), True)
    os.environ[_DESCRIPTOR] = f"{file.fileno()}:{os.fstat(file.fileno()).st_ino}"
    _kept.append(file)


def take_over() -> None:
    """Put back what the program before this one has left; what cannot be read is left out."""
    number, _, inode = os.environ.pop(_DESCRIPTOR, "").partition(":")
    with contextlib.suppress(OSError, ValueError):
        if os.fstat(int(number)).st_ino == int(inode):
            with os.fdopen(int(number), "rb") as file:
                file.seek(0)
                _restore(json.load(file))


def _restore(records: list[tuple[str, str, str, float]]) -> None:
    now = time.monotonic()
    for name, key, value, seconds in records:
        location = Location.named(name)
        _kept.append(location)
        location.reserved.entries.setdefault(key, Entry(value.encode("latin-1"), Kind.PACKED, now + seconds))
