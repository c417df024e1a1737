"""Values converted to declared types."""

import json
from typing import Annotated, Any, NotRequired, Required, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.conftest import Item
from torngas_aio import ApiHandler, Application
from torngas_aio.api import (
    Body,
)
from torngas_aio.api.conversion import Problems, make_converter
from torngas_aio.testing import TestClient


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


async def test_dataclasses_typed_dicts_and_mappings(client: TestClient) -> None:
    assert (await client.post("/kinds", json={"x": 1, "y": 2})).json() == {"x": 1, "y": 2}
    assert (await client.put("/kinds", json={"width": 2})).json() == {"width": 2}
    wrong = await client.patch("/kinds", json={"a": [1], "b": ["x"], "c": 1})
    assert [(each["path"], each["code"]) for each in wrong.json()["errors"]] == [("b.0", "type"), ("c", "type")]
    assert (await client.patch("/kinds")).json() == {"names": None}


class Keys(TypedDict, total=False):
    number: Required[int]
    names: NotRequired[list[str]]


async def test_what_a_typed_dict_says_of_its_keys_and_keys_that_are_numbers() -> None:
    class Takes(ApiHandler):
        async def post(self, value: Body[dict[int, Keys]]) -> Any:
            return {}

    async def errors(value: Any) -> set[tuple[str, str]]:
        answer = await client.post("/", json=value)
        return {(each["path"], each["code"]) for each in answer.json().get("errors", ())}

    async with TestClient(Application([("/", Takes)])) as client:
        assert (await client.post("/", json={"1": {"number": 1}})).status_code == 200
        assert await errors({"1": {}}) == {("1.number", "missing")}
        wrong = await errors({"x": {"number": "x", "names": [1]}})
        assert wrong == {("x", "type"), ("x.number", "type"), ("x.names.0", "type")}


async def test_pydantic_models(client: TestClient) -> None:
    assert (await client.put("/p/1/tasks", json={"a": 1, "b": [2]})).json() == {"a": 1, "b": [2]}
    wrong = await client.put("/p/1/tasks", json={"b": [1, "x"]})
    assert [(each["path"], each["code"]) for each in wrong.json()["errors"]] == [
        ("a", "missing"),
        ("b.1", "int_parsing"),
    ]


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
