"""Tests of an application: over a real socket, in the test's own loop. Begin with `TestClient`.

    client.py  HTTP and WebSocket from a test, to an application that listens on a free port
    plugin.py  the pytest plugin                  fixtures.py  its fixtures
    jobs.py    jobs that run when the test says so

Needs the extra `testing` (httpx2, pytest, pytest-asyncio).
"""

from typing import TYPE_CHECKING, Any

from torngas_aio.exception import ConfigError

if TYPE_CHECKING:
    from torngas_aio.testing.client import TestClient

__all__ = ["HOW_TO_INSTALL", "LIBRARIES", "TestClient"]

LIBRARIES = ("httpx2", "httpcore2", "pytest_asyncio")
"""What the extra brings, by the names of import."""

HOW_TO_INSTALL = "torngas_aio's test client and fixtures need the extra `testing`: pip install 'torngas-aio[testing]'."


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: pytest imports this package wherever it finds it, extra or not."""
    if name != "TestClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from torngas_aio.testing.client import TestClient
    except ModuleNotFoundError as exc:
        if exc.name in LIBRARIES:
            raise ConfigError(HOW_TO_INSTALL, code="TGA105") from exc
        raise
    globals()[name] = TestClient
    return TestClient
