"""Errors of templates: their own file and line."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.template.test_tornado_loader import load
from torngas_aio.exception import TemplateNotFound, TemplateSyntaxError
from torngas_aio.template._tornado_code import template_line
from torngas_aio.template.jinja2_loader import Jinja2TemplateLoader
from torngas_aio.template.mako_loader import MakoTemplateLoader
from torngas_aio.template.position import place_of_frame
from torngas_aio.template.tornado_loader import TornadoTemplateLoader


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


@pytest.mark.parametrize("links", [{"page.html": "page.html"}, {"page.html": "b.html", "b.html": "page.html"}])
@pytest.mark.parametrize("loader", [Jinja2TemplateLoader, TornadoTemplateLoader])
def test_a_template_that_extends_itself_is_told(tmp_path: Path, loader: Any, links: dict[str, str]) -> None:
    for name, parent in links.items():
        (tmp_path / name).write_text(f'{{% extends "{parent}" %}}')
    with pytest.raises(TemplateSyntaxError, match=r"extends (or includes )?itself") as caught:
        loader(str(tmp_path)).load("page.html")
    assert Path(caught.value.filename or "").parent == tmp_path


async def test_a_template_may_extend_itself_on_a_condition(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('{% if more %}{% set more = 0 %}{% extends "page.html" %}{% endif %}done')
    template = await asyncio.to_thread(Jinja2TemplateLoader(str(tmp_path)).load, "page.html")
    assert await template.render({"more": 0}) == b"done"


ASKING = {
    Jinja2TemplateLoader: '{% include "gone.html" %}',
    TornadoTemplateLoader: '{% include "gone.html" %}',
    MakoTemplateLoader: '<%include file="gone.html"/>',
}


@pytest.mark.parametrize("loader", ASKING)
def test_a_missing_part_is_told_with_the_template_that_names_it(tmp_path: Path, loader: Any) -> None:
    (tmp_path / "page.html").write_text(ASKING[loader])
    with pytest.raises(TemplateNotFound, match=r"'gone.html'.*; 'page.html' extends, includes or imports it"):
        loader(str(tmp_path)).load("page.html")
    with pytest.raises(TemplateNotFound, match=r"No template 'none.html' in [^;]*$"):
        loader(str(tmp_path)).load("none.html")
