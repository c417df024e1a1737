"""Declared parameters, bodies and outputs, asked over a socket."""

import dataclasses
import datetime as dt
import enum
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPFile

from torngas_aio import ApiHandler, Application, WebHandler
from torngas_aio.api import (
    Accepted,
    Body,
    Cookie,
    Created,
    File,
    Form,
    Header,
    NoContent,
    Page,
    Param,
    Path,
    Query,
    Reply,
    returns,
)
from torngas_aio.api.conversion import Problems, make_converter
from torngas_aio.exception import UrlError
from torngas_aio.testing import TestClient


class State(enum.Enum):
    OPEN = "open"
    DONE = "done"


class Item(msgspec.Struct):
    price: Annotated[float, msgspec.Meta(ge=0)]
    name: str


class NewTask(msgspec.Struct, forbid_unknown_fields=True):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    items: list[Item] = []
    due: dt.date | None = None


class TaskOut(msgspec.Struct):
    id: int
    title: str
    note: str = "none"


class Row:
    """A stand-in for a model: attributes, more of them than are shown."""

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class Login(msgspec.Struct):
    name: str
    roles: list[str] = []
    age: int = 0


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Size(TypedDict):
    width: int


class Model(pydantic.BaseModel):
    a: int
    b: list[int] = []


class Tasks(ApiHandler):
    async def get(
        self,
        project: Path[int],
        page: Query[int] = 1,
        state: Query[State | None] = None,
        tag: Query[list[str]] = [],  # noqa: B006  # declared as a user would
        size: Query[Annotated[int, Param(name="page-size", ge=1, le=100)]] = 20,
        user_agent: Header[str] = "",
        theme: Cookie[str] = "light",
    ) -> Any:
        seen = [project, page, state and state.name, tag, size, bool(user_agent), theme]
        return {"seen": seen}

    async def post(self, project: Path[int], task: Body[NewTask]) -> Any:
        return Created(
            {"project": project, "title": task.title, "due": task.due}, headers={"Location": f"/tasks/{project}"}
        )

    async def put(self, project: Path[int], model: Body[Model]) -> Any:
        return {"a": model.a, "b": model.b}

    async def delete(self, project: Path[int]) -> Any:
        return NoContent()


class Named(ApiHandler):
    async def get(self, key: Path[UUID], date: Path[dt.date]) -> Any:
        return {"key": key, "date": date}


class Outputs(ApiHandler):
    @returns(TaskOut, status=201)
    async def post(self) -> Any:
        return Row(id=7, title="made", secret="not shown")

    @returns(Page[TaskOut])
    async def get(self) -> Any:
        rows = [Row(id=1, title="a", secret=1), Row(id=2, title="b", note="n")]
        return Row(items=rows, page=1, per_page=10, total=2, pages=1, query="not shown")

    @returns(TaskOut)
    async def put(self) -> Any:
        return {"id": "no number"}

    async def patch(self) -> Any:
        return Accepted({"job": 3})

    async def delete(self) -> Any:
        return Reply({"left": 0}, status=299)


class Forms(WebHandler):
    async def post(self, login: Form[Login]) -> None:
        self.write({"name": login.name, "roles": login.roles, "age": login.age})

    async def put(self, avatar: File[HTTPFile], note: Form[str] = "") -> None:
        self.write({"name": avatar.filename, "size": len(avatar.body), "note": note})

    async def get(self, filters: Query[Login]) -> None:
        self.write({"roles": filters.roles})


class Kinds(ApiHandler):
    async def post(self, point: Body[Point]) -> Any:
        return point

    async def put(self, size: Body[Size]) -> Any:
        return size

    async def patch(self, names: Body[dict[str, list[int]] | None] = None) -> Any:
        return {"names": names}


ROUTES = [
    (r"/p/([^/]+)/tasks", Tasks),
    (r"/named/(?P<date>[^/]+)/(?P<key>[^/]+)", Named),
    (r"/outputs", Outputs),
    (r"/forms", Forms),
    (r"/kinds", Kinds),
]


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    async with TestClient(Application(ROUTES)) as client:
        yield client


async def test_parameters_are_read_and_converted(client: TestClient) -> None:
    answer = await client.get("/p/7/tasks?page=2&state=open&tag=a&tag=b&page-size=5", headers={"Cookie": "theme=dark"})
    assert answer.json()["seen"] == [7, 2, "OPEN", ["a", "b"], 5, True, "dark"]
    assert (await client.get("/p/7/tasks")).json()["seen"] == [7, 1, None, [], 20, True, "light"]


