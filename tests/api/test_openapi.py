"""The OpenAPI document: valid, complete, and answered to whom it may be."""

import json
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, ClassVar

import httpx2
import msgspec
import pydantic
import pytest
from openapi_spec_validator import validate

from tests.api.conftest import ROUTES, Login, Model, NewTask, State, TaskOut
from tests.webserver.project import SECRET, Project
from torngas_aio import ApiHandler, Application, UploadedFile, WebHandler
from torngas_aio.api import Accepted, Body, Created, File, Form, NoContent, Path, Query, returns
from torngas_aio.api.openapi import OpenAPIHandler, make_document
from torngas_aio.operations.handlers import LiveHandler
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


class Guard:
    openapi_responses: ClassVar[Mapping[int, str]] = {401: "Log in first."}
    openapi_security: ClassVar[Mapping[str, Any]] = {"bearer": {"type": "http", "scheme": "bearer"}}

    async def process_request(self, handler: Any, clear: Any) -> None: ...


class Plain(ApiHandler):
    async def get(self, key: str) -> None:
        """Show one.

        With all of it.
        """


class Page(WebHandler):
    async def get(self) -> None: ...


class Search(ApiHandler):
    @returns(list[TaskOut])
    async def get(self, year: Path[int], q: Query[str], limit: Query[int] = 10) -> Any: ...


class Made(ApiHandler):
    @returns(Created[TaskOut])
    async def post(self) -> Any: ...

    @returns(TaskOut)
    async def put(self) -> Accepted[Any]: ...  # type: ignore[override, empty-body]

    @returns(NoContent)
    async def delete(self) -> Any: ...

    @returns(TaskOut, status=203)
    async def patch(self) -> Created[Any]: ...  # type: ignore[override, empty-body]


def document(*routes: Any, **options: Any) -> dict[str, Any]:
    return make_document(Application(list(routes), **options))


def test_a_document_of_every_kind_of_declaration_is_valid() -> None:
    made = document(*ROUTES, (r"/plain/(.*)", Plain), (r"/page", Page), (r"/y/([0-9]{4})/search/?", Search))
    validate(json.loads(json.dumps(made)))
    assert "/page" not in made["paths"]
    assert set(made["paths"]) == {
        "/p/{project}/tasks",
        "/named/{date}/{key}",
        "/outputs",
        "/forms",
        "/kinds",
        "/plain/{value1}",
        "/y/{year}/search",
    }


@pytest.mark.parametrize(
    ("method", "status", "has_body"),
    [("post", "201", True), ("put", "202", True), ("delete", "204", False), ("patch", "203", True)],
)
def test_a_declared_reply_is_documented_with_its_status(method: str, status: str, has_body: bool) -> None:
    responses = document((r"/made", Made))["paths"]["/made"][method]["responses"]
    assert list(responses) == [status]
    if has_body:
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/TaskOut"}
    else:
        assert "content" not in responses[status]


def test_parameters_and_outputs_are_described() -> None:
    operation = document((r"/y/([0-9]{4})/search", Search))["paths"]["/y/{year}/search"]["get"]
    assert operation["parameters"] == [
        {"name": "year", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}},
        {"name": "limit", "in": "query", "required": False, "schema": {"type": "integer", "default": 10}},
    ]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/TaskOut"}}
    assert set(operation["responses"]) == {"200", "404", "422"}


def test_texts_come_from_docstrings_and_ids_are_stable() -> None:
    first = document((r"/a/(.*)", Plain), (r"/b/(.*)", Plain))["paths"]
    assert first["/a/{value1}"]["get"]["summary"] == "Show one."
    assert first["/a/{value1}"]["get"]["description"] == "With all of it."
    assert [each["get"]["operationId"] for each in first.values()] == ["Plain_get", "Plain_get_2"]


