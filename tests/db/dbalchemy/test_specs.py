"""DATABASE_CONNECTION and SQLALCHEMY_CONFIGURATION: what they may say, and what is said about faults."""

import logging
from typing import Any

import pytest

from torngas_aio.db.dbalchemy.specs import DRIVERS, ServerSpec, async_driver, parse_database, parse_databases
from torngas_aio.exception import ConfigError, UnknownAlias

SECRET = "hunter2"


def master(**more: Any) -> dict[str, Any]:
    return {
        "ROLE": "master",
        "DRIVER": "mysql+aiomysql",
        "UID": "root",
        "PASSWD": SECRET,
        "HOST": "db.example",
        "PORT": 3306,
        "DATABASE": "app",
        "QUERY": {"charset": "utf8"},
        **more,
    }


def parsed(*servers: dict[str, Any], configuration: dict[str, Any] | None = None, **more: Any) -> ServerSpec:
    connections = {"default": {"connections": list(servers), **more}}
    return parse_database("default", connections, configuration or {}).master


def faults_of(connections: Any, configuration: Any = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_databases(connections, configuration or {})
    assert SECRET not in str(caught.value)
    return caught.value.faults


def test_the_seeds_example_is_understood() -> None:
    connections = {"default": {"connections": [master(), master(ROLE="slave", PORT=3307), master(ROLE="SLAVE")]}}
    (spec,) = parse_databases(connections, {})
    assert spec.master.url.drivername == "mysql+torngas_aiomysql"
    assert (spec.master.url.username, spec.master.url.password) == ("root", SECRET)
    assert (spec.master.url.host, spec.master.url.port, spec.master.url.database) == ("db.example", 3306, "app")
    assert spec.master.url.query == {"charset": "utf8"}
    assert [slave.url.port for slave in spec.slaves] == [3307, 3306]


def test_a_synchronous_driver_is_mapped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    spec = parsed(master(DRIVER="mysql+mysqldb"))
    assert spec.driver is not None
    assert spec.driver.name == "mysql+aiomysql"
    assert "'mysql+mysqldb' is a synchronous driver; 'mysql+aiomysql' serves it" in caplog.text


def test_options_that_sqlalchemy_has_removed_are_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    options = {"sqlalchemy.encoding": "utf-8", "sqlalchemy.pool_size": 3, "sqlalchemy.convert_unicode": True}
    spec = parsed(master(), configuration=options)
    assert spec.options["pool_size"] == 3
    assert "encoding" not in spec.options
    assert caplog.text.count("means nothing to SQLAlchemy 2") == 2


def test_options_of_a_server_win_over_those_of_its_connection_and_of_all() -> None:
    spec = parsed(
        master(kwargs={"sqlalchemy.pool_size": 3}),
        kwargs={"pool_size": 2, "echo": True},
        configuration={"sqlalchemy.pool_size": 1, "sqlalchemy.echo": False, "sqlalchemy.pool_timeout": 4},
    )
    assert {key: spec.options[key] for key in ("pool_size", "echo", "pool_timeout")} == {
        "pool_size": 3,
        "echo": True,
        "pool_timeout": 4,
    }


def test_connect_timeout_reaches_each_driver_under_its_own_name() -> None:
    options = {"sqlalchemy.connect_args": {"connect_timeout": 3}}
    maria = parsed(master(), configuration=options)
    assert maria.options["connect_args"] == {"local_infile": False, "connect_timeout": 3.0}
    pg = parsed(master(DRIVER="postgresql", QUERY={}), configuration=options)
    assert pg.options["connect_args"] == {"timeout": 3.0}
    sqlite = parsed({"ROLE": "master", "DRIVER": "sqlite", "DATABASE": "a.db"}, configuration=options)
    assert sqlite.options["connect_args"] == {}
    foreign = parsed(master(DRIVER="postgresql+psycopg"), configuration=options)
    assert foreign.options["connect_args"] == {"connect_timeout": 3}


def test_without_settings_connections_are_bounded_and_no_file_can_be_asked_for() -> None:
    spec = parsed(master(QUERY={}))
    assert spec.connect_seconds == 5
    assert spec.options["connect_args"]["local_infile"] is False
    assert spec.url.query == {"charset": "utf8mb4"}
    assert spec.read_seconds == 30.0


def test_a_slave_has_a_weight_and_a_deadline() -> None:
    slaves = [master(ROLE="slave"), master(ROLE="slave", WEIGHT=2.5, READ_TIMEOUT=1)]
    spec = parse_database("default", {"default": {"connections": [master(), *slaves]}}, {})
    assert [(slave.weight, slave.read_seconds) for slave in spec.slaves] == [(1.0, 30.0), (2.5, 1.0)]


def test_sqlite_is_the_default_and_needs_neither_user_nor_host() -> None:
    spec = parsed({"DATABASE": "app.db"})
    assert str(spec.url) == "sqlite+torngas_aiosqlite:///app.db"
    assert spec.label == "master app.db"


@pytest.mark.parametrize("port", ["3307", 3307])
def test_a_port_may_be_written_as_text(port: object) -> None:
    assert parsed(master(PORT=port)).url.port == 3307


@pytest.mark.parametrize("empty", ["", 0, None])
def test_an_empty_port_is_the_drivers_own(empty: object) -> None:
    assert parsed(master(PORT=empty)).url.port is None


def test_every_fault_is_found_at_once() -> None:
    servers = [
        master(ROLE="boss"),
        master(PORT="x", WEIGHT=0),
        master(Passwd=SECRET, QUERY="charset=utf8", HOST=7),
        7,
        master(DRIVER=3),
    ]
    found = faults_of({"default": {"connections": servers}, "empty": {}}, {"sqlalchemy.connect_args": 3})
    text = "\n".join(found)
    assert "['ROLE'] = 'boss': must be one of 'master', 'slave'" in text
    assert "['PORT'] = 'x'" in text
    assert "['WEIGHT'] = 0" in text
    assert "['Passwd']: no such key. Did you mean 'PASSWD'?" in text
    assert "['QUERY'] = 'charset=utf8': must be a dict" in text
    assert "['HOST'] = 7: must be a string" in text
    assert "DATABASE_CONNECTION['default']['connections'][3] = 7: must be a dict" in text
    assert "['DRIVER'] = 3: must be a string" in text
    assert "DATABASE_CONNECTION['empty']['connections'] is missing" in text
    assert "SQLALCHEMY_CONFIGURATION['sqlalchemy.connect_args'] = 3: must be a dict" in text
    assert len(found) == 10


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_exactly_one_master(count: int) -> None:
    servers = [master() for _ in range(count)] + [master(ROLE="slave")]
    (fault,) = faults_of({"default": {"connections": servers}})
    assert fault == f"DATABASE_CONNECTION['default'] has {count} servers with 'ROLE': 'master'; it needs exactly one."


def test_an_unknown_key_without_a_likeness_lists_the_known_ones() -> None:
    (fault,) = faults_of({"default": {"connections": [master(zzzz=1)]}})
    assert "Known are ROLE, DRIVER" in fault


def test_connections_and_configuration_are_dicts() -> None:
    assert faults_of([]) == ("DATABASE_CONNECTION = []: must be a dict.",)
    assert faults_of({"default": {"connections": [master()]}}, [1]) == (
        "SQLALCHEMY_CONFIGURATION = [1]: must be a dict.",
    )


def test_an_unknown_connection_names_those_that_there_are() -> None:
    with pytest.raises(UnknownAlias, match=r"No database 'other' in DATABASE_CONNECTION, which has 'default'"):
        parse_database("other", {"default": {}}, {})


def test_no_text_holds_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    spec = parse_database(
        "default",
        {"default": {"connections": [master(DRIVER="mysql+pymysql", kwargs={"connect_args": {"password": SECRET}})]}},
        {"sqlalchemy.encoding": "utf-8"},
    )
    assert SECRET not in f"{spec!r} {spec} {spec.master!r} {spec.master.label} {caplog.text}"


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
