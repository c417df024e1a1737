"""What every test stands on: the plugin that users get, and a watch for blocking calls in the loop."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

pytest_plugins = ["torngas_aio.testing.plugin"]


@pytest.fixture(autouse=True)
def blocking_calls_fail() -> Iterator[BlockBuster]:
    """A call that blocks the loop (a file, a sleep, a synchronous socket) inside torngas_aio fails the test."""
    with blockbuster_ctx("torngas_aio", excluded_modules=["torngas_aio.testing"]) as watch:
        yield watch
