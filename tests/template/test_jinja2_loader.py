"""Jinja2: which environment makes a page, and that both make the same."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest

from torngas_aio.exception import ArgumentError, ConfigError, TemplateNotFound
from torngas_aio.template.jinja2.analysis import PURE_FUNCTIONS, PURE_METHODS
from torngas_aio.template.jinja2_loader import Jinja2Template, Jinja2TemplateLoader


class Book:
    """Templates written in a test, and the loader that reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loader = Jinja2TemplateLoader(str(path))

    def write(self, **sources: str) -> None:
        for name, source in sources.items():
            (self.path / f"{name}.html").write_text(source, encoding="utf-8")

    async def load(self, name: str = "page") -> Jinja2Template:
        return await asyncio.to_thread(self.loader.load, f"{name}.html")

    async def page(self, source: str) -> Jinja2Template:
        self.write(page=source)
        self.loader.reset()
        return await self.load()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


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


CANNOT_AWAIT = [
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

MIGHT_AWAIT = [
    "{{ f() }}",
    "{{ a.load() }}",
    "{{ a.get('x') }}",
    "{{ a|custom }}",
    "{% if a is custom %}{% endif %}",
    "{{ a['f']() }}",
    "{{ f(*args) }}",
    "{{ range(*args) }}",
    "{{ _(**kwargs) }}",
    "{% set _ = f %}{{ _('a') }}",
    "{% for range in fs %}{{ range(3) }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{% set m = f %}{{ m() }}",
    "{% set c = cycler('a') %}{% set c = a %}{{ c.next() }}",
    "{% extends layout %}",
    "{% include [a, 'b.html'] %}",
    "{% include 'nope.html' ignore missing %}",
    "{% include 'calls.html' %}",
    "{% extends 'calls.html' %}",
    "{% import 'macros.html' as m %}{% set m = a %}{{ m.shout(1) }}",
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


@pytest.mark.parametrize("source", CANNOT_AWAIT)
async def test_what_cannot_await_is_made_without_enable_async(parts: Book, source: str) -> None:
    template = await parts.page(source)
    assert template.is_sync
    values: dict[str, Any] = {
        "a": [{"b": "", "x": 1}],
        "b": [1],
        "d": {"k": 1},
        "when": Thing(strftime=lambda text: text),
    }
    values.update(
        dict.fromkeys(["_", "gettext", "static_url", "xsrf_form_html"], lambda *a: "said"), reverse_url="{}/{}".format
    )
    assert template.names is not None
    first = await template.render(values)
    assert template.is_sync, "nothing in it had to be awaited"
    template.is_sync = False
    assert await template.render(values) == first
    assert b"".join([part async for part in template.stream(values)]) == first


@pytest.mark.parametrize("source", MIGHT_AWAIT)
async def test_what_might_await_is_made_with_enable_async(parts: Book, source: str) -> None:
    assert not (await parts.page(source)).is_sync


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
        ("{{ _('x') }}", lambda: {"_": lambda text: gives(text * 2)}, "xx"),
        ("{% for x in a %}{% for y in x.rows %}{{ y }}{% endfor %}{% endfor %}",
         lambda: {"a": [Thing(rows=[1]), Thing(rows=walks(2, 3))]}, "123"),
        ("{% for x in thing.rows recursive %}{{ x.n }}{{ loop(x.rows) if x.rows }}{% endfor %}",
         lambda: {"thing": Thing(rows=[Thing(n=1, rows=walks(Thing(n=2, rows=())))])}, "12"),
    ],
)  # fmt: skip
async def test_a_page_that_must_await_after_all_is_begun_anew(book: Book, source: str, values: Any, page: str) -> None:
    template = await book.page(source)
    assert template.is_sync
    assert (await template.render(values())).decode() == page
    assert not template.is_sync, "from now on it goes the right way at once"
    assert (await template.render(values())).decode() == page
    gc.collect()  # a coroutine that was never awaited would warn


async def test_a_page_that_must_await_says_so_before_anything_is_done(book: Book) -> None:
    template = await book.page("{% for x in thing.rows %}{{ x }}{% endfor %}")
    values = {"thing": Thing(rows=walks(1, 2))}
    assert template.render_now(values) is None
    assert (await template.render(values)).decode() == "12"


