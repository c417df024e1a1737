"""A shape lets in every path that its pattern takes, and is as tight as the literals allow."""

import re

import pytest

from torngas_aio.routing.pattern import MAX_SHAPES, Gap, shapes_of

W, X = Gap.WITHIN, Gap.ACROSS


@pytest.mark.parametrize(
    ("pattern", "shapes"),
    [
        (r"/x/(\d+)/a_1$", [("/x/", W, "/a_1")]),
        (r"/user/?$", [("/user",), ("/user/",)]),
        (r"/(en|de)/x(\.html)?$", [("/en/x",), ("/en/x.html",), ("/de/x",), ("/de/x.html",)]),
        (r"/static/(.*)$", [("/static/", X)]),
        (r"/a|/b$", [("/a", X), ("/b",)]),
        (r"/open", [("/open", X)]),
        (r"/open/\d", [("/open/", X)]),
        (r"(?i)/x/a1$", [("/", W, "/", W)]),
        (r"/x/(?i:a1)-b$", [("/x/", W, "-b")]),
        (r"/(?P<a>[^/]+)/(?P=a)$", [("/", W, "/", X)]),
        (r"/a{3}/[^a]$", [("/", W, "/", X)]),
        (r"/(?:a/b)+$", [("/", X)]),
        (r"/a{1}(?:b|c/){0,4}$", [("/a", X)]),
        (r"/[^/]/[!-~]/\D/\w/[^\D]$", [("/", W, "/", X, "/", X, "/", W, "/", W)]),
        (r"/x(?!y)(?=z)\b[^/]*$", [("/x", W)]),
        (r"^/a(?>b)[^/]*+$", [("/ab", W)]),
        (r"/(a)?(?(1)b|c)$", [("/", X), ("/a", X)]),
        (r"/a\Z", [("/a",)]),
        (r"$", [()]),
    ],
)
def test_a_pattern_is_cut_into_literals_and_gaps(pattern: str, shapes: list[tuple[str | Gap, ...]]) -> None:
    assert [shape.items for shape in shapes_of(re.compile(pattern))] == shapes


def test_a_pattern_with_very_many_ways_is_cut_short() -> None:
    shapes = shapes_of(re.compile("/" + "(a|b/)?" * 20 + "/end$"))
    assert len(shapes) <= MAX_SHAPES
    assert all(shape.items[-1] == "/end" for shape in shapes)


def test_what_cannot_be_read_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ImportError

    monkeypatch.setattr("importlib.import_module", fail)
    assert [shape.items for shape in shapes_of(re.compile("/a$"))] == [(X,)]
