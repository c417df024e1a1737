"""Jinja2: synchronous and asynchronous templates, options, files."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from typing import Any

import jinja2
import pytest

from tests.template.conftest import Book
from torngas_aio.exception import ArgumentError
from torngas_aio.template.jinja2_loader import Jinja2TemplateLoader


async def gives(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def walks(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        await asyncio.sleep(0)
        yield value


class Thing:
    """An object whose attributes and methods have to be awaited, or not."""

    name = "thing"

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def items(self) -> Any:
        return gives([("k", "v")])

    def upper(self) -> str:
        return "UPPER"


SOURCES = [
    "{{ a }}",
    "{{ d.k.real }}{{ d['k'] }}{{ a[0].b }}",
    "{% for x in a %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% else %}none{% endfor %}",
    "{% for x in a if x is defined and x.x > 1 %}{{ x|upper|replace('a', 'b') }}{% endfor %}",
    "{% if a in b and a is not none %}{{ a ~ b }}{% endif %}",
    "{% macro m(x, y=2) %}{{ x }}{{ y }}{{ caller() if caller }}{% endmacro %}{{ m(a) }}{% call m(1) %}!{% endcall %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{% set j = joiner() %}{{ j() }}{{ c.reset() }}",
    "{% set ns = namespace(n=0) %}{% for x in a %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "{{ _('a') }}{{ gettext('a') }}{{ static_url('a') }}{{ reverse_url('a', 1) }}{{ xsrf_form_html() }}",
    "{{ when.strftime('%d') }}{{ d.items()|list }}{{ 'a'.upper() }}{% for k, v in d.items() %}{{ k }}{% endfor %}",
    "{% filter upper %}a{% endfilter %}{% with x = a %}{{ x }}{% endwith %}{% raw %}{{ f() }}{% endraw %}",
    "{{ range(3)|list }}{{ dict(a=1) }}{{ a|map(attribute='b')|join(',') }}{{ a|selectattr('x', 'equalto', 1)|list }}",
    "{% for x in a recursive %}{{ x }}{{ loop(x.b) }}{% endfor %}",
    "{% block one %}{{ a }}{% endblock %}{{ self.one() }}",
    "{% extends 'base.html' %}{% block one %}{{ super() }}{% endblock %}",
    "{% include 'part.html' %}{% import 'macros.html' as m %}{{ m.shout(a) }}",
    "{% from 'macros.html' import shout as s %}{{ s(a) }}",
    "{% autoescape false %}{{ a }}{% endautoescape %}",
]


@pytest.fixture
def parts(book: Book) -> Book:
    book.loader = Jinja2TemplateLoader(
        str(book.path), filters={"custom": str}, tests={"custom": "builtins.bool"}, extensions=["jinja2.ext.do"]
    )
    book.write(
        base="<{% block one %}base{% endblock %}>",
        part="part",
        macros="{% macro shout(x) %}{{ x|upper }}!{% endmacro %}",
        calls="{{ f() }}{% block one %}{% endblock %}",
    )
    return book


@pytest.mark.parametrize("source", SOURCES)
async def test_both_kinds_of_templates_make_the_same_page(parts: Book, source: str) -> None:
    values: dict[str, Any] = {
        "a": [{"b": "", "x": 1}],
        "b": [1],
        "d": {"k": 1},
        "when": Thing(strftime=lambda text: text),
    }
    values.update(
        dict.fromkeys(["_", "gettext", "static_url", "xsrf_form_html"], lambda *a: "said"), reverse_url="{}/{}".format
    )
    template = await parts.page(source)
    assert template.is_sync
    assert template.names is not None
    page = await template.render(values)
    assert b"".join([part async for part in template.stream(values)]) == page
    parts.loader = Jinja2TemplateLoader(str(parts.path), extensions=["jinja2.ext.do"], enable_async=True)
    template = await parts.load()
    assert not template.is_sync
    assert await template.render(values) == page
    assert b"".join([part async for part in template.stream(values)]) == page


@pytest.mark.parametrize(
    ("source", "are_known"),
    [
        ("{% extends layout %}", False),
        ("{% include [a, 'b.html'] %}", False),
        ("{% include 'nope.html' ignore missing %}", False),
        ("{% include 'calls.html' %}", True),
        ("{% extends 'calls.html' %}", True),
    ],
)
async def test_names_are_known_unless_a_part_is_chosen_at_run_time(parts: Book, source: str, are_known: bool) -> None:
    names = (await parts.page(source)).names
    assert (names is not None) is are_known
    assert names is None or "f" in names


@pytest.mark.parametrize(
    ("source", "values", "page"),
    [
        ("{% for x in thing.rows %}{{ x }}{% endfor %}", lambda: {"thing": Thing(rows=walks(1, 2))}, "12"),
        ("{% for x in thing.rows|list %}{{ x }}{% endfor %}", lambda: {"thing": Thing(rows=walks(1, 2))}, "12"),
        ("{{ thing.rows|join('-') }}", lambda: {"thing": Thing(rows=walks(1, 2))}, "1-2"),
        ("{{ thing.rows|map('string')|first }}", lambda: {"thing": Thing(rows=walks(1, 2))}, "1"),
        ("{% for k, v in thing.items() %}{{ k }}{{ v }}{% endfor %}", lambda: {"thing": Thing()}, "kv"),
        ("{{ thing|attr('x') }}", lambda: {"thing": Thing(x=gives("later"))}, "later"),
        ("{{ [thing.x]|first }}", lambda: {"thing": Thing(x=gives("later"))}, "later"),
        ("{{ thing.x|default('none') }}", lambda: {"thing": Thing(x=gives("later"))}, "later"),
        ("{{ [thing]|map(attribute='x')|join }}", lambda: {"thing": Thing(x=gives("later"))}, "later"),
        ("{{ f() }}", lambda: {"f": lambda: gives("later")}, "later"),
        ("{% filter custom %}{{ f() }}{% endfilter %}", lambda: {"f": lambda: gives("later")}, "<later"),
        ("{{ _('x') }}", lambda: {"_": lambda text: gives(text * 2)}, "xx"),
        ("{% for x in a %}{% for y in x.rows %}{{ y }}{% endfor %}{% endfor %}",
         lambda: {"a": [Thing(rows=[1]), Thing(rows=walks(2, 3))]}, "123"),
        ("{% for x in thing.rows recursive %}{{ x.n }}{{ loop(x.rows) if x.rows }}{% endfor %}",
         lambda: {"thing": Thing(rows=[Thing(n=1, rows=walks(Thing(n=2, rows=())))])}, "12"),
    ],
)  # fmt: skip
async def test_with_enable_async_whatever_a_template_meets_is_awaited(
    book: Book, source: str, values: Any, page: str
) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), enable_async=True, filters={"custom": "<{}".format})
    template = await book.page(source)
    for _ in range(2):
        assert (await template.render(values())).decode() == page
    gc.collect()  # a coroutine that was never awaited would warn


@pytest.mark.parametrize(
    "source", ["{{ f() }}", "{{ f()|upper }}", "{% for x in f() %}{% endfor %}", "{{ t.items() }}"]
)
async def test_a_call_that_must_be_awaited_is_an_error_that_names_the_option(book: Book, source: str) -> None:
    template = await book.page(source)
    with pytest.raises(ArgumentError, match=r"'page\.html' calls .*enable_async"):
        await template.render({"f": lambda: gives(1), "t": Thing()})
    gc.collect()  # a coroutine that was never awaited would warn


async def test_what_can_be_walked_once_is_walked_once(book: Book) -> None:
    template = await book.page("{% for x in rows %}{{ x }}{% endfor %}")
    assert await template.render({"rows": iter([1, 2])}) == b"12"
    assert template.begin({"rows": iter([1])}) == b"1"
    rest = template.begin({"rows": map(str, range(10_000))})
    assert not isinstance(rest, bytes), "too long to be made at once"
    assert await rest() == "".join(map(str, range(10_000))).encode()


async def test_generate_runs_what_does_not_really_wait(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), enable_async=True)
    template = await book.page("{{ f() }}")
    assert not template.is_sync

    async def at_once() -> str:
        return "now"

    def page(function: Any) -> bytes:
        return template.generate(f=function)

    assert await asyncio.to_thread(page, lambda: "plain") == b"plain"
    assert await asyncio.to_thread(page, at_once) == b"now"
    with pytest.raises(ArgumentError, match="has to wait"):
        await asyncio.to_thread(page, lambda: gives("later"))


async def test_a_block_that_must_await_does(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), enable_async=True)
    book.write(base="{% block one %}base{% endblock %}")
    template = await book.page(
        "{% extends 'base.html' %}{% block one %}{{ super() }}{% for x in t.rows %}{{ x }}{% endfor %}{% endblock %}"
    )
    assert await template.render_block("one", {"t": Thing(rows=walks(1, 2))}) == b"base12"
    assert await template.render_block("one", {"t": Thing(rows=[3])}) == b"base3"


async def test_without_enable_async_nothing_in_a_template_is_awaited(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), enable_async=False)
    book.write(page="{{ f() }}{% for x in rows %}{{ x }}{% endfor %}")
    template = await book.load()
    assert template.is_sync
    values = {"f": lambda: "called", "rows": iter("ab")}
    assert await template.render(values) == b"calledab"
    assert [part async for part in template.stream({**values, "rows": "ab"})] == [b"calledab"]


async def test_dictionaries_give_items_by_name_and_keep_their_methods(book: Book) -> None:
    template = await book.page(
        "{{ d.a }}{{ d.nope }}{{ d.nope.x is defined }}{% for k in d.keys() %}{{ k }}{% endfor %}"
    )
    with pytest.raises(jinja2.UndefinedError):
        await template.render({"d": {"a": 1}})
    template = await book.page("{{ d.a }}{{ d.nope }}{{ d.items }}")
    assert (await template.render({"d": {"a": 1, "items": 2}})).startswith(b"1&lt;built-in method items")


async def test_a_part_chosen_at_run_time_is_read_anew_when_it_changes(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), filesystem_checks=True)
    book.write(page="{% include name %}", part="one")
    template = await book.load()
    assert await asyncio.to_thread(lambda: template.generate(name="part.html")) == b"one"
    book.write(part="two")
    os.utime(book.path / "part.html", ns=(1, 1))
    fresh = await book.load()
    assert await asyncio.to_thread(lambda: fresh.generate(name="part.html")) == b"two"
