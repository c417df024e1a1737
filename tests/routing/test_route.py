"""Routes as values."""

import re

from tornado.routing import AnyMatches, PathMatches, Rule

from tests.routing.test_router import A, B, C, resolved
from torngas_aio.pipeline import NOTHING
from torngas_aio.routing import ApplicationRouter, Route


def test_a_route_stays_the_same_object_when_others_come_and_go(router: ApplicationRouter) -> None:
    router.add_rules([("/a", A), (r"/b/(\d+)", B)])
    before = list(router.routes())
    before[0].pipelines[1] = NOTHING
    router.rules.insert(0, Rule(PathMatches("/c"), C))
    assert list(router.routes())[1:] == before
    assert resolved(router, "/a").route is before[0]


def test_routes_tell_what_is_not_indexed(router: ApplicationRouter) -> None:
    router.add_rules(
        [
            ("/a", A),
            (r"/(\d+)/x", A),
            (r"(.*)/tail", A),
            (r".*\d", A),
            (r"(.*)", A),
            Rule(PathMatches(re.compile(r"(?i)/\w+")), A),
            (AnyMatches(), A),
        ]
    )
    told = {route.pattern: route.is_indexed for route in router.routes()}
    assert told == {
        "/a": True,
        r"/(\d+)/x": True,
        "(.*)/tail": True,
        r".*\d": False,
        "(.*)": False,
        r"(?i)/\w+": True,
        "AnyMatches": False,
    }


def test_candidates_are_nearest_first(router: ApplicationRouter) -> None:
    router.add_rules([("/about", A), (r"/user/(\d+)", B, {}, "user"), ("/users", C)])
    assert [route.handler_class for route in router.candidates("/user/x1", limit=2)] == [B, C]


def test_values_show_themselves(router: ApplicationRouter) -> None:
    router.add_rules([(r"/user/(\d+)", B, {}, "user")])
    found = resolved(router, "/user/5")
    assert repr(found) == "<Resolved <Route '/user/(\\\\d+)' B name='user'> [b'5'] {}>"
    assert isinstance(found.route, Route)
