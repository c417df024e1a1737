"""Several parts to a transport in one call, on Pythons whose `writelines` can be trusted and on the others.

Begin with `write_parts`.
"""

import asyncio
import sys
from collections.abc import Sequence

__all__ = ["write_parts"]

# CVE-2024-12254 (cpython#127655): `writelines` of asyncio's transports never calls `pause_writing`, so that what a slow
# peer does not read fills the memory. `write` does.
_IS_FLAWED = (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)


def write_parts(transport: asyncio.WriteTransport, parts: Sequence[bytes]) -> None:
    """Write *parts* in one go; the protocol is paused where too much of it has to wait."""
    if _IS_FLAWED:
        transport.write(b"".join(parts))
    else:
        transport.writelines(parts)
