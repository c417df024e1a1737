"""What is encoded for a response, and how often its type is looked at."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from torngas_aio.api import output
from torngas_aio.api.output import Output, Page
from torngas_aio.db.dbalchemy.pagination import Pagination
from torngas_aio.exception import SerializationError
from torngas_aio.testing import TestClient


class Item(msgspec.Struct):
    name: str
    price: float = 1.0


@dataclass
class Order:
    items: list[Item] = field(default_factory=list)


VALUES = [
    (Item, Item("a"), b'{"name":"a","price":1.0}'),
    (Item, {"name": "a"}, b'{"name":"a","price":1.0}'),
    (Item, SimpleNamespace(name="a", other=1), b'{"name":"a","price":1.0}'),
    (list[Item], (SimpleNamespace(name="a"), Item("b")), b'[{"name":"a","price":1.0},{"name":"b","price":1.0}]'),
    (Page[Item], SimpleNamespace(items=[SimpleNamespace(name="a")], page=2, per_page=1, total=2, pages=2),
     b'{"items":[{"name":"a","price":1.0}],"page":2,"per_page":1,"total":2,"pages":2}'),
    (Order, Order([Item("a")]), b'{"items":[{"name":"a","price":1.0}]}'),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "text"), VALUES)
def test_the_fields_of_a_type_are_looked_up_once(
    kind: Any, value: Any, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in each response: that takes 58 us."""
    assert Output(kind, 200).encode(value) == text

    def fail(kind: Any) -> Any:
        raise AssertionError(kind)

    monkeypatch.setattr(output, "fields_of", fail)
    assert Output(kind, 200).encode(value) == text


@pytest.mark.parametrize(
    ("kind", "value"), [(Item, "a"), (Item, 7), (Item, [Item("a")]), (list[Item], ["a"]), (int, "1")]
)
def test_what_does_not_fit_is_an_error(kind: Any, value: Any) -> None:
    with pytest.raises(SerializationError):
        Output(kind, 200).encode(value)


async def test_created_and_no_content(client: TestClient) -> None:
    answer = await client.post("/p/3/tasks", json={"title": "t", "due": "2026-12-24"})
    assert answer.status_code == 201
    assert answer.headers["location"] == "/tasks/3"
    assert answer.json() == {"project": 3, "title": "t", "due": "2026-12-24"}
    gone = await client.delete("/p/3/tasks")
    assert (gone.status_code, gone.content) == (204, b"")


async def test_the_output_shows_declared_fields_only(client: TestClient) -> None:
    made = await client.post("/outputs")
    assert (made.status_code, made.json()) == (201, {"id": 7, "title": "made", "note": "none"})
    page = (await client.get("/outputs")).json()
    assert page == {
        "items": [{"id": 1, "title": "a", "note": "none"}, {"id": 2, "title": "b", "note": "n"}],
        "page": 1,
        "per_page": 10,
        "total": 2,
        "pages": 1,
    }
    assert (await client.patch("/outputs")).status_code == 202
    assert (await client.delete("/outputs")).status_code == 299


async def test_an_output_that_does_not_fit_is_a_500(client: TestClient) -> None:
    answer = await client.put("/outputs")
    assert answer.status_code == 500
    assert "errors" not in answer.json()


def test_what_paginate_returns_is_a_page_though_it_can_be_iterated() -> None:
    rows = [SimpleNamespace(name="a", price=2.0, secret=1)]
    query: Any = None
    found: Pagination[Any] = Pagination(query, 1, 20, 1, rows)
    encoded = msgspec.json.decode(Output(Page[Item], 200).encode(found))
    assert encoded == {"items": [{"name": "a", "price": 2.0}], "page": 1, "per_page": 20, "total": 1, "pages": 1}