@pytest.mark.parametrize(
    "source",
    [
        "{% for x in one.rows %}{{ x }}{% endfor %}{% for x in two.rows %}{{ x }}{% endfor %}",
        "{{ one.rows|join }}{{ two.rows|join }}",
        "{% if 2 in one.rows %}{% endif %}{% for x in two.rows %}{{ x }}{% endfor %}12",
        "{% set a, b = one.rows %}{{ a }}{{ b }}{% for x in two.rows %}{{ x }}{% endfor %}",
    ],
)
async def test_what_can_be_walked_once_is_whole_when_a_page_is_begun_anew(book: Book, source: str) -> None:
    template = await book.page(source)

    def rows() -> Iterator[int]:
        yield from (1, 2)

    page = await template.render({"one": Thing(rows=rows()), "two": Thing(rows=walks(3, 4))})
    assert sorted(page.decode()) == ["1", "2", "3", "4"]


async def test_a_generator_among_the_values_is_walked_once(book: Book) -> None:
    template = await book.page("{% for x in rows %}{{ x }}{% endfor %}")
    assert await template.render({"rows": iter([1, 2])}) == b"12"
    assert template.is_sync, "a plain list next time is made the fast way"
    assert template.render_now({"rows": iter([1])}) is None
    assert template.render_now({"rows": [1]}) == b"1"


async def test_flash_messages_are_read_once_when_a_page_is_begun_anew(book: Book) -> None:
    from torngas_aio.template import handler_namespace

    class Handler:
        def __init__(self) -> None:
            self.ui: dict[str, Any] = {}
            self.waiting = ["saved"]

        def get_flashed_messages(self) -> list[str]:
            waiting, self.waiting = self.waiting, []
            return waiting

    handler = Handler()
    template = await book.page("{{ get_flashed_messages()|join }}{% for x in thing.rows %}{{ x }}{% endfor %}")
    values = handler_namespace(handler, template.names, None)
    assert await template.render({**values, "thing": Thing(rows=walks(1))}) == b"saved1"


async def test_generate_runs_what_does_not_really_wait(book: Book) -> None:
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


async def test_long_pages_let_the_loop_run(book: Book) -> None:
    template = await book.page("{% for x in rows %}{{ x }}\n{% endfor %}")
    values = {"rows": range(100_000)}
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    assert template.render_now(values) is None, "too long to be made in one go"
    page = await template.render(values)
    counting.cancel()
    assert page.count(b"\n") == 100_000
    assert turns > 3


async def test_a_block_that_must_await_does(book: Book) -> None:
    book.write(base="{% block one %}base{% endblock %}")
    template = await book.page(
        "{% extends 'base.html' %}{% block one %}{{ super() }}{% for x in t.rows %}{{ x }}{% endfor %}{% endblock %}"
    )
    assert await template.render_block("one", {"t": Thing(rows=walks(1, 2))}) == b"base12"
    assert not template.is_sync
    assert await template.render_block("one", {"t": Thing(rows=[3])}) == b"base3"


async def test_without_enable_async_nothing_in_a_template_is_awaited(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), enable_async=False)
    book.write(page="{{ f() }}{% for x in rows %}{{ x }}{% endfor %}")
    template = await book.load()
    assert template.is_sync
    values = {"f": lambda: "called", "rows": iter("ab")}
    assert await template.render(values) == b"calledab"
    assert [part async for part in template.stream({**values, "rows": "ab"})] == [b"calledab"]


