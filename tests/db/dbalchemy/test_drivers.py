"""Driver names: the seed's synchronous ones are mapped, asynchronous ones are kept."""

import pytest

from torngas_aio.db.dbalchemy.drivers import DRIVERS, async_driver


@pytest.mark.parametrize(
    ("name", "served_by"),
    [
        ("mysql+mysqldb", "mysql+aiomysql"),
        ("mysql+pymysql", "mysql+aiomysql"),
        ("mariadb+mysqlconnector", "mysql+aiomysql"),
        ("postgresql+psycopg2", "postgresql+asyncpg"),
        ("postgres+pg8000", "postgresql+asyncpg"),
        ("sqlite+pysqlite", "sqlite+aiosqlite"),
    ],
)
def test_a_synchronous_name_is_mapped_to_an_asyncio_driver(name: str, served_by: str) -> None:
    assert async_driver(name) == (DRIVERS[served_by], True)


@pytest.mark.parametrize(
    ("name", "served_by"),
    [
        ("mysql", "mysql+aiomysql"),
        ("MySQL+aiomysql ", "mysql+aiomysql"),
        ("mariadb+asyncmy", "mysql+asyncmy"),
        ("mysql+asyncmy", "mysql+asyncmy"),
        ("postgresql", "postgresql+asyncpg"),
        ("sqlite", "sqlite+aiosqlite"),
    ],
)
def test_an_asynchronous_name_or_a_bare_backend_needs_no_warning(name: str, served_by: str) -> None:
    assert async_driver(name) == (DRIVERS[served_by], False)


@pytest.mark.parametrize("name", ["postgresql+psycopg", "oracle+oracledb_async", "nonsense"])
def test_what_is_not_known_here_is_left_to_sqlalchemy(name: str) -> None:
    assert async_driver(name) == (None, False)
