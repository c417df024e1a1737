"""`@job`: what it takes, and what of its arguments arrives."""

import dataclasses
import datetime as dt
import enum
import functools
import importlib
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from torngas_aio.exception import ArgumentError, ConfigError, NotCallableError, SerializationError, ValueTooLarge
from torngas_aio.jobs import job
from torngas_aio.jobs.base import Formatter
from torngas_aio.jobs.declaring import declared
from torngas_aio.settings_manager import settings


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "job_users"
    id: Mapped[int] = mapped_column(primary_key=True)


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class DataUser(DataBase):
    __tablename__ = "job_data_users"
    id: Mapped[int] = mapped_column(primary_key=True)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


@job
async def anything(*values: Any, **named: Any) -> None:
    """Take anything."""


@job
async def typed(
    number: int = 0,
    *,
    when: dt.datetime | None = None,
    id: uuid.UUID | None = None,  # noqa: A002
    price: Decimal = Decimal(0),
    colour: Colour = Colour.RED,
    point: Point | None = None,
    names: set[str] | None = None,
    counts: dict[int, str] | None = None,
    raw: bytes = b"",
    ratio: float = 0,
) -> None:
    """Take what annotations bring back."""


MOMENT = dt.datetime(2026, 3, 29, 2, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", 7),
        ("when", MOMENT),
        ("when", None),
        ("id", uuid.UUID(int=5)),
        ("price", Decimal("1.10")),
        ("colour", Colour.RED),
        ("point", Point(1, 2.5)),
        ("names", {"a", "b"}),
        ("counts", {1: "one"}),
        ("raw", b"\0\xff"),
    ],
)
def test_an_annotated_argument_arrives_as_it_was(name: str, value: object) -> None:
    sent = Formatter().dumps(typed.message((), {name: value})).message
    found = Formatter().loads(sent)
    assert typed.restored(found.args, found.kwargs) == ([], {name: value})


def test_further_arguments_arrive_as_their_annotation_says() -> None:
    @job(name="further")
    async def further(number: int, /, *days: dt.date, when: dt.datetime | None = None, **prices: Decimal) -> None: ...

    args, kwargs = (1, MOMENT.date(), MOMENT.date()), {"when": MOMENT, "number": Decimal(2), "days": Decimal(3)}
    message = further.message(args, kwargs)
    assert further.restored(message.args, message.kwargs) == (list(args), kwargs)


@pytest.mark.parametrize("value", [None, True, 1, -1.5, 2**80, "é\n", [1, [2]], {"a": {"b": None}}])
def test_plain_json_arrives_as_it_was(value: object) -> None:
    sent = Formatter().dumps(anything.message((value,), {"named": value})).message
    found = Formatter().loads(sent)
    assert anything.restored(found.args, found.kwargs) == ([value], {"named": value})


@pytest.mark.parametrize("value", [User(id=1), DataUser(id=1), [User(id=1)], {"user": User(id=1)}])
def test_a_model_is_refused_with_the_advice(value: object) -> None:
    with pytest.raises(SerializationError, match="pass its id"):
        anything.message((value,))


@pytest.mark.parametrize("value", [object(), lambda: None, 1j, open, ValueError("x")])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(SerializationError, match="cannot be sent"):
        anything.message((value,))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        *(((1, 2), {}), ((), {"nubmer": 1}), (("seven",), {}), ((), {"when": "soon"})),
        *(((), {"ratio": float("nan")}), ((), {"ratio": float("-inf")})),  # null in JSON
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_the_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="typed"):
        typed.message(args, kwargs)


def test_more_than_256_kb_are_refused() -> None:
    Formatter().dumps(anything.message(("x" * 255 * 1024,)))
    with pytest.raises(ValueTooLarge, match="Pass an id"):
        Formatter().dumps(anything.message(("x" * 257 * 1024,)))


def test_only_async_functions_are_jobs() -> None:
    def plain() -> None: ...

    async def partly(number: int) -> None: ...

    for wrong in (plain, functools.partial(partly, 1), "name", anything):
        with pytest.raises(NotCallableError, match="async def"):
            job(wrong)  # type: ignore[arg-type]


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


