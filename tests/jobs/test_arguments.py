"""What arguments become in JSON, and what comes back of them."""

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from torngas_aio.exception import ArgumentError, SerializationError, ValueTooLarge
from torngas_aio.jobs import job
from torngas_aio.jobs.base import Formatter


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
    assert typed.arguments.restore(found.args, found.kwargs) == ([], {name: value})


def test_further_arguments_arrive_as_their_annotation_says() -> None:
    @job(name="further")
    async def further(number: int, /, *days: dt.date, when: dt.datetime | None = None, **prices: Decimal) -> None: ...

    args, kwargs = (1, MOMENT.date(), MOMENT.date()), {"when": MOMENT, "number": Decimal(2), "days": Decimal(3)}
    message = further.message(args, kwargs)
    assert further.arguments.restore(message.args, message.kwargs) == (list(args), kwargs)


@pytest.mark.parametrize("value", [None, True, 1, -1.5, 2**80, "é\n", [1, [2]], {"a": {"b": None}}])
def test_plain_json_arrives_as_it_was(value: object) -> None:
    sent = Formatter().dumps(anything.message((value,), {"named": value})).message
    found = Formatter().loads(sent)
    assert anything.arguments.restore(found.args, found.kwargs) == ([value], {"named": value})


@pytest.mark.parametrize(
    "value",
    [
        *(User(id=1), [User(id=1)], {"user": User(id=1)}, DataUser(id=1)),
        *([DataUser(id=1)], ({"a": [{"b": DataUser(id=1)}]},)),
    ],
)
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
