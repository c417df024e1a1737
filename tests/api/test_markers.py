"""Markers of parameters."""

from typing import Annotated

import pytest

from tests.api.conftest import Row
from torngas_aio import ApiHandler, Application
from torngas_aio.api import Body, Cookie, Header, Param, Query
from torngas_aio.exception import UrlError


class Twice(ApiHandler):
    async def post(self, a: Body[int], b: Body[int]) -> None: ...


class Default(ApiHandler):
    async def get(self, page: Query[int] = "first") -> None: ...  # type: ignore[assignment]  # the fault


class Custom(ApiHandler):
    async def get(self, page: Query[Row]) -> None: ...


class Spaced(ApiHandler):
    async def get(self, given: Header[Annotated[str, Param(name="x y")]]) -> None: ...


class Divided(ApiHandler):
    async def get(self, given: Cookie[Annotated[str, Param(name="a;b")]]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (Twice, "one parameter only"),
        (Default, "'page'.*Expected `int`"),
        (Custom, "Custom.get: parameter 'page'"),
        (Spaced, "'x y' is no name of a header"),
        (Divided, "'a;b' is no name of a cookie"),
    ],
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
