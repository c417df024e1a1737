"""The code of a template is found by the rules of its engine; what is text to the engine is none."""

# ruff: noqa: E501  the texts of files
import pytest

from torngas_aio.cli.port.parts import engine_of, parts_of


@pytest.mark.parametrize(
    ("text", "suffix", "engine"),
    [
        ("{% if a %}{% end %}", ".html", "tornado"),
        ("{% if a %}{% endif %}", ".html", "jinja2"),
        ("{%- set a = 1 %}", ".html", "jinja2"),
        ("<%inherit file='a'/>${a}", ".html", "mako"),
        ("  % if a:\n% endif", ".html", "mako"),
        ("{{ a }} `${b}`", ".html", "tornado"),
        ("{{ a }}", ".j2", "jinja2"),
        ("${a}", ".mako", "mako"),
    ],
)
def test_a_template_tells_its_engine(text: str, suffix: str, engine: str) -> None:
    assert engine_of(text, suffix) == engine


@pytest.mark.parametrize(
    ("engine", "text", "expected"),
    [
        ("tornado", "a {{ b }} {% if c %}{% raw d %}{% end %}", [("expression", "b"), ("header", "if c"), ("expression", "d")]),
        ("tornado", "{{! b }} {# c #} {%! d %} {{{ e }}}", [("expression", "e")]),
        ("tornado", "{% set a = 1 %}{% from b import c %}{% elif d %}{% except E %}", [("statement", "a = 1"), ("statement", "from b import c"), ("header", "if d"), ("except", "except E")]),
        ("tornado", "{{ unclosed", []),
        ("mako", "${ {'}': 1}['}'] } ${a | h}", [("expression", "{'}': 1}['}']"), ("expression", "a")]),
        ("mako", "% if a:\n<% b = 1 %>\n% endif\n## ${c}\n<%doc>${d}</%doc>", [("header", "if a"), ("block", " b = 1")]),
        ("jinja2", "{{- a }}{% if b -%}{# c #}{% raw %}{{ d }}{% endraw %}{{ '}}' }}", [("expression", "a"), ("expression", "if b"), ("expression", "'}}'")]),
    ],
)  # fmt: skip
def test_code_is_told_from_text(engine: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert [(part.form, text[part.start : part.end]) for part in parts_of(text, engine)] == expected
