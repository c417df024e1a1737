"""What a router adds to the look-up: foreign targets, changes of the rules, and what it tells about its routes."""

from collections.abc import Callable
from typing import Any

import pytest
from tornado import web
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import AnyMatches, HostMatches, PathMatches, Router, Rule, RuleRouter

from tests.routing.conftest import Answer, RecordingApplication, answer, handler, request_for
from torngas_aio.exception import UrlError
from torngas_aio.routing import ApplicationRouter, Resolved
from torngas_aio.routing.matchers import MAX_RECENT, MAX_RECENT_LENGTH, PathStep

A, B, C, D = (handler(name) for name in "ABCD")


class Passing(Router):
    """A foreign router that takes only some requests."""

    def __init__(self, takes: str) -> None:
        self.takes = takes
        self.asked = 0
        self.given: list[dict[str, Any]] = []

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        self.asked += 1
        self.given.append(kwargs)
        return Answer(self) if self.takes in request.path else None


def name_of(found: Resolved | None) -> str | None:
    return None if found is None or found.route is None else found.route.handler_class.__name__


def resolved(router: ApplicationRouter, path: str, **kwargs: Any) -> Resolved:
    found = router.resolve(request_for(path, **kwargs))
    assert found is not None
    return found


def test_groups_arrive_unescaped_as_bytes(router: ApplicationRouter) -> None:
    router.add_rules([(r"/a/([^/]+)/(b)?", A, {"x": 1}), (r"/b/(?P<one>[^/]+)/(?P<two>.*)", B)])
    found = resolved(router, "/a/c%20d+é%2F/")
    assert (list(found.path_args), dict(found.path_kwargs)) == ([b"c d+\xc3\xa9/", None], {})
    assert found.texts == ["c d+\xe9/", None]
    assert found.route is not None
    assert found.route.kwargs == {"x": 1}
    found = resolved(router, "/b/1/2%25")
    assert (list(found.path_args), dict(found.path_kwargs)) == ([], {"one": b"1", "two": b"2%"})


def test_a_path_without_groups_allocates_nothing(router: ApplicationRouter) -> None:
    router.add_rules([("/a/?", A), (r"/b/\d+", B)])
    for path in ("/a", "/a/", "/b/7"):
        assert resolved(router, path) is resolved(router, path)


def test_rules_may_change_at_any_time(router: ApplicationRouter) -> None:
    def now() -> str | None:
        return name_of(router.resolve(request_for("/x")))

    first, second = Rule(PathMatches("/x"), A), Rule(PathMatches(r"/(\w)"), B)
    assert now() is None
    changes: list[tuple[Callable[[], object], str | None]] = [
        (lambda: router.rules.append(first), "A"),
        (lambda: router.rules.insert(0, second), "B"),
        (router.rules.reverse, "A"),
        (lambda: router.rules.remove(first), "B"),
        (router.rules.clear, None),
        (lambda: router.rules.extend([second, first]), "B"),
        (lambda: router.rules.sort(key=lambda rule: rule is second), "A"),
        (lambda: router.rules.__setitem__(0, Rule(PathMatches("/x"), C)), "C"),
        (lambda: router.rules.pop(0), "B"),
        (lambda: setattr(router, "rules", [first]), "A"),
        (lambda: router.rules.__delitem__(0), None),
        (lambda: router.add_rules([(AnyMatches(), [("/x", D)])]), "D"),
    ]
    for change, expected in changes:
        change()
        assert now() == expected
    router.rules[0].target.rules.insert(0, first)
    assert now() == "A", "a change inside of a nested router is seen from outside"


def test_application_add_handlers_puts_its_host_before_the_wildcard() -> None:
    application = RecordingApplication(default_host="a.example")
    application.wildcard_router = ApplicationRouter(application, [("/x", A), (r"/(\w+)", B)])
    application.default_router = ApplicationRouter(application, [Rule(AnyMatches(), application.wildcard_router)])
    assert name_of(application.default_router.resolve(request_for("/x", "a.example"))) == "A"
    application.add_handlers(r".*\.example", [("/x", C, {}, "c"), (r"/d/(\d+)", D)])
    router = application.default_router
    assert name_of(router.resolve(request_for("/x", "a.example"))) == "C"
    assert name_of(router.resolve(request_for("/x", "other"))) == "A"
    assert name_of(router.resolve(request_for("/d/1", "unknown"))) == "D", "through the default host"
    assert router.resolve(request_for("/d/1", "unknown", **{"X-Real-Ip": "1.2.3.4"})) is None
    assert [(route.pattern, route.host) for route in router.routes()] == [
        *(("/x", r".*\.example"), (r"/d/(\d+)", r".*\.example")),
        *(("/x", None), (r"/(\w+)", None), ("/x", r".*\.example"), (r"/d/(\d+)", r".*\.example")),
    ]
    assert application.reverse_url("c") == "/x"