def test_a_method_is_refused() -> None:
    class Mails:
        async def send(self, number: int) -> None: ...

    with pytest.raises(ConfigError, match="a method cannot be a job"):
        job(Mails.send)


def test_every_fault_is_told_at_once_with_its_place() -> None:
    async def function(key: str) -> None: ...

    with pytest.raises(ConfigError) as caught:
        job(retries="3", timeot=5, every=0.5, tz="Mars", queue=5)(function)  # type: ignore[call-overload]
    line = function.__code__.co_firstlineno
    assert all(f"test_declaring.py:{line})" in fault for fault in caught.value.faults)
    told = ("'timeot'. Did you mean 'timeout'?", "retries = '3'", "queue = 5", "tz = 'Mars'", "every = 0.5", "'key'")
    assert [each for each in told if each not in str(caught.value)] == []


@pytest.mark.parametrize("alias", ["mial", "mails"])
@pytest.mark.usefixtures("configured")
def test_an_alias_that_jobs_does_not_have_is_told_where_it_is_written(alias: str) -> None:
    async def function() -> None: ...

    with pytest.raises(ConfigError, match="mean 'mail'"):
        job(alias=alias)(function)


MODULE = """
from torngas_aio.jobs import job

@job(name={name!r})
async def {function}(): ...
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write the module of that name, and import it or reload it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = []

    def write(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        if name in made:
            return importlib.reload(sys.modules[name])
        made.append(name)
        return importlib.import_module(name)

    yield write
    for name in made:
        sys.modules.pop(name, None)
    for name in [name for name, found in declared.items() if found.function.__module__ in made]:
        del declared[name]


Write = Callable[[str, str], ModuleType]


def test_a_second_job_of_a_name_is_refused_with_both_places(write: Write) -> None:
    write("first_jobs", MODULE.format(name="mail", function="send"))
    with pytest.raises(ConfigError, match=r"second_jobs\.py:5\): .*first_jobs\.py:4 declares") as caught:
        write("second_jobs", "\n" + MODULE.format(name="mail", function="post"))
    assert "'mail'" in str(caught.value)


@pytest.mark.parametrize("name", [None, "given"])
def test_a_second_job_of_a_name_in_one_module_is_refused(write: Write, name: str | None) -> None:
    text = MODULE.format(name=name, function="send")
    with pytest.raises(ConfigError, match=r"twice_jobs\.py:9\): .*twice_jobs\.py:4 declares"):
        write("twice_jobs", text + text)


def test_a_module_may_be_reloaded_and_its_jobs_are_the_new_ones(write: Write) -> None:
    first = write("again_jobs", MODULE.format(name="again", function="send")).send
    second = write("again_jobs", "\n\n" + MODULE.format(name="again", function="send")).send
    third = write("again_jobs", "\n" + MODULE.format(name="again", function="renamed")).renamed
    assert first is not second
    assert declared["again"] is third
    with pytest.raises(ConfigError, match="other_jobs"):
        write("other_jobs", MODULE.format(name="again", function="send"))


def test_a_key_is_checked_where_it_is_made() -> None:
    @job(key="{number:03d}")
    async def keyed(number: Any) -> None: ...

    assert keyed.message((7,)).labels["key"] == "007"
    with pytest.raises(ArgumentError, match="cannot be made"):
        keyed.message(("x",))
    for key in (7, "", b"x", 10**5000):
        with pytest.raises(ArgumentError, match="must be text"):
            keyed.message((7,), key=key)  # type: ignore[arg-type]


def test_a_parameter_with_a_reserved_name_is_refused() -> None:
    async def function(key: str) -> None: ...

    with pytest.raises(ConfigError, match="'key'"):
        job(function)


async def test_a_job_that_is_called_runs_at_once() -> None:
    @job
    async def double(number: int) -> int:
        return 2 * number

    assert await double(4) == 8
    assert double.name.endswith(":test_a_job_that_is_called_runs_at_once.<locals>.double")
