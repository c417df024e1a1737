"""LOCATION and OPTIONS of Redis: every form is read, what cannot work is said without telling a password."""

from typing import Any

import pytest
from redis.asyncio.connection import Connection, DefaultParser, SSLConnection, UnixDomainSocketConnection

from torngas_aio.cache.redis.location import RedisLocation, read_location
from torngas_aio.exception import ConfigError


def read(location: object, **options: Any) -> RedisLocation:
    return read_location(location, options, "CACHES['main']")


def said(found: RedisLocation) -> dict[str, Any]:
    """The connections' arguments, without how they introduce themselves."""
    return {key: value for key, value in found.arguments.items() if key != "driver_info"}


@pytest.mark.parametrize(
    ("location", "nodes", "name"),
    [
        ("127.0.0.1:6380", (("127.0.0.1", 6380),), "127.0.0.1:6380"),
        ("cache", (("cache", 6379),), "cache:6379"),
        (" cache ", (("cache", 6379),), "cache:6379"),
        ("[::1]:7000", (("::1", 7000),), "[::1]:7000"),
        ("redis://cache", (("cache", 6379),), "cache:6379"),
        ("redis://:secret@cache:1/2", (("cache", 1),), "cache:1"),
    ],
)
def test_one_server(location: str, nodes: object, name: str) -> None:
    found = read(location)
    assert (found.kind, found.nodes, found.name, found.is_tls) == ("single", nodes, name, False)
    assert found.connection_class is Connection


@pytest.mark.parametrize("location", ["/run/redis.sock", "unix:/run/redis.sock", "unix:///run/redis.sock"])
def test_a_unix_socket(location: str) -> None:
    found = read(location)
    assert (found.kind, found.nodes, found.name) == ("single", (), "/run/redis.sock")
    assert found.connection_class is UnixDomainSocketConnection
    assert found.arguments["path"] == "/run/redis.sock"


def test_user_password_and_database_of_a_url() -> None:
    found = read("rediss://me:p%40ss@cache:1/3?ssl_check_hostname=no")
    assert found.arguments["username"] == "me"
    assert found.arguments["password"] == "p@ss"
    assert found.arguments["db"] == 3
    assert found.connection_class is SSLConnection
    assert found.is_tls
    assert "p@ss" not in found.name


def test_options_say_what_the_url_does_not() -> None:
    found = read("cache:1", DB=4, USERNAME="me", PASSWORD="secret", PING_INTERVAL=120)
    assert said(found) == {"db": 4, "username": "me", "password": "secret"}
    assert found.ping_interval == 120
    assert read("redis://cache/2", DB=4).arguments["db"] == 2


def test_a_cluster_and_sentinels() -> None:
    found = read("redis+cluster://:secret@a:1,b,c:3")
    assert (found.kind, found.nodes, found.name) == ("cluster", (("a", 1), ("b", 6379), ("c", 3)), "a:1,b:6379,c:3")
    assert found.arguments["password"] == "secret"
    assert read("rediss+cluster://a").is_tls
    found = read("redis+sentinel://me:secret@a:1,b/mymaster/5?health_check_interval=9", SENTINEL_KWARGS={"x": 1})
    assert (found.kind, found.nodes, found.service) == ("sentinel", (("a", 1), ("b", 26379)), "mymaster")
    assert found.name == "a:1,b:26379/mymaster"
    assert said(found) == {"username": "me", "password": "secret", "db": 5, "health_check_interval": 9}
    assert found.sentinel_arguments["x"] == 1


def test_the_options_of_torngas_1_8_still_work() -> None:
    found = read(
        "127.0.0.1:6379",
        DB=0,
        PARSER_CLASS="redis.connection.DefaultParser",
        POOL_KWARGS={"socket_timeout": 3, "socket_connect_timeout": 3, "max_connections": 7},
        PING_INTERVAL=120,
    )
    assert (found.deadline, found.max_connections, found.ping_interval) == (3, 7, 120)
    assert said(found) == {"db": 0, "parser_class": DefaultParser}


@pytest.mark.parametrize("name", ["PythonParser", "redis.connection.HiredisParser", "redis._parsers._RESP3Parser"])
def test_sync_parsers_are_mapped_to_their_async_twins(name: str) -> None:
    assert "Async" in read("a", PARSER_CLASS=name).arguments["parser_class"].__name__


