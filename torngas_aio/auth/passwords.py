"""Password hashes by argon2id, with the default parameters of argon2-cffi.

A hash takes some 50 ms and 64 MiB. At most two are computed at once, in threads, and at most 64 wait, so that many
logins at once neither block the loop nor exhaust the memory.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import anyio
from anyio.to_thread import run_sync
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from torngas_aio.exception import ArgumentError, PoolExhausted

__all__ = ["MAX_AT_ONCE", "MAX_PASSWORD_BYTES", "MAX_WAITING", "check_password", "hash_password", "needs_rehash"]

MAX_PASSWORD_BYTES = 1024
MAX_AT_ONCE = 2
MAX_WAITING = 64

T = TypeVar("T")

_hasher = PasswordHasher()
_places: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Places]" = WeakKeyDictionary()
_unknown: str | None = None


async def hash_password(password: str) -> str:
    """Return the hash to store for *password*, including salt and parameters.

    Raises:
        ArgumentError: The password is empty or has more than 1024 bytes.
        PoolExhausted: 64 calls are waiting already; the response is 503.
    """
    data = password.encode("utf-8", "surrogatepass")
    if not 0 < len(data) <= MAX_PASSWORD_BYTES:
        raise ArgumentError(f"A password of {len(data)} bytes: 1 to {MAX_PASSWORD_BYTES} are allowed.")
    return await _run(lambda: _hasher.hash(data))


async def check_password(password: str, hashed: str | None) -> bool:
    """Return whether *password* matches *hashed*.

    Takes the same time if the user does not exist.

    Args:
        hashed: The result of `hash_password`; None if there is no such user.

    Raises:
        PoolExhausted: 64 calls are waiting already; the response is 503.
    """
    data = password.encode("utf-8", "surrogatepass")
    if len(data) > MAX_PASSWORD_BYTES:
        data, hashed = b"", None
    return await _run(lambda: _is_right(data, hashed))


def needs_rehash(hashed: str) -> bool:
    """Return whether *hashed* has outdated parameters; if so, store a new hash after a login."""
    try:
        return _hasher.check_needs_rehash(hashed)
    except InvalidHashError:
        return True


def _is_right(data: bytes, hashed: str | None) -> bool:
    global _unknown  # noqa: PLW0603  # computed once, in a thread
    _unknown = _unknown or _hasher.hash(secrets.token_bytes())  # matches no password
    try:
        return _hasher.verify(hashed or _unknown, data)
    except (VerificationError, InvalidHashError):
        return False


class _Places:
    """The limiter of one loop, and the number of hashes running and waiting."""

    def __init__(self) -> None:
        self.limiter = anyio.CapacityLimiter(MAX_AT_ONCE)
        self.count = 0


async def _run(function: Callable[[], T]) -> T:
    places = _places.setdefault(asyncio.get_running_loop(), _Places())
    if places.count >= MAX_AT_ONCE + MAX_WAITING:
        raise PoolExhausted(f"{MAX_WAITING} password hashes wait already. Limit the rate of logins (RateLimit).")
    places.count += 1
    try:
        return await run_sync(function, limiter=places.limiter)
    finally:
        places.count -= 1
