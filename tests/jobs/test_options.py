"""Options of `@job` that cannot work are told where they are written."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.jobs import job
from torngas_aio.settings_manager import settings


@pytest.fixture
def configured() -> Iterator[None]:
    """Settings that are loaded, as they are when a project imports its jobs."""
    settings.configure(JOBS={"default": {}, "mail": {}})
    yield
    settings.reset()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("retries", (-1, 10**5000, "3", 1.5, True, None, float("nan"))),
        ("timeout", (0, -1, "30", float("nan"), float("inf"), True, dt.timedelta(seconds=3))),
        ("result_ttl", (-1, "x", float("nan"), float("inf"), None, False)),
        ("key_ttl", (0, "x", float("nan"), None, True)),
        ("queue", ("", "a\n", 5, None, "x" * 101, " a", "a,b", b"mail")),
        ("name", ("", "a\n", 5, "x" * 201, "\ud800")),
        ("alias", ("defualt", "", 5, None)),
        ("outbox", (1, "yes", None)),
        ("key", ("", 5, "{nubmer}", "{", "{0}", "{}", "{number.x}", "{number[0]}")),
        ("retrys", (3,)),
    ],
)
@pytest.mark.usefixtures("configured")
def test_options_that_cannot_work_are_refused(name: str, values: tuple[Any, ...]) -> None:
    async def function(number: int = 0) -> None: ...

    for value in values:
        with pytest.raises(ConfigError, match=name):
            job(**{name: value})(function)


@pytest.mark.parametrize("alias", ["mial", "mails"])
@pytest.mark.usefixtures("configured")
def test_an_alias_that_jobs_does_not_have_is_told_where_it_is_written(alias: str) -> None:
    async def function() -> None: ...

    with pytest.raises(ConfigError, match="mean 'mail'"):
        job(alias=alias)(function)


def test_a_parameter_with_a_reserved_name_is_refused() -> None:
    async def function(key: str) -> None: ...

    with pytest.raises(ConfigError, match="'key'"):
        job(function)
