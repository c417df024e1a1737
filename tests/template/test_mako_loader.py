"""Mako: what it does beside the contract."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.exception import TemplateNotFound
from torngas_aio.template.mako_loader import MakoTemplate, MakoTemplateLoader


async def load(path: Path, source: str, name: str = "page.html", **options: Any) -> MakoTemplate:
    (path / name).write_text(source, encoding="utf-8")
    return await asyncio.to_thread(MakoTemplateLoader(str(path), **options).load, name)


async def test_compiled_modules_are_kept_in_a_private_directory(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    template = await load(tmp_path, "${a}", cache_directory=str(cache))
    assert await template.render({"a": "<"}) == b"&lt;"
    assert [path.name for path in cache.glob("*.py")] == ["page.html.py"]
    assert cache.stat().st_mode & 0o777 == 0o700


async def test_filters_of_the_project_s_own_replace_escaping(tmp_path: Path) -> None:
    template = await load(tmp_path, "${a}", default_filters=["str", "u"])
    assert await template.render({"a": "<"}) == b"%3C"


async def test_format_exceptions_gives_mako_s_own_page(tmp_path: Path) -> None:
    template = await load(tmp_path, "${1 / 0}", format_exceptions=True)
    assert b"ZeroDivisionError" in await asyncio.to_thread(template.generate)


async def test_a_def_can_be_had_without_its_page(tmp_path: Path) -> None:
    template = await load(tmp_path, '<%def name="row(x)">[${x}]</%def>${row(1)}')
    assert await template.render({}) == b"[1]"
    assert await template.render_block("row", {"x": "<"}) == b"[&lt;]"


async def test_a_file_chosen_at_run_time_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "part.html").write_text("one")
    (tmp_path / "page.html").write_text('<%include file="${name}"/>')
    loader = MakoTemplateLoader(str(tmp_path), filesystem_checks=True)

    def page() -> bytes:
        return loader.load("page.html").generate(name="part.html")

    assert await asyncio.to_thread(page) == b"one"
    (tmp_path / "part.html").write_text("two")
    os.utime(tmp_path / "part.html", ns=(1, 1))
    assert await asyncio.to_thread(page) == b"two"


async def test_what_a_template_names_must_be_there_when_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(TemplateNotFound, match=r"'nope\.html'"):
        await load(tmp_path, '<%include file="nope.html"/>')


async def test_no_more_templates_are_held_than_collection_size_says(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    loader = MakoTemplateLoader(str(tmp_path), collection_size=2)

    def steps() -> tuple[bool, bool]:
        first = loader.load("a")
        kept = loader.load("a") is first
        loader.load("b")
        loader.load("c")
        return kept, loader.load("a") is first

    assert await asyncio.to_thread(steps) == (True, False)


async def test_namespaces_of_other_files_work(tmp_path: Path) -> None:
    (tmp_path / "lib.html").write_text('<%def name="b(x)"><b>${x}</b></%def>')
    template = await load(tmp_path, '<%namespace name="lib" file="lib.html"/>${lib.b("<")}')
    assert await template.render({}) == b"<b>&lt;</b>"
