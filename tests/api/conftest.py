"""What several test modules of this folder use."""

import dataclasses
import datetime as dt
import enum
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
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
