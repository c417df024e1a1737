"""SESSION settings that cannot work are refused at once, all of them."""

from typing import Any

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.global_settings import SESSION
from torngas_aio.session import SessionConfig
from torngas_aio.session.token import SessionCookie

GOOD: dict[str, Any] = {"secret_key": "a long random text"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"secret_key": ""}, "secret_key'] is missing"),
        ({"secret_key": None}, "secret_key'] is missing"),
        ({"expires": -1}, "expires'] = -1: must be a number of seconds"),
        ({"expires": True}, "expires'] = True"),
        ({"absolute_expires": "day"}, "absolute_expires'] = 'day'"),
        ({"expires": float("nan")}, "expires'] = nan"),
        ({"absolute_expires": float("inf")}, "absolute_expires'] = inf"),
        ({"expires": 1e300}, "expires'] = 1e+300"),
        ({"when_unavailable": "ignore"}, "when_unavailable'] = 'ignore': must be one of 'fail', 'empty'"),
        ({"cookie_domain": "a.example; Secure"}, "cookie_domain'] = 'a.example; Secure' holds"),
        ({"cookie_path": "/\r\nX: y"}, "cookie_path']"),
        ({"session_name": "my session"}, "session_name'] = 'my session' is no cookie name"),
        ({"session_name": ""}, "is no cookie name"),
        ({"session_name": "__Host-id"}, "__Host-"),
        ({"session_name": "__Host-id", "secure": True, "cookie_domain": "a.example"}, "__Host-"),
        ({"session_name": "__Host-id", "secure": True, "cookie_path": "/app"}, "__Host-"),
        ({"session_name": "__Secure-id"}, "__Secure-"),
        ({"partitioned": True}, "partitioned'] = True: browsers want 'secure'"),
        ({"samesite": "None"}, "samesite'] = 'None': browsers want 'secure'"),
        ({"secret_key": {1: "a long random text"}}, "secret_key']: must be a string, not dict"),
        ({"serializer": "yaml"}, "SERIALIZER = 'yaml'"),
    ],
    ids=repr,
)
def test_what_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SessionConfig.of({**GOOD, **values})
    assert message in str(caught.value)


def test_all_faults_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        SessionConfig.of({"expires": -1, "samesite": 5, "expire": 1})
    assert len(caught.value.faults) == 3
    with pytest.raises(ConfigError) as caught:
        SessionConfig.of({"session_name": ";", "cookie_path": ";"})
    assert len(caught.value.faults) == 3


def test_the_defaults_and_the_settings_of_torngas_1_8_work() -> None:
    made = SessionConfig.of({**SESSION, "secret_key": b"bytes do as well"})
    assert made.secret_key == "bytes do as well"
    old = {
        "session_cache_alias": "default", "session_name": "__TORNADOSSID", "cookie_domain": "", "cookie_path": "/",
        "expires": 0, "ignore_change_ip": False, "httponly": True, "secure": False,
        "secret_key": "fLjUfxqXtfNoIldA0A0J", "session_version": "EtdHjDO1",
    }  # fmt: skip
    assert SessionConfig.of(old).session_version == "EtdHjDO1"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "__TORNADOSSID=v; Path=/; SameSite=Lax; HttpOnly"),
        ({"httponly": False, "samesite": ""}, "__TORNADOSSID=v; Path=/"),
        ({"samesite": None, "cookie_domain": ".a.example"}, "__TORNADOSSID=v; Path=/; Domain=.a.example; HttpOnly"),
        (
            {"session_name": "__Host-id", "secure": True, "partitioned": True, "samesite": "None"},
            "__Host-id=v; Path=/; SameSite=None; HttpOnly; Secure; Partitioned",
        ),
        ({"cookie_path": "/app"}, "__TORNADOSSID=v; Path=/app; SameSite=Lax; HttpOnly"),
    ],
    ids=repr,
)
def test_the_cookie_has_the_attributes_that_were_asked_for(values: dict[str, Any], line: str) -> None:
    cookie = SessionCookie(SessionConfig.of({**GOOD, **values}))
    assert cookie.line("v", 0) == line
    assert cookie.line("v", 60) == f"{line}; Max-Age=60"
    assert "Max-Age=0" in cookie.taken_back


@pytest.mark.parametrize(("given", "seconds"), [(3600.0, 3600), (0.5, 1), (86_400 / 7, 12_343), (0.0, 0), (90, 90)])
def test_lives_are_whole_seconds_rounded_up(given: float, seconds: int) -> None:
    """A record with a life of 3600.0 seconds counted as foreign: no session lasted."""
    made = SessionConfig.of({**GOOD, "expires": given, "absolute_expires": given})
    assert (made.expires, made.absolute_expires) == (seconds, seconds)
    assert type(made.expires) is int
