"""HTTP modules: which run where, and which configurations are refused."""

from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler import WebHandler
from torngas_aio.httpmodule import BaseHttpModule
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

HERE = __name__


class Marks(BaseHttpModule):
    """Says its name in a header, in the order in which it runs."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    async def begin_request(self, handler: Any, clear: Any) -> None:
        handler.marks = [*getattr(handler, "marks", ()), type(self).__name__]
        handler.set_header("X-Marks", " ".join(handler.marks))


class Common1(Marks):
    made = 0


class Common2(Marks):
    made = 0


class Own1(Marks):
    made = 0


class Own2(Marks):
    made = 0


class Page(WebHandler):
    async def get(self, *_: str) -> None:
        self.write("page")


def path(module: type) -> str:
    return f"{HERE}.{module.__name__}"


async def marks(by_route: dict[str, Any], *paths: str, common: Any = (Common1, Common2)) -> list[str]:
    routes = [("/", Page, None, "Index"), (r"/user/(\w+)", Page, None, "User"), ("/photo/up", Page, None, "photo-up")]
    modules = HttpModuleMiddleware(common=common, by_route=by_route)
    async with TestClient(Application(routes, middlewares=[modules])) as client:
        return [(await client.get(each)).headers.get("x-marks", "") for each in paths]


@pytest.mark.parametrize(
    ("by_route", "found"),
    [
        ({}, "Common1 Common2"),
        ({"User": [Own1]}, "Common1 Common2 Own1"),
        ({"^/user/": [Own2, Own1]}, "Common1 Common2 Own2 Own1"),
        ({"User": [Own1], "^/user/": [Own2]}, "Common1 Common2 Own1 Own2"),
        ({"User": [f"!{HERE}.Common1"]}, "Common2"),
        ({"User": ["!all", Own1]}, "Own1"),
        ({"User": ["!all", Common2, Own1, Common1]}, "Common2 Own1 Common1"),
        ({"User": [Own1, Common1, Own1], "user": [Own1]}, "Common1 Common2 Own1"),
        ({"User": f"!{HERE}.Common2"}, "Common1"),
        ({"Index": [Own1], "^/photo": [Own2]}, "Common1 Common2"),
    ],
)
async def test_modules_run_where_settings_say(by_route: dict[str, Any], found: str) -> None:
    if "user" in by_route:
        by_route = {**by_route, "/user": by_route["user"]}
        del by_route["user"]
    assert await marks(by_route, "/user/bob") == [found]


async def test_a_name_with_a_prefix_is_a_key() -> None:
    assert await marks({"photo-up": [Own1]}, "/photo/up", "/") == ["Common1 Common2 Own1", "Common1 Common2"]


async def test_no_module_runs_where_no_route_matches() -> None:
    assert await marks({"^/": [Own1]}, "/nowhere") == [""]


async def test_one_instance_serves_the_application() -> None:
    before = Own1.made
    await marks({"User": [Own1, path(Own1)], "^/user": [Own1]}, "/user/a", "/user/b")
    assert Own1.made == before + 1


async def test_settings_name_them() -> None:
    with settings.override(COMMON_MODULES=(path(Common1),), ROUTE_MODULES={"Index": [path(Own1)]}):
        assert await marks(None, "/", "/user/a", common=None) == ["Common1 Own1", "Common1"]  # type: ignore[arg-type]  # from settings


class NoModule:
    async def begin_request(self, handler: Any, clear: Any) -> None:
        """Inherits from nothing."""


class PlainModule(BaseHttpModule):
    def begin_request(self, handler: Any, clear: Any) -> None:  # type: ignore[override]  # what is refused
        """Not async."""


class EmptyModule(BaseHttpModule):
    """Overrides nothing."""


class CannotBeMade(Own1):
    def __init__(self) -> None:
        raise OSError("no")


def test_every_fault_is_told_at_once() -> None:
    modules = HttpModuleMiddleware(
        common=[Common1, NoModule, "no.such.Module"],
        by_route={
            "Nobody": [Own1],
            "^/a(": [Own1],
            "Index": ["!no.such.Common", PlainModule, EmptyModule, CannotBeMade, HERE],
        },
    )
    with pytest.raises(ConfigError) as told:
        Application([("/", Page, None, "Index")], middlewares=[modules])
    text = str(told.value)
    assert len(told.value.faults) == 9
    for expected in (
        "NoModule'> is no HTTP module",
        "'no.such.Module' cannot be imported",
        "ROUTE_MODULES['Nobody']: no route has this name",
        "ROUTE_MODULES['^/a(']: neither the name of a route nor a regular expression",
        "'!no.such.Common' takes out a module that COMMON_MODULES does not have",
        "PlainModule.begin_request",
        "EmptyModule overrides none",
        "CannotBeMade cannot be made without arguments",
        f"test_httpmodule.py:{CannotBeMade.__init__.__code__.co_firstlineno + 1}: ROUTE_MODULES['Index']",
    ):
        assert expected in text
