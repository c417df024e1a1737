"""Tornado's engine: what it does beside the contract."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

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


# Written in C, these import modules with the globals of the code that calls them, if they have not done so before.
IMPORTING = {
    "{{ day.strftime('%Y') }}": b"2026",
    "{{ type(day).strptime('2026', '%Y').year }}": b"2026",
    "{{ datetime.date(2026, 1, 2).strftime('%d') }}": b"02",
    "{{ datetime.time(3, 4).strftime('%H') }}": b"03",
    "{{ __import__('decimal').Decimal('1.50') }}": b"1.50",
    "{{ len(__import__('pickle').loads(__import__('pickle').dumps(day)).strftime('%Y')) }}": b"4",
    "{% import json %}{{ json.loads('1') }}": b"1",
    "{{ '{:%Y}'.format(day) }}": b"2026",
    "{% block title %}{{ day.strftime('%Y') }}{% end %}": b"2026",
    "{% apply xhtml_escape %}{{ day.strftime('%Y') }}{% end %}": b"2026",
    "{{ ''.join(d.strftime('%Y') for d in [day]) }}{{ await word() }}": b"2026.",
}


@pytest.mark.parametrize("source", IMPORTING)
async def test_what_is_written_in_c_may_import(source: str, tmp_path: Path) -> None:
    async def word() -> str:
        return "."

    template = await load(tmp_path, source)
    values = {"day": dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "word": word}
    assert await template.render(values) == IMPORTING[source]
    if template.is_sync:
        assert await asyncio.to_thread(template.generate, **values) == IMPORTING[source]
    if "block" in source:
        assert await template.render_block("title", values) == IMPORTING[source]


async def test_a_namespace_may_choose_the_builtins(tmp_path: Path) -> None:
    template = await load(tmp_path, "{{ len('abc') }}", namespace={"__builtins__": {"len": lambda _: "own"}})
    assert await template.render({}) == b"own"
