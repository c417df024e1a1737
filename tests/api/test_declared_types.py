"""What is known of types, and the numbers that no JSON has."""

import dataclasses
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from torngas_aio import ApiHandler, Application
from torngas_aio.api import Body, Form, Header, Param, Query
from torngas_aio.api.declared_types import MAX_DIGITS, holds, unbounded
from torngas_aio.testing import TestClient


class Line(msgspec.Struct):
    price: Decimal = Decimal(0)
    weight: float = 0
    parts: "dict[str, Line]" = {}


@dataclasses.dataclass
class Order:
    lines: list[Line]


NAN, HUGE, TINY = Decimal("NaN"), Decimal(f"1e{MAX_DIGITS + 1}"), Decimal(f"1e-{MAX_DIGITS + 1}")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (Decimal("1e4300"), []),
        (Decimal("-0.00"), []),
        ([1, "NaN", None, b"x", True, 10**5000], []),
        (HUGE, [("", "size")]),
        (TINY, [("", "size")]),
        (Decimal("-Infinity"), [("", "format")]),
        (Decimal("sNaN"), [("", "format")]),
        (float("inf"), [("", "format")]),
        ({"a": (NAN, {"b": {HUGE}})}, [("a.0", "format"), ("a.1.b.0", "size")]),
        (Order([Line(), Line(NAN, float("nan"), {"x": Line(HUGE)})]),
         [("lines.1.price", "format"), ("lines.1.weight", "format"), ("lines.1.parts.x.price", "size")]),
    ],
)  # fmt: skip
def test_numbers_without_a_bound_are_found(value: Any, found: list[tuple[str, str]]) -> None:
    assert [(".".join(path), code) for path, code in unbounded(value, ())] == found


def test_a_type_holds_what_its_parts_hold() -> None:
    for kind, has in ((Order, True), (dict[str, list[Decimal | None]], True), (list[int], False), (Any, False)):
        assert holds(msgspec.inspect.type_info(kind), msgspec.inspect.DecimalType) is has


class Numbers(ApiHandler):
    async def get(
        self,
        size: Query[Annotated[float, Param(ge=0, le=10)]] = 0,
        price: Query[Decimal | None] = None,
        many: Query[list[float]] = [],  # noqa: B006  # declared as a user would
        x_size: Header[float] = 0,
    ) -> Any:
        return {}

    async def post(self, order: Body[Order]) -> Any:
        return {}

    async def put(self, line: Form[Line]) -> Any:
        return {}


@pytest.mark.parametrize("number", ["nan", "NaN", "-nan", "inf", "-Infinity", "1e99999"])
async def test_no_place_of_a_request_takes_them(number: str) -> None:
    async with TestClient(Application([("/", Numbers)])) as client:
        for name, path in (("size", "size"), ("price", "price"), ("many", "many.0")):
            answer = await client.get("/", params={name: number})
            assert answer.status_code == 422, name
            assert answer.json()["errors"][0]["path"] == path
        assert (await client.get("/", headers={"X-Size": number})).status_code == 422
        for name in ("price", "weight"):
            assert (await client.put("/", data={name: number})).status_code == 422
        answer = await client.post("/", json={"lines": [{}, {"price": number}]})
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "lines.1.price")
        assert (await client.post("/", json={"lines": [{"price": "1e300", "weight": 1e300}]})).status_code == 200
