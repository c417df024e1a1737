"""Testing of applications over a real socket, in the test's event loop. Begin with `TestClient`.

    client.py  an HTTP and WebSocket client for an application that listens on a free port
    plugin.py  the pytest plugin                  fixtures.py  its fixtures
    jobs.py    a backend that records jobs and runs them on request

Needs the extra `testing` (httpx2, pytest, pytest-asyncio).
"""

from typing import TYPE_CHECKING, Any

from torngas_aio.exception import ConfigError

if TYPE_CHECKING:
    from torngas_aio.testing.client import TestClient

__all__ = ["HOW_TO_INSTALL", "LIBRARIES", "TestClient"]

LIBRARIES = ("httpx2", "httpcore2", "pytest_asyncio")
"""Import names of the packages in the extra."""

HOW_TO_INSTALL = "torngas_aio's test client and fixtures need the extra `testing`: pip install 'torngas-aio[testing]'."


def __getattr__(name: str) -> Any:
    """Import the client on first access, since pytest imports this package even without the extra."""
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
