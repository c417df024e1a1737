"""Tornado's engine: what it does beside the contract."""

import asyncio
from pathlib import Path
from typing import Any

from torngas_aio.template import create_loader
from torngas_aio.template.tornado_loader import TornadoTemplate, TornadoTemplateLoader


async def load(path: Path, source: str, name: str = "page.html", **options: Any) -> TornadoTemplate:
    (path / name).write_text(source, encoding="utf-8")
    return await asyncio.to_thread(TornadoTemplateLoader(str(path), **options).load, name)


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


async def test_debug_looks_for_changes_whatever_the_settings_say(tmp_path: Path) -> None:
    loader = create_loader({"filesystem_checks": False}, str(tmp_path), debug=True)
    (tmp_path / "page.html").write_text("one")
    assert await (await loader.fetch("page.html")).render({}) == b"one"
    (tmp_path / "page.html").write_text("second")
    assert await (await loader.fetch("page.html")).render({}) == b"second"
