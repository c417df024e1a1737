"""From a URL or parameters to a database."""

import pytest

from torngas_aio.db.basedb import database
from torngas_aio.exception import ConfigError


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "no scheme"),
        ("oracle://host/db", "'oracle': no such database"),
        ("mysql://host:port/db", "port cannot be read"),
        ("mysql://u:secret@host/", "missing 1 required keyword-only argument: 'db'"),
        ("sqlite:///x?colour=red", "unexpected keyword argument 'colour'"),
    ],
)
def test_a_wrong_url_is_a_fault_of_the_configuration(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        database(url)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_says_what_the_parameters_say(monkeypatch: pytest.MonkeyPatch) -> None:
    by_url = database("mysql://jo%40e:p%2Fw@db.local:3307/shop?charset=latin1", pool_size=3)
    assert repr(by_url) == "<Database mysql://jo@e@db.local:3307/shop>"
    assert by_url._driver._options["password"] == "p/w"  # type: ignore[attr-defined]
    assert repr(database("postgresql+asyncpg://u:pw@h/d")) == "<Database postgres://u@h:5432/d>"
    assert repr(database("sqlite://:memory:")) == repr(database("sqlite://")) == "<Database sqlite:///:memory:>"
    assert repr(database("sqlite:////var/x.db")) == "<Database sqlite:////var/x.db>"
    assert repr(database(dbn="mysql", db="d", unix_socket="/run/m.sock")) == "<Database mysql://None@/run/m.sock/d>"
    monkeypatch.setenv("DATABASE_URL", "sqlite:///env.db")
    assert repr(database()) == "<Database sqlite:///env.db>"
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(ConfigError, match="was told no database"):
        database()
    with pytest.raises(ConfigError, match="at least one connection"):
        database("sqlite://", pool_size=0)