def test_rules_added_later_to_a_router_that_tornado_made_are_seen() -> None:
    application = RecordingApplication()
    application.default_router = ApplicationRouter(application, [(AnyMatches(), [("/x", A)])])
    application.add_handlers("a.example", [])
    inner = application.default_router.rules[0].target
    assert type(inner) is web._ApplicationRouter
    assert name_of(application.default_router.resolve(request_for("/y", "a.example"))) is None
    inner.add_rules([("/y", B)])
    assert name_of(application.default_router.resolve(request_for("/y", "a.example"))) == "B"


def test_another_applications_router_stays_foreign(router: ApplicationRouter) -> None:
    other = RecordingApplication()
    router.add_rules([("/a", ApplicationRouter(other, [("/a", A)])), ("/.*", RuleRouter([("/b", Passing("/b"))]))])
    assert isinstance(resolved(router, "/a").delegate, Answer)
    assert isinstance(resolved(router, "/b").delegate, Answer)
    assert router.resolve(request_for("/c")) is None


def test_a_subclass_that_finds_in_its_own_way_is_asked(application: RecordingApplication) -> None:
    class Own(ApplicationRouter):
        def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
            return Answer("own")

    router = ApplicationRouter(application, [(AnyMatches(), Own(application, [("/a", A)]))])
    assert answer(router, request_for("/zzz")) == ("own",)


def test_two_rules_of_one_name_are_refused(router: ApplicationRouter) -> None:
    with pytest.raises(UrlError, match=r"'/b' and '/a' are both named 'x'"):
        router.add_rules([("/a", A, {}, "x"), ("/b", B, {}, "x")])


def test_the_same_rule_may_stand_twice(application: RecordingApplication) -> None:
    rule = Rule(PathMatches("/a"), A, name="a")
    router = ApplicationRouter(application, [rule, (HostMatches("b"), [rule]), rule])
    assert [route.host for route in router.routes()] == [None, "b", None]


def test_what_paths_leave_behind_is_bounded(router: ApplicationRouter) -> None:
    router.add_rules([("/a", A), (r"/b/(.+)", B), (r"/c/(\d+)", Passing("never"))])
    (step,) = router._build_steps()
    assert isinstance(step, PathStep)
    for number in range(5_000):
        assert resolved(router, f"/b/{number}").path_args == (str(number).encode(),)
        assert resolved(router, f"/b/{'x' * 200}{number}").route is not None
        assert router.resolve(request_for(f"/c/{number}")) is None
        assert router.resolve(request_for(f"/{number}")) is None
    assert len(step._recent) <= MAX_RECENT
    assert max(map(len, step._recent)) <= MAX_RECENT_LENGTH
    assert (len(step._fixed), step._chains) == (1, {})


def test_a_path_asked_twice_is_found_at_once_and_cannot_be_changed(router: ApplicationRouter) -> None:
    router.add_rules([(r"/a/(\d+)", A), (r"/b/(?P<x>\d+)", B)])
    assert resolved(router, "/a/1") is resolved(router, "/a/1")
    with pytest.raises(TypeError):
        resolved(router, "/b/1").path_kwargs["x"] = b"2"  # type: ignore[index]
    router.rules.insert(0, Rule(PathMatches("/a/1"), C))
    assert name_of(router.resolve(request_for("/a/1"))) == "C"


def test_a_foreign_target_is_never_remembered(router: ApplicationRouter) -> None:
    foreign = Passing("never")
    router.add_rules([(r"/(\d)", foreign), (r"/(.)", A)])
    assert [name_of(router.resolve(request_for("/1"))) for _ in range(3)] == ["A"] * 3
    assert foreign.asked == 3
