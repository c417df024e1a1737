"""What a driver has without a library: options that are checked, errors that name the server."""

from typing import Any

import pytest

from torngas_aio.db.basedb.drivers.base import Driver, Result, known_options
from torngas_aio.exception import DatabaseUnavailable
from torngas_aio.storage import Storage


def connect(host: str, port: int = 0, *, timeout: float = 1.0) -> None: ...


class Silent(Driver):
    """The methods that every driver writes itself."""

    address = "db1:3306/blog"
    integrity_errors = ()
    statement_errors = ()

    async def connect(self) -> Any: ...
    async def execute(self, connection: Any, sql: str, values: Any, returns_rows: bool) -> Result:
        return Result([Storage(a=1)], 1)

    def stream(self, connection: Any, sql: str, values: Any) -> Any: ...
    async def ping(self, connection: Any) -> None: ...
    async def close(self, connection: Any) -> None: ...
    async def abandon(self, connection: Any) -> bool:
        return False

    def is_lost(self, error: BaseException) -> bool:
        return isinstance(error, ConnectionError)


def test_options_that_the_library_knows_are_passed_on() -> None:
    options = {"port": 1, "timeout": 2.0}
    assert known_options(connect, options) is options
    assert known_options(connect, {}) == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [("timeuot", r"'timeuot'; did you mean 'timeout'\?"), ("charset", "'charset'$"), ("", "''$")],
)
def test_an_option_that_it_does_not_know_is_refused_before_it_connects(name: str, message: str) -> None:
    with pytest.raises(TypeError, match=rf"connect\(\) got an unexpected keyword argument {message}"):
        known_options(connect, {"host": "a", name: 1})


def test_an_outage_names_the_server_and_what_it_said() -> None:
    try:
        raise ConnectionRefusedError(111, "Connection refused")
    except ConnectionRefusedError as exc:
        error = Silent().unavailable("cannot be reached", exc)
    assert isinstance(error, DatabaseUnavailable)
    assert str(error).startswith("db1:3306/blog: cannot be reached (")
    assert "Connection refused" in str(error)


async def test_a_driver_says_nothing_more_than_it_knows() -> None:
    driver = Silent()
    assert await driver.takes_writes(object())
    assert not driver.is_doubtful(object())
    assert not driver.ends_transaction(ValueError())
    assert await driver.first_ids_step(object()) == 1
    assert (driver.begin, driver.is_remote, driver.max_size) == ("BEGIN", True, None)
    assert (await driver.execute(None, "", (), True)).last_id is None


@pytest.mark.parametrize("name", sorted(Driver.__abstractmethods__))
def test_each_method_of_the_contract_is_asked_for(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        type("Lacking", (Silent,), {name: getattr(Driver, name)})()
