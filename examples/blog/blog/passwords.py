"""Passwords, salted and hashed with scrypt, in a thread: hashing takes its time on purpose, and the loop has none."""

import hashlib
import hmac
import secrets

from torngas_aio.decorators.async_execute import async_execute

COST = {"n": 2**14, "r": 8, "p": 1}


@async_execute
def hashed(password: str) -> str:
    """Return what is kept of *password*."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **COST).hex()}"


@async_execute
def is_right(password: str, kept: str) -> bool:
    """Whether *kept* was made of *password*."""
    salt, _, digest = kept.partition("$")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **COST)
    return hmac.compare_digest(found.hex(), digest)