async def test_named_groups_go_by_name(client: TestClient) -> None:
    key = "12345678-1234-5678-1234-567812345678"
    assert (await client.get(f"/named/2026-11-28/{key}")).json() == {"key": key, "date": "2026-11-28"}
    problem = (await client.get("/named/today/7")).json()
    assert [(each["in"], each["path"], each["code"]) for each in problem["errors"]] == [
        ("path", "date", "format"),
        ("path", "key", "format"),
    ]


async def test_every_fault_is_told_at_once(client: TestClient) -> None:
    answer = await client.get("/p/x/tasks?page=b&state=gone&page-size=101")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [(each["in"], each["path"], each["code"], each["message"]) for each in answer.json()["errors"]] == [
        ("path", "project", "type", "This must be of type int."),
        ("query", "page", "type", "This must be of type int."),
        ("query", "state", "choice", "This is none of the allowed values."),
        ("query", "page-size", "max", "This must be at most 100."),
    ]


async def test_every_fault_of_a_body_is_told(client: TestClient) -> None:
    body = {"title": "", "items": [{"price": 1, "name": "x"}, {"price": -1}, {"price": "a", "name": 3}], "x": 1}
    answer = await client.post("/p/1/tasks", json=body)
    assert answer.status_code == 422
    assert {(each["path"], each["code"]) for each in answer.json()["errors"]} == {
        ("title", "min_length"),
        ("items.1.name", "missing"),
        ("items.1.price", "min"),
        ("items.2.price", "type"),
        ("items.2.name", "type"),
        ("x", "unknown"),
    }


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "body"),
        (b"", "application/json", 400, "empty"),
        (b'{"title": "\xff"}', "application/json", 400, "body"),
        (b"[" * 1000, "application/json", 400, "body"),
        (b'{"title": "x", "items": ' + b"[" * 101 + b"]" * 101 + b"}", "application/json", 400, "body"),
        (b'{"title": "x", "items": [' + b"{}," * 200_000 + b"{}]}", "application/json", 413, "too_large"),
        (b"\xef\xbb\xbf{}", "application/json", 422, "missing"),
        (b"[" * 500_000, "application/json", 413, "too_large"),
        (b'{"title": 1' + b"0" * 5000 + b"}", "application/json", 400, "body"),
        (b"title=x", "application/x-www-form-urlencoded", 415, "media_type"),
        (b"{}", "application/vnd.task+json", 422, "missing"),
        (b"null", "", 422, "type"),
        (b'{"title": "x", "items": [' + b"1," * 100_000 + b"1]}", "application/json", 422, "type"),
    ],
)
async def test_hostile_bodies_are_told_apart(
    client: TestClient, content: bytes, media_type: str, status: int, code: str
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await client.post("/p/1/tasks", content=content, headers=headers)
    assert answer.status_code == status
    errors = answer.json()["errors"]
    assert errors[0]["code"] == code
    assert len(errors) <= 100
    assert "torngas" not in answer.text
    assert "msgspec" not in answer.text


async def test_a_byte_order_mark_is_no_part_of_the_value(client: TestClient) -> None:
    answer = await client.post("/p/1/tasks", content=b'\xef\xbb\xbf{"title": "x", "due": "2026-01-02"}')
    assert answer.status_code == 201
    assert answer.json() == {"project": 1, "title": "x", "due": "2026-01-02"}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[" * 99 + b"]" * 99, 200),
        (b"[" * 101 + b"]" * 101, 400),
        (b"[" * 900 + b"]" * 900, 400),
        (b'{"a":' * 150 + b"1" + b"}" * 150, 400),
        (b'[{"a":' * 60 + b"1" + b"}]" * 60, 400),
        (b"[" + b"[]," * 150_000 + b"1]", 413),
        (b"[" + b"{}," * 110_000 + b"1]", 413),
    ],
)
async def test_the_limits_of_json_hold_for_values_of_any_type(content: bytes, status: int) -> None:
    """A body that fits its type is as deep, and of as many parts, as `get_json_body` takes at most."""

    class Takes(ApiHandler):
        async def post(self, value: Body[Any]) -> Any:
            return {"seen": value is not None}

    async with TestClient(Application([("/", Takes)])) as client:
        answer = await client.post("/", content=content)
    assert answer.status_code == status


async def test_a_body_that_is_too_large_is_413(client: TestClient) -> None:
    answer = await client.post("/p/1/tasks", json={"title": "x" * Tasks.max_json_bytes})
    assert answer.status_code == 413
    assert answer.json()["errors"][0]["code"] == "too_large"


