"""URL tables: what comes out of Url, route and include, and how every fault is told."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.routing import HostMatches, PathMatches, Rule, URLSpec
from tornado.web import Application, RequestHandler

from torngas_aio.application import Application as OurApplication
from torngas_aio.exception import ArgumentError, ConfigError, UrlError
from torngas_aio.routing import ApplicationRouter
from torngas_aio.urlhelper import Url, UrlSpec, include, load_app_urls, route

HANDLERS = """
from tornado.web import RequestHandler
class Index(RequestHandler): pass
class Login(RequestHandler): pass
"""

Project = Callable[..., Path]


class Plain(RequestHandler):
    pass


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Write files into a project directory that is on `sys.path` for this test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def spec(rules: list[Rule], place: int = 0) -> URLSpec:
    rule = rules[place]
    assert isinstance(rule, URLSpec)
    return rule


def test_a_dotted_handler_is_found_under_the_prefix(project: Project) -> None:
    project(shop__handlers__main=HANDLERS)
    rule = Url("shop.handlers")(r"/?", "main.Index", name="index")
    assert (rule.handler_class.__module__, rule.name) == ("shop.handlers.main", "index")
    assert rule.regex.pattern == "/?$"


def test_a_dotted_handler_without_a_prefix_is_a_full_name(project: Project) -> None:
    project(shop__handlers__main=HANDLERS)
    assert Url()(r"/login", "shop.handlers.main.Login").handler_class.__name__ == "Login"


def test_a_class_needs_no_prefix() -> None:
    assert Url("no.such.package")(r"/", Plain).handler_class is Plain


def test_a_routes_own_kwargs_are_stronger_for_that_route_only() -> None:
    url = Url(theme="dark", size=1)
    plain, own = url("/a", Plain), url("/b", Plain, {"theme": "light"})
    assert plain.target_kwargs == {"theme": "dark", "size": 1}
    assert own.target_kwargs == {"theme": "light", "size": 1}
    assert url.overall_kwargs == {"theme": "dark", "size": 1}


def test_route_opens_up_lists_at_any_depth() -> None:
    url = Url()
    rules = route(url("/a", Plain), [url("/b", Plain), [url("/c", Plain)]], ("/d", Plain, {"x": 1}, "d"))
    assert [rule.matcher.regex.pattern for rule in rules if isinstance(rule.matcher, PathMatches)] == [
        *("/a$", "/b$", "/c$", "/d$")
    ]
    assert (rules[3].name, rules[3].target_kwargs) == ("d", {"x": 1})


def test_include_puts_pattern_and_name_before_each_rule() -> None:
    url = Url(theme="dark")
    inner = route(url(r"list/(\d+)/?", Plain, name="list"), url("me", Plain))
    rules = include("/user/", inner, "user")
    assert spec(rules).regex.pattern == r"/user/list/(\d+)/?$"
    assert [rule.name for rule in rules] == ["user-list", None]
    assert spec(rules).target_kwargs == {"theme": "dark"}
    assert inner[0].name == "list", "the included table itself is unchanged"


def test_include_takes_dotted_names_and_nests_at_any_depth(project: Project) -> None:
    project(
        shop__handlers__main=HANDLERS,
        shop__photo="from torngas_aio.urlhelper import *\n"
        "URLS = route(Url('shop.handlers')(r'upload/(\\d+)', 'main.Index', name='upload'))",
        shop__media="from torngas_aio.urlhelper import *\nURLS = route(include('photo/', 'shop.photo.URLS', 'photo'))",
    )
    router = ApplicationRouter(Application(), route(include("/media/", "shop.media.URLS", "media")))
    assert router.reverse_url("media-photo-upload", 7) == "/media/photo/upload/7"


def test_names_stay_as_they_are_without_a_prefix_name() -> None:
    assert include("/a", [Url()("/b", Plain, name="b")])[0].name == "b"


@pytest.mark.parametrize(
    ("opening", "inner", "path", "groups"),
    [
        ("/", "/b", "/b", ()),
        ("/", "b", "/b", ()),
        ("/a", "^/b", "/a/b", ()),
        ("/(en|de)", r"/(\d+)", "/en/12", ("en", "12")),
        ("/x", "/a|/b", "/x/b", ()),
        ("/x|/y", "/b", "/y/b", ()),
        ("/x", r"/[|]|/\|", "/x/|", ()),
        ("/x", "(?i)/name", "/x/NAME", ()),
        ("/x", re.compile("/n.me", re.IGNORECASE | re.DOTALL), "/x/N\nME", ()),
        ("/x", re.compile("/a b # comment", re.VERBOSE), "/x/ab", ()),
        ("/x", re.compile("/open"), "/x/opened", ()),
        ("/x", r"/(?P<y>\d)(?P=y)", "/x/44", ("4",)),
    ],
)
def test_included_patterns_keep_their_meaning(opening: str, inner: Any, path: str, groups: tuple[str, ...]) -> None:
    found = spec(include(opening, [Url()(inner, Plain)])).regex.match(path)
    assert found is not None
    assert found.groups() == groups


def test_the_case_of_an_includes_own_pattern_still_counts() -> None:
    assert spec(include("/x", [Url()("(?i)/name", Plain)])).regex.match("/X/name") is None


def test_host_rules_can_be_included() -> None:
    inner = [Rule(HostMatches("a.example"), [("/b", Plain, {}, "b")], name="host")]
    rule = include("/a", inner, "in")[0]
    assert isinstance(rule.matcher, HostMatches)
    assert (rule.name, spec(rule.target).regex.pattern, rule.target[0].name) == ("in-host", "/a/b$", "in-b")


def test_reversing_leaves_out_the_mark_of_an_optional_slash() -> None:
    rules = route(Url()("/login/?", Plain, name="login"), include("/user", [Url()("/me/?", Plain, name="me")]))
    router = ApplicationRouter(Application(), rules)
    assert router.reverse_url("login") == "/login/"
    assert router.reverse_url("me") == "/user/me/"


def line() -> int:
    return sys._getframe(1).f_lineno


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Url("shop.views")("/", "main.Index"),
            r"'shop\.views\.main\.Index' cannot be imported",
        ),
        (lambda: Url()("/(", Plain), r"pattern '/\(' is not a regular expression: missing \)"),
        (lambda: route(("/(", Plain)), r"pattern '/\(' is not a regular expression: missing \)"),
        (lambda: include("/a", [("?x", Plain)]), r"pattern '\?x' is not a regular expression: nothing to repeat"),
        (lambda: include("/a", [(r"(a)(?P<b>b)", Plain)]), "mixes named and unnamed groups"),
        (lambda: Url()(r"/(\d)/(?P<x>\d)", Plain), "mixes named and unnamed groups"),
        (lambda: Url()("/", "json"), "handler 'json' is the module 'json'. Name a class"),
        (lambda: include("/a", "no.such.URLS"), r"include\('no\.such\.URLS'\): .* cannot be imported"),
        (lambda: include("/a", "json.dumps"), "Name a list of rules"),
        (lambda: include("/a$", [("/b", Plain)]), "nothing can follow a `\\$`"),
        (lambda: include(r"/(\d)", [(r"/(a)\1", Plain)]), "numbered references shift"),
        (lambda: include(r"/(?P<x>\d)", [(r"/(\d)", Plain)]), "mixes named and unnamed groups"),
        (lambda: include("/a", [Rule(HostMatches("a"), Plain)]), "no pattern that could stand under '/a'"),
        (lambda: route(Plain), "is no rule"),
    ],
)
def test_a_fault_is_told_with_its_place_and_a_mend(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UrlError, match=message) as caught:
        make()
    assert re.match(r"\S*test_urlhelper\.py:\d+: ", str(caught.value))


def test_a_name_used_twice_names_both_places() -> None:
    url = Url()
    first, second = url("/a", Plain, name="x"), url("/b", Plain, name="x")
    number = line() - 1
    with pytest.raises(UrlError, match="'x' is used twice") as caught:
        route(first, second)
    message = str(caught.value)
    assert re.search(rf"'/a' at \S*test_urlhelper\.py:{number} and for '/b' at \S*test_urlhelper\.py:{number}", message)


def test_include_tells_all_faults_of_its_table_at_once() -> None:
    with pytest.raises(UrlError) as caught:
        include(r"/(\d)", [(r"/(a)\1", Plain), ("/b", Plain), (r"/(?P<x>a)", Plain)])
    assert len(caught.value.faults) == 2


def test_the_tables_of_all_apps_come_in_the_order_of_the_apps(project: Project) -> None:
    project(
        shop__handlers__main=HANDLERS,
        shop__urls="from torngas_aio.urlhelper import *\nurls = route(Url('shop.handlers')('/shop', 'main.Index'))",
        news__urls="from shop.handlers.main import Login\nURLS = [('/news', Login)]",
    )
    rules = load_app_urls(["news", "shop"])
    assert [rule.target.__name__ for rule in rules] == ["Login", "Index"]


def test_every_fault_of_every_app_is_listed_at_once(project: Project) -> None:
    project(
        shop__handlers__main=HANDLERS,
        shop__urls="from torngas_aio.urlhelper import *\n"
        "u = Url('shop.handlers')\n"
        "urls = route(u('/a', 'main.Missing'), u('/b', 'main.Index', name='x'), u('/(', 'main.Index'),\n"
        "             u('/c', 'main.Index', name='x'), include('/d', 'shop.nowhere.URLS'))",
        news__urls="urls = None",
        blog____init__="",
        late__urls="from torngas_aio.urlhelper import *\nurls = [Url('shop')('/z', 'handlers.main.Login', name='x')]",
    )
    with pytest.raises(ConfigError) as caught:
        load_app_urls(["shop", "news", "blog", "absent", "late"])
    told = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 8
    for part in (
        *("shop.handlers.main.Missing", "'/('", "shop.nowhere.URLS", "news.urls", "blog.urls", "'absent'"),
        *(
            "'/b' at shop/urls.py:3 and for '/c' at shop/urls.py:4",
            "'/b' at shop/urls.py:3 and for '/z' at late/urls.py:2",
        ),
    ):
        assert part in told.replace(f"{project()}/", "")


def test_a_refused_table_is_refused_again(project: Project) -> None:
    project(shop__urls="from torngas_aio.urlhelper import *\nurls = route(Url('shop')('/a', 'main.Missing'))")
    for _ in range(2):
        with pytest.raises(UrlError, match=r"shop\.main\.Missing"):
            load_app_urls(["shop"])
    with pytest.raises(UrlError, match=r"shop\.main\.Missing"):
        ApplicationRouter(Application(), sys.modules["shop.urls"].urls)


def test_an_app_that_fails_to_import_something_says_what(project: Project) -> None:
    project(shop__urls="import no_such_library\nurls = []")
    with pytest.raises(UrlError, match=r"'shop\.urls' cannot be imported: No module named 'no_such_library'"):
        load_app_urls(["shop"])


def test_outside_of_gathering_faults_are_raised_at_once(project: Project) -> None:
    project(shop__urls="urls = []")
    assert load_app_urls(["shop"]) == []
    with pytest.raises(UrlError):
        Url()("/(", Plain)


@pytest.mark.parametrize(
    ("opening", "inner", "pattern"),
    [
        ("/extra", "item/x", "/extra/item/x"),
        ("/extra", "2024", "/extra/2024"),
        ("/extra", "_x", "/extra/_x"),
        ("/extra", "é", "/extra/é"),
        ("/extra", r"(\d+)", r"/extra/(\d+)"),
        ("/extra", r"(?P<id>\w+)/x", r"/extra/(?P<id>\w+)/x"),
        ("/extra", r"([^/]+)", r"/extra/([^/]+)"),
        ("/extra", r"[a-z-]+", r"/extra/[a-z-]+"),
        ("/extra", "(?i)item", "/extra/(?i:item$)"),
        ("/extra", "a|b", "/extra/(?:a|b$)"),
        ("", "item", "/item"),
        ("/a|/b", "item", "(?:/a|/b)/item"),
    ],
)
def test_a_missing_slash_is_put_before_what_begins_a_segment(opening: str, inner: str, pattern: str) -> None:
    rule = spec(include(opening, [Url()(inner, Plain)]))
    assert rule.regex.pattern.removesuffix("$") == pattern
    assert isinstance(rule, UrlSpec)
    assert "puts a slash" in rule.notes[0]


@pytest.mark.parametrize(
    ("opening", "inner"),
    [
        *(("/extra", inner) for inner in ("", "$", "/?", "/x", r"\.json", "[.]json", "(?:a|b)", "-x", "~x")),
        *(("/extra", inner) for inner in ("(.*)", "(/.*)?", r"(\d+)?", "(/a|b)", "(?!no)x", "(?i:x)")),
        *((opening, "x") for opening in ("/extra/", "/extra/?", "/(en/|de/)", "/(?:en/)?")),
    ],
)
def test_no_slash_is_put_elsewhere(opening: str, inner: str) -> None:
    rule = spec(include(opening, [Url()(inner, Plain)]))
    assert rule.regex.pattern.removesuffix("$") == (opening + inner).removesuffix("$")
    assert isinstance(rule, UrlSpec)
    assert rule.notes == ()


def test_a_slash_that_an_inner_include_put_is_still_told() -> None:
    rule = spec(include("/a", include("/b", [Url()("c", Plain)])))
    assert rule.regex.pattern == "/a/b/c$"
    assert isinstance(rule, UrlSpec)
    assert len(rule.notes) == 1


@pytest.mark.parametrize(
    ("rule", "arguments", "address"),
    [
        (("/x/?", Plain, {}, "n"), (), "/x/"),
        (URLSpec("^/x/?$", Plain, {}, "n"), (), "/x/"),
        (URLSpec(re.compile("/x/?"), Plain, {}, "n"), (), "/x/"),
        (URLSpec("/x/*", Plain, {}, "n"), (), "/x/"),
        (URLSpec(r"/x/(\d+)/?", Plain, {}, "n"), (7,), "/x/7/"),
        (URLSpec(r"/x/\?", Plain, {}, "n"), (), "/x/?"),
        (URLSpec(r"/x/(\d+)?", Plain, {}, "n"), (7,), "/x/7"),
        (URLSpec(r"/(\w+)?/x/?", Plain, {}, "n"), ("a",), "/a/x/"),
        (URLSpec(r"/x/?(\d+)", Plain, {}, "n"), (7,), "/x/7"),
        (URLSpec(r"/x(\.json)?", Plain, {}, "n"), (".json",), "/x.json"),
        (URLSpec(r"/x(\d+)", Plain, {}, "n"), ("?",), "/x%3F"),
        (URLSpec("/x", Plain, {}, "n"), (), "/x"),
    ],
)
def test_tornado_s_own_rules_reverse_without_the_mark_too(rule: Any, arguments: tuple[Any, ...], address: str) -> None:
    assert ApplicationRouter(Application(), [rule]).reverse_url("n", *arguments) == address
    application = OurApplication()
    application.add_handlers("www.example", [rule])
    assert application.reverse_url("n", *arguments) == address


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("entri", (), KeyError, "'entri'.*Did you mean 'entry'"),
        ("zzz", (), KeyError, "'zzz'.*no route has this name.\"?'?$"),
        ("entry", (), ArgumentError, r"'entry'.*given 0 arguments.*/e/"),
        ("there", (1, 2), ArgumentError, r"'there'.*given 2 arguments.*/there"),
        ("nested", (), ArgumentError, r"'nested'.*given 0 arguments.*/n/"),
    ],
)
def test_a_name_that_cannot_be_reversed_is_told(
    name: str, arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    rules: list[Any] = [
        (r"/e/(\d+)", Plain, {}, "entry"),
        (r"/there", Plain, {}, "there"),
        Rule(PathMatches("/n/.*"), [(r"/n/(\d+)", Plain, {}, "nested")]),
    ]
    with pytest.raises(error, match=message):
        OurApplication(rules).reverse_url(name, *arguments)
