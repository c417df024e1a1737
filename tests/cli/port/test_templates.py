"""Templates of a Python 2 project show the same pages in Python 3; their text is left as it is."""

# ruff: noqa: E501  the texts of templates
from pathlib import Path

import jinja2
import mako.template
import pytest
import tornado.template

from tests.cli.port.porting import listed, port
from tests.webserver.project import Project
from torngas_aio.cli.port.python2 import ROUND_COMMENT
from torngas_aio.cli.port.templates import convert, find_in_template

VALUES = {"d": {"a": 1}, "n": 7, "long": "l", "text": "é"}
MARK = "TGM311: Python 2 divided integers into integers. Write // for that; delete this comment."


def made(text: str, engine: str) -> str:
    new, found = convert(text, engine, "a.html")
    assert found == []
    assert convert(new, engine, "a.html") == (new, []), "a second time something else"
    return new


def page(text: str, engine: str) -> str:
    if engine == "tornado":
        return tornado.template.Template(text, autoescape=None).generate(**VALUES).decode()
    made_by = mako.template.Template if engine == "mako" else jinja2.Template
    return str(made_by(text).render(**VALUES))


@pytest.mark.parametrize(
    ("engine", "text", "shown"),
    [
        ("tornado", "{% for k, v in d.iteritems() %}{{ k }}{{ v }}{% end %}", "a1"),
        ("tornado", "{% if d.has_key('a') %}{{ d.has_key('b') }}{% end %}", "False"),
        ("tornado", "{% for i in xrange(2) %}{{ unicode(i) + u'.' }}{% end %}", "0.1."),
        ("tornado", "{{ isinstance(n, (int, long)) }} {{ isinstance(text, basestring) }} {{ long }} {{ long(3) }}", "True True l 3"),
        ("tornado", "{{ 7 / 2 }} {{ `n` }} {{ n <> 7 }}", "3 7 False"),
        ("tornado", "{% import urllib %}{{ urllib.quote('/ ') }}", "/%20"),
        ("tornado", "{% from urllib import quote, urlencode %}{{ quote(' ') }}{{ urlencode({}) }}", "%20"),
        ("tornado", "{% from itertools import izip %}{% for x, y in izip(d, d) %}{{ y }}{% end %}", "a"),
        ("tornado", "{% try %}{{ d['b'] }}{% except KeyError, e %}{{ e }}{% end %}", "'b'"),
        ("tornado", "{% set x = d.keys()[0] %}{{ x }}{% raw unicode(n) %}", "a7"),
        ("tornado", "{{ text.decode('utf-8') }}{{ reduce(max, [1, 2]) }}", "é2"),
        ("tornado", "{% block b %}{% if n %}{{ text.decode('utf-8') }}{% end %}{% end %}{% block c %}{{ text.decode('utf-8') }}{% end %}", "éé"),
        ("mako", "% for k, v in d.iteritems():\n${k}${v}\n% endfor\n", "a1\n"),
        ("mako", "<%! import urllib, cPickle %>${urllib.quote(' ') | n}", "%20"),
        ("mako", "<%\n    try:\n        x = d['b']\n    except KeyError, e:\n        x = 7 / 2\n%>${x}", "3"),
        ("mako", "${ {'}': unicode(n)}['}'] }${d.has_key('a') and '|'}", "7|"),
        ("mako", "${reduce(max, [1, 2])}<%text>${d.iteritems()}</%text>\n## ${d.iteritems()}\n", "2${d.iteritems()}\n"),
        ("mako", "<%def name=\"f(x)\">${x.has_key('a')}</%def>${f(d)}", "True"),
        ("jinja2", "{% for k, v in d.iteritems() %}{{ k }}{{ v|default('}}') }}{% endfor %}", "a1"),
        ("jinja2", "{% if not d.has_key('b') and {'x': d}['x'].has_key('a') %}y{% endif %}", "y"),
        ("jinja2", "{{ {'a': {'b': text.encode('utf-8')}}['a']['b'] }}", "é"),
    ],
)  # fmt: skip
def test_a_page_is_as_it_was(engine: str, text: str, shown: str) -> None:
    assert page(made(text, engine), engine).lstrip("\n") == shown


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("tornado", "d.iteritems() `a` {{! d.iteritems() }} {%! if d.has_key(1) %} {# d.iteritems() #} {{ 'xrange(3)' }} <>"),
        ("tornado", "<script>f(function () {a = {b: 1 / 2}; c.has_key(3)})</script>{% comment d.iteritems() %}"),
        ("tornado", "{{ place.long }} {{ x.unicode }} {{ a if b else c }} {{ # js }}"),
        ("mako", "d.iteritems() %% d.iteritems()\n<%doc>${d.iteritems()}</%doc> <% x = 'xrange(3)' # don't %>\n## % if d.iteritems():"),
        ("jinja2", "{{ d.items()|join('{{') }} {% raw %}{{ d.iteritems() }}{% endraw %} {# d.iteritems() #} {{ '.iteritems()' }} {{ n / 2 }}"),
        ("jinja2", "{{ xrange(3) }} {{ unicode(n) }} {{ a.encode('gbk') }} d.iteritems()"),
    ],
)  # fmt: skip
def test_text_and_what_may_be_the_pages_own_is_left(engine: str, text: str) -> None:
    assert made(text, engine) == text