def test_a_parser_of_ones_own() -> None:
    path = f"{__name__}.OwnParser"
    assert read("a", PARSER_CLASS=OwnParser).arguments["parser_class"] is OwnParser
    assert read("a", PARSER_CLASS=path).arguments["parser_class"].__name__ == "OwnParser"
    with pytest.raises(ConfigError, match=r"PARSER_CLASS'\] = 'no\.such\.Parser'"):
        read("a", PARSER_CLASS="no.such.Parser")


class OwnParser(DefaultParser):  # type: ignore[misc, valid-type]
    pass


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (None, "no address of a Redis"),
        ("", "no address of a Redis"),
        (["a", "b"], "no address of a Redis"),
        ("memcached://:secret@a", "leads to no Redis"),
        ("redis://:secret@a:1,b:2", "neither a cluster nor watched"),
        ("redis://:secret@a/zero", "'zero' is not a database number"),
        ("redis://:secret@a:port", "ort"),
        ("redis://:secret@a?db=x", "db"),
        ("redis+sentinel://:secret@a:1", "name of the watched master is missing"),
        ("redis+sentinel://:secret@a:1/mymaster/x", "'x' is not a database number"),
        ("redis+cluster://:secret@a:1,,b:2", "has no host"),
        ("redis+cluster://:secret@a/3", "one database 0"),
    ],
)
def test_what_cannot_be_read_is_said_with_a_mend_and_no_secret(location: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(location)
    assert "CACHES['main']['LOCATION']" in str(caught.value)
    assert "Write 'host:port'" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "location",
    [
        ["redis://:s3cret@a", "redis://:s3cret@b"],
        ("redis://u:s3cret@a",),
        {"url": "redis://u:s3cret@a"},
        "redis://u:s3cret/x@a/0",
        "redis://u:12/s3cret@a/0",
        "redis://u:s3#cret@a/0",
        "redis://u:s3?cret@a/0",
        "redis://u:s3cret@/zero",
        "redis://u:s3cret@a:port",
        "redis://u:s3cret@[a",
        "redis://a?password=s3cret&db=x",
        "memcached://u:s3cret@",
        "redis+cluster://u:s3cret@",
        "redis+cluster://u:s3/cret@a:1",
        "redis+sentinel://u:s3cret@a:1",
        "redis+sentinel://u:s3cret/x@a:1/mymaster",
        "u:s3cret@a/zero",
        "u:s3/cret@a",
    ],
    ids=str,
)
def test_no_form_of_a_refused_location_shows_its_password(location: object) -> None:
    with pytest.raises(ConfigError, match=r"CACHES\['main'\]\['LOCATION'\]") as caught:
        read(location)
    assert "cret" not in str(caught.value)
    assert "Write 'host:port'" in str(caught.value)


def test_a_socket_may_have_an_at_sign_in_its_path() -> None:
    assert read("/run/redis@2.sock").name == "/run/redis@2.sock"
    assert read("redis://a%40b:p%2Fw%23@host/1").arguments["password"] == "p/w#"


def test_options_that_cannot_work() -> None:
    with pytest.raises(ConfigError, match=r"POOL_KWARGS.*nonsense"):
        read("a", POOL_KWARGS={"nonsense": 1})
    with pytest.raises(ConfigError, match="DEADLINE"):
        read("a", DEADLINE=0)
    with pytest.raises(ConfigError, match="DEADLINE"):
        read("a", POOL_KWARGS={"socket_timeout": "long"})
    with pytest.raises(ConfigError, match="PING_INTERVAL"):
        read("a", PING_INTERVAL="often")
    with pytest.raises(ConfigError, match="one database 0"):
        read("redis+cluster://a", DB=2)


@pytest.mark.parametrize(
    ("location", "options"),
    [
        ("redis://u:s3cret@host:6379/0", {}),
        ("redis://host/0?password=s3cret", {}),
        ("redis+cluster://u:s3cret@h1,h2", {}),
        ("redis+sentinel://u:s3cret@h1,h2/mymaster", {}),
        ("redis://host", {"PASSWORD": "s3cret"}),
        ("redis+sentinel://h1/mymaster", {"SENTINEL_KWARGS": {"password": "s3cret"}}),
    ],
)
def test_the_repr_of_a_location_shows_no_password(location: str, options: dict[str, Any]) -> None:
    found = read_location(location, options, "CACHES['a']")
    assert "s3cret" not in repr(found)
    assert "s3cret" in str([found.arguments, found.sentinel_arguments])