async def test_engine_options_filters_tests_and_globals_pass_through(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(
        str(book.path),
        variable_start_string="[[",
        variable_end_string="]]",
        trim_blocks=True,
        undefined="jinja2.StrictUndefined",
        filters={"twice": lambda text: text * 2, "size": "builtins.len"},
        tests={"even": lambda number: number % 2 == 0},
        globals={"site": "blog"},
        policies={"truncate.leeway": 0},
        extensions=["jinja2.ext.do"],
    )
    book.write(page="{% if 2 is even %}\n[[ site|twice ]][[ site|size ]]{% endif %}[[ nothing ]]")
    template = await book.load()
    with pytest.raises(jinja2.UndefinedError, match="'nothing' is undefined"):
        await template.render({})
    assert await template.render({"nothing": "!"}) == b"blogblog4!"


async def test_a_filter_that_is_named_and_not_there_is_told(book: Book) -> None:
    with pytest.raises(ConfigError, match=r"filters\.x = 'nowhere\.at\.all'"):
        Jinja2TemplateLoader(str(book.path), filters={"x": "nowhere.at.all"})


async def test_a_loader_of_the_project_s_own_may_be_given() -> None:
    loader = Jinja2TemplateLoader("nowhere", loader=jinja2.DictLoader({"a.html": "{{ x }}"}))
    assert await loader.load("a.html").render({"x": 1}) == b"1"
    with pytest.raises(TemplateNotFound):
        loader.load("b.html")


async def test_dictionaries_give_items_by_name_and_keep_their_methods(book: Book) -> None:
    template = await book.page(
        "{{ d.a }}{{ d.nope }}{{ d.nope.x is defined }}{% for k in d.keys() %}{{ k }}{% endfor %}"
    )
    with pytest.raises(jinja2.UndefinedError):
        await template.render({"d": {"a": 1}})
    template = await book.page("{{ d.a }}{{ d.nope }}{{ d.items }}")
    assert (await template.render({"d": {"a": 1, "items": 2}})).startswith(b"1&lt;built-in method items")


async def test_bytecode_is_kept_between_starts_for_each_environment(book: Book, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    book.write(page="{{ a }}{% for x in t.rows %}{{ x }}{% endfor %}")

    async def start(**options: Any) -> bytes:
        book.loader = Jinja2TemplateLoader(str(book.path), cache_directory=str(cache), **options)
        template = await book.load()
        made = await template.render({"a": "<", "t": Thing(rows=[1])})
        return made + await template.render({"a": "", "t": Thing(rows=walks(2))})

    assert await start() == b"&lt;12"
    kept = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert len(kept) == 2
    assert cache.stat().st_mode & 0o777 == 0o700
    assert await start() == b"&lt;12"
    assert {path.name for path in cache.iterdir()} == set(kept)
    assert await start(autoescape=False) == b"<12", "code made with escaping must not be taken up without, nor back"
    assert await start() == b"&lt;12"


async def test_a_cache_directory_that_others_may_write_to_is_refused(book: Book, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    book.loader = Jinja2TemplateLoader(str(book.path), cache_directory=str(cache))
    with pytest.raises(ConfigError, match=r"run as code.*chmod go-w"):
        await book.page("{{ a }}")


async def test_a_cache_directory_that_cannot_be_made_is_done_without(
    book: Book, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    book.loader = Jinja2TemplateLoader(str(book.path), cache_directory=str(tmp_path / "file" / "cache"))
    assert await (await book.page("{{ a }}")).render({"a": 1}) == b"1"
    assert "templates stay in memory" in caplog.text


async def test_with_cache_size_0_each_page_is_compiled_anew(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), cache_size=0)
    book.write(page="one")
    assert await (await book.load()).render({}) == b"one"
    book.write(page="two")
    template = await book.load()
    assert template.is_heavy, "compiling is work for a thread"
    assert await template.render({}) == b"two"


async def test_no_more_templates_are_held_than_cache_size_says(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), cache_size=2)
    book.write(one="1", two="2", three="3")
    one = await book.load("one")
    assert await book.load("one") is one
    await book.load("two")
    await book.load("three")
    assert await book.load("one") is not one


async def test_a_part_chosen_at_run_time_is_read_anew_when_it_changes(book: Book) -> None:
    book.loader = Jinja2TemplateLoader(str(book.path), filesystem_checks=True)
    book.write(page="{% include name %}", part="one")
    template = await book.load()
    assert await asyncio.to_thread(lambda: template.generate(name="part.html")) == b"one"
    book.write(part="two")
    os.utime(book.path / "part.html", ns=(1, 1))
    fresh = await book.load()
    assert await asyncio.to_thread(lambda: fresh.generate(name="part.html")) == b"two"


def test_what_is_said_to_be_pure_exists_somewhere() -> None:
    import datetime as dt

    from jinja2.runtime import LoopContext

    owners = [str, dict, list, dt.datetime, LoopContext, dt.time]
    known = {name for owner in owners for name in dir(owner)} | {"translate", "pgettext"}
    assert known >= PURE_METHODS
    assert not PURE_FUNCTIONS & {"open", "eval", "print"}
