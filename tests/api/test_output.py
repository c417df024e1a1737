"""What is encoded for a response, and how often its type is looked at."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, get_origin

import attrs
import msgspec
import pydantic
import pytest

from tests.db.models import User
from torngas_aio import ApiHandler, Application, WebHandler
from torngas_aio.api import Accepted, Created, NoContent, Query, Reply, output, returns
from torngas_aio.api.declared_types import without_none
from torngas_aio.api.openapi import make_document
from torngas_aio.api.output import Output, Page
from torngas_aio.db.dbalchemy.pagination import Pagination
from torngas_aio.exception import ArgumentError, SerializationError, UrlError
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


class Author(msgspec.Struct):
    name: str
    posts: list[Item]


@pytest.mark.parametrize("kind", [Author, Author | None, list[Author] | None, list[Author | None]])
def test_what_is_not_loaded_is_named_in_optional_types_as_well(kind: Any) -> None:
    user = User(name="ann")
    value = [user] if get_origin(without_none(kind)) is list else user
    with pytest.raises(SerializationError, match=r"User\.posts is not loaded.*field of Author a default"):
        Output(kind).encode(value)


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


class Shown(pydantic.BaseModel):
    id: int
    full_name: str = pydantic.Field("n", alias="fullName")


@attrs.define
class Attrs:
    id: int


class Model:
    """Nothing converts to it, as to a model of SQLAlchemy."""


RETURNED: dict[str, Any] = {
    "created": Created({"name": "a"}, headers={"Location": "/a"}),
    "accepted": Accepted({"name": "a"}),
    "no-content": NoContent(),
    "none": None,
    "plain": {"name": "a"},
    "wrong": {"name": 7},
}
ITEM = b'{"name":"a","price":1.0}'


async def answers(kind: Any) -> tuple[Any, dict[str, Any]]:
    """What the document says of @returns(kind), and the answer to each value."""

    class Handler(ApiHandler):
        @returns(kind)
        async def get(self, value: Query[str]) -> Any:
            return RETURNED[value]

    application = Application([("/", Handler)])
    described = make_document(application)["paths"]["/"]["get"]["responses"]
    async with TestClient(application) as client:
        got = {name: await client.get("/", params={"value": name}) for name in RETURNED}
    return described, {name: (answer.status_code, answer.content) for name, answer in got.items()}


async def test_a_plain_kind_takes_replies_of_other_statuses_and_no_none() -> None:
    described, got = await answers(Item)
    assert set(described) == {"200", "422"}
    assert (got["plain"], got["created"], got["accepted"]) == ((200, ITEM), (201, ITEM), (202, ITEM))
    assert got["no-content"] == (204, b"")
    assert {got[name][0] for name in ("none", "wrong")} == {500}


async def test_a_union_declares_each_of_its_statuses() -> None:
    described, got = await answers(Item | Created[Item] | NoContent)
    assert set(described) == {"200", "201", "204", "422"}
    assert "content" not in described["204"]
    assert (got["plain"], got["created"], got["no-content"]) == ((200, ITEM), (201, ITEM), (204, b""))
    described, got = await answers(Created[Item] | NoContent)
    assert set(described) == {"201", "204", "422"}
    assert got["plain"] == (201, ITEM)


async def test_none_is_null_where_the_type_allows_it_and_no_body_where_it_is_the_type() -> None:
    described, got = await answers(Item | None)
    assert {"type": "null"} in described["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert got["none"] == (200, b"null")
    for kind in (None, Created[None]):
        described, got = await answers(kind)
        assert "content" not in described["200" if kind is None else "201"]
        assert got["none"] == (200 if kind is None else 201, b"")
        assert got["plain"][0] == 500


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Shown, SimpleNamespace(id=1, secret=2), b'{"id":1,"fullName":"n"}'),
        (Shown, {"id": 1, "fullName": "x", "secret": 2}, b'{"id":1,"fullName":"x"}'),
        (list[Shown], [Shown(id=1, fullName="n")], b'[{"id":1,"fullName":"n"}]'),
        (Created[Shown], Shown(id=1, fullName="n"), b'{"id":1,"fullName":"n"}'),
        (Shown | None, None, b"null"),
        (Attrs, SimpleNamespace(id=1, secret=2), b'{"id":1}'),
    ],
)
def test_pydantic_and_attrs_are_outputs(kind: Any, value: Any, text: bytes) -> None:
    assert Output(kind).encode(value) == text


def test_a_value_that_does_not_fit_is_an_error_that_names_the_method() -> None:
    for kind in (Item, Shown):
        with pytest.raises(SerializationError, match=r"tasks\.Tasks\.get returned what does not fit .*(Item|Shown)"):
            Output(kind, name="tasks.Tasks.get").encode({"name": 7, "id": "x"})


def handler_of(base: type, kind: Any) -> type:
    class Handler(base):  # type: ignore[misc]
        @returns(kind)
        async def get(self) -> Any: ...

    return Handler


@pytest.mark.parametrize("kind", [Model, list[Model], Created[Model], NoContent | Model, list[Created[Item]], "Item"])
def test_a_type_that_nothing_converts_to_is_a_fault_of_the_application(kind: Any) -> None:
    with pytest.raises(UrlError, match=r"Handler\.get: "):
        Application([("/", handler_of(ApiHandler, kind))])


def test_returns_is_for_api_handlers_and_final_statuses() -> None:
    with pytest.raises(UrlError, match="@returns works in an ApiHandler"):
        Application([("/", handler_of(WebHandler, Item))])
    for status in (0, 100, 600):
        with pytest.raises(ArgumentError, match="final status"):
            returns(Item, status=status)(handler_of)
    document = make_document(Application([("/", handler_of(ApiHandler, Reply[Item]))]))
    assert "200" in document["paths"]["/"]["get"]["responses"]


class Annotated(WebHandler):
    async def get(self) -> str:  # type: ignore[override]  # as its project wrote it
        self.write("written")
        return "for its subclasses"


async def test_an_annotation_of_another_handler_is_no_output() -> None:
    async with TestClient(Application([("/", Annotated)])) as client:
        assert (await client.get("/")).text == "written"


async def test_with_debug_a_status_that_is_not_declared_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Handler(ApiHandler):
        @returns(Item)
        async def get(self) -> Any:
            return Created({"name": "a"})

        @returns(NoContent)
        async def delete(self) -> Any:
            return "dropped"

    async with TestClient(Application([("/", Handler)], debug=True)) as client:
        assert (await client.get("/")).status_code == 201
        assert "Handler.get responds with 201" in caplog.text
        assert (await client.delete("/")).status_code == 204
        assert "returned 'dropped'" in caplog.text
