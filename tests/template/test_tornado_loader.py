"""Tornado's engine: what it does beside the contract."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tornado.template import Loader

from torngas_aio.exception import ArgumentError, ConfigError, TemplateSyntaxError
from torngas_aio.template import adapted, create_loader
from torngas_aio.template._tornado_code import template_line, with_await
from torngas_aio.template.position import place_of_frame
from torngas_aio.template.tornado_loader import TornadoTemplate, TornadoTemplateLoader


async def load(path: Path, source: str, name: str = "page.html", **options: Any) -> TornadoTemplate:
    (path / name).write_text(source, encoding="utf-8")
    return await asyncio.to_thread(TornadoTemplateLoader(str(path), **options).load, name)


async def later(value: str = "<later>") -> str:
    await asyncio.sleep(0)
    return value


async def test_await_works_inside_apply_blocks_and_loops(tmp_path: Path) -> None:
    template = await load(
        tmp_path,
        "{% for i in range(2) %}{% apply upper %}a{{ await f() }}{% end %}{% end %}{% raw await f() %}"
        "_tt_apply0() {{ [x async for x in g()] }}",
    )

    async def numbers() -> Any:
        yield 1
        await asyncio.sleep(0)
        yield 2

    values = {"f": later, "upper": lambda text: text.upper(), "g": numbers}
    assert not template.is_sync
    expected = b"A&LT;LATER&GT;A&LT;LATER&GT;<later>_tt_apply0() [1, 2]"
    assert await template.render(values) == expected
    assert b"".join([part async for part in template.stream(values)]) == expected


async def test_generate_of_a_template_that_waits_is_refused(tmp_path: Path) -> None:
    template = await load(tmp_path, "{{ await f() }}")

    async def at_once() -> str:
        return "now"

    assert not isinstance(template.begin({"f": later}), bytes)
    assert await asyncio.to_thread(lambda: template.generate(f=at_once)) == b"now"
    with pytest.raises(ArgumentError, match="has to wait"):
        await asyncio.to_thread(lambda: template.generate(f=later))


def test_the_word_await_in_text_makes_nothing_asynchronous() -> None:
    code = "def _tt_execute():\n    _tt_append(b'we await you async')\n"
    assert with_await(code) == code


async def test_an_error_over_several_lines_leads_to_its_template(tmp_path: Path) -> None:
    template = await load(tmp_path, "one\n{{ (\n1 / 0\n) }}")
    with pytest.raises(ZeroDivisionError) as caught:
        await template.render({})
    place = place_of_frame(caught.traceback[-1].frame.raw, caught.traceback[-1].lineno + 1)
    assert place is not None
    assert place.path == tmp_path / "page.html"
    assert place.line <= 2


async def test_an_error_in_a_block_alone_leads_to_its_line(tmp_path: Path) -> None:
    template = await load(tmp_path, "one\n\n\n\n{% block b %}\n{{ 1 / 0 }}{% end %}")
    with pytest.raises(ZeroDivisionError) as caught:
        await template.render_block("b", {})
    place = place_of_frame(caught.traceback[-1].frame.raw, caught.traceback[-1].lineno + 1)
    assert place is not None
    assert (place.line, place.engine) == (6, "Tornado")


async def test_an_error_in_an_included_file_leads_there(tmp_path: Path) -> None:
    (tmp_path / "part.html").write_text("\n{{ 1 / 0 }}")
    template = await load(tmp_path, '\n\n\n{% include "part.html" %}')
    with pytest.raises(ZeroDivisionError) as caught:
        await template.render({})
    place = place_of_frame(caught.traceback[-1].frame.raw, caught.traceback[-1].lineno + 1)
    assert place is not None
    assert (place.path.name, place.line) == ("part.html", 2)


def test_lines_without_origin_have_none() -> None:
    assert template_line("x = 1\n", 1) is None
    assert template_line("x = 1  # a.html:3\n", 9) is None
    assert template_line("x = 1  # a.html:3 (via b.html:4)\n", 1) == ("a.html", 3)


async def test_python_that_does_not_parse_is_told_with_its_template_line(tmp_path: Path) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        await load(tmp_path, "one\n{{ a b }}")
    assert caught.value.lineno == 2
    assert Path(caught.value.filename or "") == tmp_path / "page.html"


async def test_a_fault_in_a_parent_is_told_as_the_parent_s(tmp_path: Path) -> None:
    (tmp_path / "base.html").write_text("\n{% nope %}")
    with pytest.raises(TemplateSyntaxError) as caught:
        await load(tmp_path, '{% extends "base.html" %}')
    assert (Path(caught.value.filename or "").name, caught.value.lineno) == ("base.html", 2)


async def test_escaping_by_another_function_and_whitespace_pass_through(tmp_path: Path) -> None:
    template = await load(
        tmp_path, "{{ a }}   {{ shout('b') }}", autoescape="url_escape", whitespace="oneline",
        namespace={"shout": str.upper},
    )  # fmt: skip
    assert await template.render({"a": "<"}) == b"%3C B"


async def test_tornado_s_own_names_are_there(tmp_path: Path) -> None:
    source = "{{ json_encode([1]) }}{{ url_escape('<') }}{{ squeeze(' a  b ') }}{{ datetime.date(2026, 1, 2) }}"
    assert await (await load(tmp_path, source)).render({}) == b"[1]%3Ca b2026-01-02"
    assert await (await load(tmp_path, "{{ escape('<') }}", autoescape=None)).render({}) == b"&lt;"
    assert (
        await (await load(tmp_path, "{% raw linkify('http://a.b/') %}")).render({})
        == b'<a href="http://a.b/">http://a.b/</a>'
    )


async def test_a_plain_tornado_loader_is_brought_under_the_contract(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{{ a }}{% block b %}{% end %}")
    loader = adapted(Loader(str(tmp_path)))
    template = await loader.fetch("page.html")
    assert await template.render({"a": "<"}) == b"&lt;"
    assert await asyncio.to_thread(lambda: template.generate(a=1)) == b"1"
    with pytest.raises(ArgumentError, match="no blocks"):
        await template.render_block("b", {})
    loader.reset()
    assert loader.find("page.html") is None
    assert adapted(loader) is loader


@pytest.mark.parametrize("engine", ["nowhere.Loader", "torngas_aio.template.jinja2_loader.Nope", "json.dumps"])
def test_an_engine_that_is_none_is_told(engine: str) -> None:
    with pytest.raises(ConfigError, match="template_engine"):
        create_loader({"template_engine": engine}, "x")


def test_an_engine_may_be_given_as_a_class() -> None:
    assert isinstance(create_loader({"template_engine": TornadoTemplateLoader}, "x"), TornadoTemplateLoader)


async def test_debug_looks_for_changes_whatever_the_settings_say(tmp_path: Path) -> None:
    loader = create_loader({"filesystem_checks": False}, str(tmp_path), debug=True)
    (tmp_path / "page.html").write_text("one")
    assert await (await loader.fetch("page.html")).render({}) == b"one"
    (tmp_path / "page.html").write_text("second")
    assert await (await loader.fetch("page.html")).render({}) == b"second"
