"""The servers of the database tests; one of each for the whole run."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.db.models  # noqa: F401  # the tables that `create_db` makes
from tests.db.support import configured, maria, pg, prepared
from tests.services import mariadb
from tests.services import postgres as postgres_service
from tests.services.mariadb import MariaCluster, shared_cluster
from tests.services.postgres import PostgresServer, shared_postgres

BACKENDS = [
    "sqlite",
    pytest.param("aiomysql", marks=pytest.mark.mariadb),
    pytest.param("asyncmy", marks=pytest.mark.mariadb),
    pytest.param("asyncpg", marks=pytest.mark.postgres),
]


@pytest.fixture(scope="session", autouse=True)
def servers() -> Iterator[None]:
    """End the shared servers with the run."""
    yield
    mariadb.close_shared()
    postgres_service.close_shared()


@pytest.fixture
def cluster() -> Iterator[MariaCluster]:
    """A master and two slaves that replicate; whatever a test did to them is mended after it."""
    found = shared_cluster()
    yield found
    found.heal()


@pytest.fixture
def postgres() -> PostgresServer:
    """A PostgreSQL."""
    return shared_postgres()


@pytest.fixture
def sqlite(tmp_path: Path) -> dict[str, Any]:
    """A DATABASE_CONNECTION for a file, and for the connection 'other' a file of its own."""
    return {
        name: {"connections": [{"ROLE": "master", "DRIVER": "sqlite+aiosqlite", "DATABASE": str(tmp_path / name)}]}
        for name in ("default", "other")
    }


@pytest.fixture(params=BACKENDS)
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Settings and fresh tables on each kind of server; its driver's name."""
    name: str = request.param
    replicating: MariaCluster | None = None
    if name == "sqlite":
        connections = request.getfixturevalue("sqlite")
    elif name == "asyncpg":
        connections = pg(request.getfixturevalue("postgres"), has_slave=True)
    else:
        replicating = shared_cluster()
        connections = maria(replicating, f"mysql+{name}")
    with configured(connections):
        async with prepared(replicating):
            yield name
