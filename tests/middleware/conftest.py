"""What the middlewares' tests stand on."""

from collections.abc import Iterator

import pytest

from tests.services import mariadb


@pytest.fixture(scope="session", autouse=True)
def servers() -> Iterator[None]:
    """End the shared servers with the run."""
    yield
    mariadb.close_shared()