@pytest.mark.parametrize(
    ("engine", "text", "marked"),
    [
        ("tornado", "<a href='{{ n / size }}'>", "<a href='{{ n / size }}{# MARK #}'>"),
        ("tornado", "{% if n / size > 2 %}{% end %}", "{% if n / size > 2 %}{# MARK #}{% end %}"),
        ("tornado", "{% set a = round(n) %}", "{% set a = round(n) %}{# ROUND #}"),
        ("mako", "<a href='${n / size}'>\n", "<a href='<%doc>MARK</%doc>${n / size}'>\n"),
        ("mako", "a\n  % if n / size:\n% endif\n", "a\n## MARK\n  % if n / size:\n% endif\n"),
        ("mako", "<%\n  a = n / size\n%>", "<%\n  # MARK\n  a = n / size\n%>"),
    ],
)
def test_a_division_of_what_is_not_known_is_marked(engine: str, text: str, marked: str) -> None:
    new = made(text, engine)
    assert new == marked.replace("MARK", MARK).replace("ROUND", ROUND_COMMENT[2:-1])
    assert [found.code for found in find_in_template(new, engine, "a.html", frozenset())] == ["TGM311"]
    twice = list(find_in_template(f"{new}\n{new}", engine, "a.html", frozenset()))
    assert "(lines " in twice[0].text
    assert len(twice) == 1


@pytest.mark.parametrize(
    ("engine", "text", "line"),
    [("tornado", "a\n{{ cmp(a, b) }}", 2), ("tornado", "{{ xrange( }}", 1), ("mako", "<% x = 1 %>\n\n${`a}", 3)],
)
def test_what_is_left_of_python_2_is_listed(engine: str, text: str, line: int) -> None:
    new, found = convert(text, engine, "a.html")
    assert new == text
    assert [(each.line, each.code) for each in found] == [(line, "TGM101")]


@pytest.mark.parametrize(
    ("engine", "text", "line"),
    [
        ("mako", "<p>\n% for k in d:\n${k}\n% endfor\n${User.Q.count()}\n", 5),
        ("mako", "<%\n  a = 1\n  b = cache.get('a')\n%>\n", 3),
        ("tornado", "{{ 1 }}\n{% for u in members(1) %}{% end %}", 2),
        ("jinja2", "<p>\n{{ {'a': '}}'}['a'] }} {{ User.Q.count() }}", 2),
    ],
)
def test_what_waits_is_listed_with_its_line(engine: str, text: str, line: int) -> None:
    found = list(find_in_template(text, engine, "a.html", frozenset({"members"})))
    assert [(each.line, each.code) for each in found] == [(line, "TGM204")]
    assert (
        list(
            find_in_template("{{ await members(1) }} ${awaited(members(1))}", engine, "a.html", frozenset({"members"}))
        )
        == []
    )


def test_codecs_that_are_none_of_text_are_listed_once_a_file() -> None:
    found = list(find_in_template("{{ a.encode('hex') }}\n{{ a.decode('base64') }}", "tornado", "a.html", frozenset()))
    assert [(each.line, each.code) for each in found] == [(1, "TGM310")]
    assert "(lines 1, 2)" in found[0].text


def test_templates_of_a_project_are_converted_by_the_engine_of_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write(
        "settings.py",
        "print 1\nTEMPLATE_CONFIG = {'template_engine': 'torngas.template.mako_loader.MakoTemplateLoader'}\n",
    )
    path = project.write("templates/a.html", "<p>\n${unicode(a)} {{ d.iteritems() }}\n${n / 2}")
    first = port(project, capsys)
    assert path.read_text().startswith("<p>\n${str(a)} {{ d.iteritems() }}\n<%doc>TGM311")
    assert [line.partition(" ")[0] for line in listed(first)] == ["templates/a.html:3:"]
    assert listed(port(project, capsys)) == listed(first)


def test_python_2_in_templates_alone_is_enough_and_can_be_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    path = project.write("templates/a.html", "{% for k in d.iterkeys() %}{% end %}")
    port(project, capsys, "--skip", "python2")
    assert "iterkeys" in path.read_text()
    port(project, capsys)
    assert path.read_text() == "{% for k in d.keys() %}{% end %}"
    path.write_text("{{ n / 2 }}")
    assert listed(port(project, capsys)) == [], "a Python 3 project divides as it says"
