"""The Jinja2 environment that TEMPLATE_CONFIG asks for."""

import jinja2
import pytest

from tests.template.conftest import Book
from torngas_aio.exception import ConfigError, TemplateNotFound
from torngas_aio.template.jinja2_loader import Jinja2TemplateLoader


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
