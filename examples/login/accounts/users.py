"""The two users of the example; a real application has a table of them.

Passwords are kept as salted scrypt hashes and compared in a thread, for hashing takes its time on purpose.
"""

import hashlib
import hmac

from torngas_aio.decorators.async_execute import async_execute

SALT = bytes.fromhex("5f0c8a3e9d7b41f2a6c4e8d0b2719365")  # one for each user where there is a table

HASHES = {
    "ann": "eb645780bc3f062e4d1e54b545288ee522a9462af318001f7979c427fe83df7c",
    "bob": "0a00f33d6bfe628d10416353c4a8ae8a0fd25e9a7032276ad2d81478c949bbfa",
}


@async_execute
def is_right(name: str, password: str) -> bool:
    """Tell whether *password* is *name*'s; an unknown name takes as long as a known one."""
    known = bytes.fromhex(HASHES.get(name, "00" * 32))
    return hmac.compare_digest(known, hashed(password))


def hashed(password: str) -> bytes:
    return hashlib.scrypt(password.encode(), salt=SALT, n=2**14, r=8, p=1, dklen=32)
