"""Tests of an application: over a real socket, in the test's own loop. Begin with `TestClient`.

Needs the extra `testing` (httpx2, pytest, pytest-asyncio).
"""

from torngas_aio.testing.client import TestClient

__all__ = ["TestClient"]