async def test_text_that_is_no_utf_8_is_400(client: TestClient) -> None:
    answer = await client.get("/p/1/tasks?state=%ff")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "encoding"


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


async def test_forms_and_files(client: TestClient) -> None:
    filled = await client.post("/forms", data={"name": "ann", "roles": ["a", "b"], "age": "7"})
    assert filled.json() == {"name": "ann", "roles": ["a", "b"], "age": 7}
    wrong = await client.post("/forms", data={"age": "old"}, headers={"Accept": "application/json"})
    assert {(each["in"], each["path"], each["code"]) for each in wrong.json()["errors"]} == {
        ("form", "name", "missing"),
        ("form", "age", "type"),
    }
    sent = await client.put("/forms", files={"avatar": ("a.png", b"12345")}, data={"note": "hi"})
    assert sent.json() == {"name": "a.png", "size": 5, "note": "hi"}
    none = await client.put("/forms", data={"note": "hi"}, headers={"Accept": "application/json"})
    assert none.json()["errors"][0] | {"message": ""} == {
        "in": "file",
        "path": "avatar",
        "code": "missing",
        "message": "",
    }
    assert (await client.get("/forms?name=x&roles=1&roles=2")).json() == {"roles": ["1", "2"]}


async def test_dataclasses_typed_dicts_and_mappings(client: TestClient) -> None:
    assert (await client.post("/kinds", json={"x": 1, "y": 2})).json() == {"x": 1, "y": 2}
    assert (await client.put("/kinds", json={"width": 2})).json() == {"width": 2}
    wrong = await client.patch("/kinds", json={"a": [1], "b": ["x"], "c": 1})
    assert [(each["path"], each["code"]) for each in wrong.json()["errors"]] == [("b.0", "type"), ("c", "type")]
    assert (await client.patch("/kinds")).json() == {"names": None}


async def test_pydantic_models(client: TestClient) -> None:
    assert (await client.put("/p/1/tasks", json={"a": 1, "b": [2]})).json() == {"a": 1, "b": [2]}
    wrong = await client.put("/p/1/tasks", json={"b": [1, "x"]})
    assert [(each["path"], each["code"]) for each in wrong.json()["errors"]] == [
        ("a", "missing"),
        ("b.1", "int_parsing"),
    ]


def test_messages_are_in_the_visitors_language(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = Problems()
    monkeypatch.setattr("torngas_aio.api.messages.current_locale", lambda: Row(code="zh_CN"))
    make_converter(int).from_text("x", "query", "page", problems)
    assert problems.errors[0].message == "类型必须是 int。"


class Twice(ApiHandler):
    async def post(self, a: Body[int], b: Body[int]) -> None: ...


class Default(ApiHandler):
    async def get(self, page: Query[int] = "first") -> None: ...  # type: ignore[assignment]  # the fault


class Custom(ApiHandler):
    async def get(self, page: Query[Row]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "told"),
    [(Twice, "one parameter only"), (Default, "'page'.*Expected `int`"), (Custom, "Custom.get: parameter 'page'")],
)
def test_a_marker_that_cannot_work_is_told_when_the_application_is_built(handler: type[ApiHandler], told: str) -> None:
    with pytest.raises(UrlError, match=told) as caught:
        Application([(r"/", handler)])
    assert caught.value.code == "TGA205"


def test_a_handler_without_markers_keeps_its_methods() -> None:
    class Plain(ApiHandler):
        async def get(self, key: str = "") -> None: ...

    method = Plain.get
    Application([(r"/", Plain)])
    assert Plain.get is method


class Node(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=3)]
    children: list["Node"] = []
    extra: dict[str, int] = {}
    either: int | Item | None = None
    pair: tuple[int, str] = (0, "")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional={"name": inner, "children": inner, "extra": inner, "either": inner, "pair": inner, "price": inner},
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_a_fault_is_found_exactly_where_msgspec_finds_one(value: Any) -> None:
    converter, problems, body = make_converter(Node), Problems(), json.dumps(value).encode()
    try:
        msgspec.json.decode(body, type=Node)
    except msgspec.ValidationError:
        converter.from_json(body, lambda: json.loads(body), problems)
        assert problems.errors
        assert all(each.code != "invalid" for each in problems.errors)
        assert len({(each.path, each.code) for each in problems.errors}) == len(problems.errors)
    else:
        assert isinstance(converter.from_json(body, lambda: json.loads(body), problems), Node)
        assert problems.errors == []