def test_bodies_and_forms_are_described() -> None:
    paths = document(*ROUTES)["paths"]
    body = paths["/p/{project}/tasks"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NewTask"}
    form = paths["/forms"]["put"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["avatar"]
    assert set(form["properties"]) == {"avatar", "note"}
    responses = paths["/p/{project}/tasks"]["post"]["responses"]
    assert {"400", "413", "415", "422"} <= set(responses)
    assert {*responses["404"]["content"], *responses["415"]["content"]} == {"application/problem+json"}


def test_modules_and_middlewares_add_their_responses() -> None:
    made = document((r"/y/(.*)", Search), middlewares=[Guard])
    operation = made["paths"]["/y/{year}"]["get"]
    assert operation["responses"]["401"]["description"] == "Log in first."
    assert operation["security"] == [{"bearer": []}]
    assert made["components"]["securitySchemes"] == Guard.openapi_security
    hidden = make_document(Application([(r"/y/(.*)", Search)], middlewares=[Guard]), shows_guarded=False)
    assert hidden["paths"] == {}


async def allow_nobody(handler: Any) -> bool:
    return False


async def test_the_guard_says_who_sees_guarded_operations() -> None:
    routes = [(r"/openapi.json", OpenAPIHandler), (r"/y/(.*)", Search)]
    async with TestClient(Application(routes, middlewares=[Guard])) as client:
        with settings.override(OPENAPI={"title": "Tasks", "version": "3"}):
            seen = (await client.get("/openapi.json")).json()
            assert seen["info"] == {"title": "Tasks", "version": "3"}
            assert list(seen["paths"]) == ["/y/{year}"]
        with settings.override(OPENAPI_GUARD=f"{__name__}.allow_nobody"):
            assert (await client.get("/openapi.json")).json()["paths"] == {}


class Other(msgspec.Struct):
    other: int


Other.__name__ = Other.__qualname__ = "TaskOut"  # as another module of the project may call it
Problem = msgspec.defstruct("Problem", [("mine", int)])
FieldError: Any = pydantic.create_model("FieldError", name=(str, ...))


class Wide(ApiHandler):
    """What is seldom: optional objects, tuples, sets, files that may be absent, types of one name."""

    @returns(Other)
    async def get(self, page: Query[NewTask | None] = None, span: Query[tuple[int, int] | None] = None) -> Any:
        return Other(0 if page is None else len(page.title))

    @returns(list[TaskOut])
    async def post(self, models: Body[list[Model]], states: Query[set[State]] = set()) -> Any: ...  # noqa: B006

    @returns(dict[str, FieldError])
    async def put(self, avatar: File[UploadedFile | None] = None, files: File[list[UploadedFile]] = []) -> Any: ...  # noqa: B006

    @returns(Model | NoContent)
    async def patch(self, login: Form[Login | None] = None) -> Any: ...


class Deep(ApiHandler):
    @returns(Problem)
    async def get(self, number: Path[int], rest: Path[str] = "") -> Any: ...


WIDE = [("/wide", Wide), (r"/deep/(\d+)(?:/(\w+))?", Deep)]


def test_a_wide_document_is_valid_and_each_type_has_its_own_schema() -> None:
    made = json.loads(json.dumps(document(*ROUTES, *WIDE)))
    validate(made)
    assert [each["name"] for each in made["paths"]["/deep/{number}"]["get"]["parameters"]] == ["number"]
    wide, schemas = made["paths"]["/wide"], made["components"]["schemas"]
    assert {each["name"] for each in wide["get"]["parameters"]} == {"title", "items", "due", "span"}

    def named(operation: Any) -> Any:
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        schema = schema.get("items", schema.get("additionalProperties", schema))
        return set(schemas[schema["$ref"].rpartition("/")[2]]["properties"])

    assert named(wide["get"]) == {"other"}
    assert named(wide["post"]) == {"id", "title", "note"}
    assert named(wide["put"]) == {"name"}
    assert named(made["paths"]["/deep/{number}"]["get"]) == {"mine"}
    assert set(schemas["Problem"]["properties"]) > {"title", "status"}
    assert set(schemas["FieldError"]["properties"]) > {"in", "path"}
    assert '"items": false' not in json.dumps(made)


async def test_an_optional_object_that_is_not_given_is_its_default() -> None:
    async with TestClient(Application(WIDE)) as client:
        assert (await client.get("/wide")).json() == {"other": 0}
        assert (await client.get("/wide?title=abc")).json() == {"other": 3}
        assert (await client.get("/wide?due=2026-01-01")).json()["errors"][0]["path"] == "title"


PROJECT = {
    "runserver.py": "import os\nos.environ.setdefault('TORNGAS_APP_SETTINGS', 'conf')\n"
    "from torngas_aio.webserver import run\nrun()\n",
    "blog/__init__.py": "",
    "blog/urls.py": "from torngas_aio.urlhelper import Url, route\nurl = Url('blog.views')\n"
    "urls = route(url(r'/posts/([0-9]+)', 'Post', name='post'))\n",
    "blog/views.py": "from torngas_aio import ApiHandler\nfrom torngas_aio.api import Path\n"
    "class Post(ApiHandler):\n    async def get(self, number: Path[int]):\n        return {'number': number}\n",
}


@pytest.mark.parametrize(
    ("text", "path", "status"),
    [
        ("DEBUG = True", "/-/openapi.json", 200),
        ("", "/-/openapi.json", 404),
        ("OPENAPI = {'public': True, 'path': '/api.json', 'title': 'Blog'}", "/api.json", 200),
    ],
)
def test_a_project_answers_it_in_debug_or_when_asked(tmp_path: FilePath, text: str, path: str, status: int) -> None:
    project = Project(tmp_path)
    for name, content in PROJECT.items():
        project.write(name, content)
    project.write("conf.py", f"INSTALLED_APPS = ('blog',)\nTORNADO_CONF = {{'cookie_secret': {SECRET!r}}}\n{text}\n")
    with project.serve("--port=0", "--address=127.0.0.1") as server:
        assert httpx2.get(f"{server.address}/posts/7", trust_env=False).json() == {"number": 7}
        assert httpx2.get(server.address + path, trust_env=False).status_code == status
        assert httpx2.get(f"{server.address}/-/docs/", trust_env=False).status_code == status
    if status == 200:
        done = project.run("-m", "torngas_aio", "openapi", "--settings=conf")
        assert done.returncode == 0, done.stderr
        assert "/posts/{number}" in json.loads(done.stdout)["paths"]


class Missing(ApiHandler):
    openapi_responses: ClassVar[Mapping[int, str]] = {409: "It was changed meanwhile."}

    async def put(self, number: Path[int]) -> None: ...


def test_a_handler_adds_its_responses_and_addresses_with_values_may_be_missing() -> None:
    made = document((r"/a/(\d+)", Missing), (r"/-/live", LiveHandler), (r"/-/openapi.json", OpenAPIHandler))
    assert list(made["paths"]) == ["/a/{number}"]
    responses = made["paths"]["/a/{number}"]["put"]["responses"]
    assert responses["409"]["description"] == "It was changed meanwhile."
    assert set(responses) == {"200", "404", "409", "422"}
