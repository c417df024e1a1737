"""The steps of one look-up, in the order of declaration."""

from typing import Any

import pytest
from tornado import web
from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate, HTTPServerRequest
from tornado.routing import Matcher, PathMatches, Rule

from tests.routing.conftest import Answer, RecordingApplication, answer, request_for
from tests.routing.test_router import A, B, C, Passing, name_of, resolved
from torngas_aio.routing import ApplicationRouter


class Server(HTTPServerConnectionDelegate):
    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return Answer("server", server_conn, request_conn)


class HeaderMatches(Matcher):
    def __init__(self, name: str, **params: Any) -> None:
        self.name = name
        self.params = params

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return dict(self.params) if self.name in request.headers else None


def test_a_foreign_router_that_passes_lets_the_next_rule_answer(router: ApplicationRouter) -> None:
    foreign = Passing("/yes")
    router.add_rules([(r"/(no|yes)", foreign), (r"/no", A), (r"/(.*)", B)])
    assert isinstance(resolved(router, "/yes").delegate, Answer)
    assert name_of(router.resolve(request_for("/no"))) == "A"
    assert foreign.given == [{"path_args": [b"yes"], "path_kwargs": {}}, {"path_args": [b"no"], "path_kwargs": {}}]
    assert name_of(router.resolve(request_for("/other"))) == "B"
    assert foreign.asked == 2


def test_a_foreign_router_on_a_whole_path_is_asked_each_time(router: ApplicationRouter) -> None:
    foreign = Passing("never")
    router.add_rules([Rule(PathMatches("/x"), foreign, {"k": 1}), ("/x", A)])
    assert [name_of(router.resolve(request_for("/x"))) for _ in range(3)] == ["A"] * 3
    assert foreign.given == [{"target_kwargs": {"k": 1}}] * 3


def test_server_delegates_and_callables_answer_with_their_delegate(router: ApplicationRouter) -> None:
    calls: list[HTTPServerRequest] = []
    router.add_rules([("/server", Server()), ("/call", calls.append)])
    request = request_for("/server")
    assert answer(router, request) == ("server", None, request.connection)
    assert resolved(router, "/call").delegate is not None


def test_a_matcher_of_the_users_own_stands_in_its_place_in_the_order(router: ApplicationRouter) -> None:
    router.add_rules([("/a", A), (HeaderMatches("X-B"), B), ("/(.*)", C)])
    assert name_of(router.resolve(request_for("/a", X_B="1"))) == "A"
    assert name_of(router.resolve(request_for("/c", **{"X-B": "1"}))) == "B"
    assert name_of(router.resolve(request_for("/c"))) == "C"


def test_a_matcher_may_give_arguments_and_kwargs(router: ApplicationRouter, application: RecordingApplication) -> None:
    rules: list[Any] = [(HeaderMatches("X-Id", path_args=[b"7"], target_kwargs={"who": 1}), A, {}, "id")]
    router.add_rules(rules)
    found = resolved(router, "/", **{"X-Id": "1"})
    assert found.route is not None
    assert (list(found.path_args), found.route.kwargs) == ([b"7"], {"who": 1})
    (route,) = router.routes()
    assert (route.kwargs, route.pipelines is found.route.pipelines) == ({}, True)
    request = request_for("/", **{"X-Id": "1"})
    assert answer(router, request) == answer(web._ApplicationRouter(application, rules), request)


def test_a_matcher_that_gives_what_no_handler_takes_is_refused(router: ApplicationRouter) -> None:
    router.add_rules([(HeaderMatches("Host", colour="red"), A)])
    with pytest.raises(TypeError, match=r"answered with \['colour'\]"):
        router.resolve(request_for("/"))


def test_a_subclass_of_path_matches_keeps_its_own_match(router: ApplicationRouter) -> None:
    class Backwards(PathMatches):
        def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
            return {} if self.regex.match(request.path[::-1]) else None

    router.add_rules([(Backwards("a/"), A)])
    assert name_of(router.resolve(request_for("/a"))) == "A"
    assert router.resolve(request_for("a/")) is None
