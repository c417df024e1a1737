"""LOCATION and OPTIONS of memcached."""

from typing import Any

import pytest

from torngas_aio.cache.memcached.location import MemcachedLocation, read_location
from torngas_aio.exception import ConfigError


def read(location: object, **options: Any) -> MemcachedLocation:
    return read_location(location, options, "CACHES['main']")


def test_every_form_of_address() -> None:
    assert read("a").servers == {"a": ("a", 11211)}
    assert read("a:1; b:2,c").servers == {"a:1": ("a", 1), "b:2": ("b", 2), "c": ("c", 11211)}
    assert read(["[::1]:5", "[::1]"]).servers == {"[::1]:5": ("::1", 5), "[::1]": ("::1", 11211)}
    for path in ("/run/m.sock", "unix:/run/m.sock", "unix:///run/m.sock"):
        assert list(read(path).servers.values()) == ["/run/m.sock"]


def test_options_and_their_defaults() -> None:
    found = read("a")
    assert (found.deadline, found.pool_size, found.longest_pause, found.rehashes) == (2.0, 16, 0.4, False)
    found = read("a", DEADLINE=1, POOL_SIZE=3, RETRY_SECONDS=9, MAX_VALUE_BYTES=10, REHASH=True)
    assert (found.deadline, found.pool_size, found.longest_pause, found.rehashes) == (1, 3, 9, True)
    assert found.max_value_bytes == 10


@pytest.mark.parametrize("location", ["", None, [], ["a", 5], "a:b", ":5", "a,,b", "redis://a:1"])
def test_no_address_is_said_with_a_mend(location: object) -> None:
    with pytest.raises(ConfigError, match=r"CACHES\['main'\]\['LOCATION'\].*Write 'host:port'"):
        read(location)


SECRETS = ["u:s3cret@a:1", ":s3cret@a", "u:s3cret@", "memcached://u:s3cret@a:1", "u:s3/cret@a:1", "a:1,u:s3cret@b:1"]


@pytest.mark.parametrize("location", [*SECRETS, SECRETS[:1], [*SECRETS, 5], ("a", SECRETS[3])], ids=str)
def test_an_address_that_is_refused_shows_no_password(location: object) -> None:
    with pytest.raises(ConfigError, match=r"CACHES\['main'\]\['LOCATION'\]") as caught:
        read(location)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["DEADLINE", "POOL_SIZE", "RETRY_SECONDS", "MAX_VALUE_BYTES", "IDLE_SECONDS"])
def test_options_that_cannot_work(name: str) -> None:
    for value in (0, -1, "much"):
        with pytest.raises(ConfigError, match=name):
            read("a", **{name: value})


def test_the_same_server_twice_counts_once() -> None:
    assert list(read("a:1,a:1").servers) == ["a:1"]
