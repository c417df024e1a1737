"""Pages: values, escaping, inheritance, blocks, streams, files."""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from tests.contracts.templates.conftest import FileStore, Language
from torngas_aio.exception import ArgumentError, ConfigError, TemplateNotFound, TemplateSyntaxError
from torngas_aio.template.base import STREAM_BYTES
from torngas_aio.template.position import place_of_frame


async def test_values_are_escaped_unless_they_say_otherwise(folder: FileStore) -> None:
    assert await folder.render("value", value="<b>&\"'") == "&lt;b&gt;&amp;&#34;&#39;"
    folder.loader.reset()
    assert await folder.render("raw", value="<b>") == "<b>"


async def test_what_knows_its_own_html_is_not_escaped_again(folder: FileStore) -> None:
    assert await folder.render("value", value=Markup("<b>")) == "<b>"


async def test_without_autoescape_values_stand_as_they_are(folder: FileStore) -> None:
    folder.options = {"autoescape": False}
    assert await folder.render("value", value="<b>") == "<b>"


async def test_other_alphabets_come_out_as_utf_8(folder: FileStore) -> None:
    assert (
        await folder.render("<p>中文</p>value".replace("value", folder.language["value"]), value="é😀")
        == "<p>中文</p>é😀"
    )


async def test_a_child_fills_the_blocks_of_its_parent(folder: FileStore) -> None:
    folder.write("base.html", "base")
    page = await folder.render("child", items=[1, "<"])
    assert page.strip() == "<title>child</title>\n<body><li>1</li><li>&lt;</li></body>"


async def test_an_included_part_sees_the_page_s_values(folder: FileStore) -> None:
    folder.write("part.html", "value")
    assert await folder.render("include", value="x") == "<p>x</p>"


async def test_one_block_can_be_had_without_its_page(folder: FileStore) -> None:
    folder.write("base.html", "base")
    template = await folder.load(folder.write("page.html", "child"))
    assert await template.render_block("content", {"items": ["<"]}) == b"<li>&lt;</li>"
    assert await template.render_block("content", {"items": ["<"]}) == b"<li>&lt;</li>"
    assert await (await folder.load("base.html")).render_block("title", {}) == b"base"


async def test_a_block_of_the_parent_can_be_had_through_the_child(folder: FileStore) -> None:
    folder.write("base.html", folder.language["base"].replace("content", "other"))
    template = await folder.load(folder.write("page.html", "child"))
    assert await template.render_block("other", {"items": []}) == b""


async def test_an_unknown_block_is_named_with_those_there_are(folder: FileStore) -> None:
    template = await folder.load(folder.write("base.html", "base"))
    with pytest.raises(ArgumentError, match=r"'nope'.*content.*title"):
        await template.render_block("nope", {})


async def test_values_that_can_be_awaited_are_awaited(folder: FileStore) -> None:
    async def value() -> str:
        await asyncio.sleep(0)
        return "<later>"

    assert await folder.render("value", value=value()) == "&lt;later&gt;"
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    done.set_result("done")
    assert await (await folder.load("page.html")).render({"value": done}) == b"done"


async def test_when_one_value_fails_the_others_are_not_left_behind(folder: FileStore) -> None:
    async def fails() -> str:
        raise LookupError("gone")

    async def never() -> str:
        return "never"

    with pytest.raises(LookupError, match="gone"):
        await folder.render("value", value=fails(), other=never())
    gc.collect()  # a coroutine never awaited would warn here, and a warning is an error


async def test_a_call_in_a_template_may_be_awaited(folder: FileStore, language: Language) -> None:
    async def call() -> str:
        await asyncio.sleep(0)
        return "<called>"

    if not language.is_awaiting:
        pytest.skip("functions of this engine cannot await; pass the value instead")
    assert await folder.render("call", call=call) == "&lt;called&gt;"
    template = await folder.load("page.html")
    assert b"".join([part async for part in template.stream({"call": call})]) == b"&lt;called&gt;"


async def test_generate_gives_the_same_page_without_a_loop(folder: FileStore) -> None:
    folder.write("base.html", "base")
    template = await folder.load(folder.write("page.html", "child"))
    values: dict[str, Any] = {"items": [1, 2]}
    assert template.is_sync is not bool(folder.language.options)
    assert await asyncio.to_thread(template.generate, **values) == await template.render(values)
    begun = template.begin(values)
    assert (begun if isinstance(begun, bytes) else await begun()) == await template.render(values)
    assert isinstance(begun, bytes) is template.is_sync


async def test_generate_walks_what_can_be_walked_once(folder: FileStore) -> None:
    template = await folder.load(folder.write("page.html", "loop"))
    page = await asyncio.to_thread(lambda: template.generate(items=iter([1, 2])))
    assert page.strip() == b"<li>1</li><li>2</li>"


async def test_generate_refuses_values_that_must_be_awaited(folder: FileStore) -> None:
    template = await folder.load(folder.write("page.html", "value"))
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with pytest.raises(ArgumentError, match=r"'page.html'.*'value'"):
        template.generate(value=done)
    assert not isinstance(template.begin({"value": done}), bytes)


async def test_a_page_is_streamed_in_parts(folder: FileStore) -> None:
    template = await folder.load(folder.write("page.html", "loop"))
    values = {"items": ["x" * 100] * 2000}
    parts = [part async for part in template.stream(values)]
    assert len(parts) > 10
    assert max(map(len, parts)) < 2 * STREAM_BYTES
    assert b"".join(parts) == await template.render(values)


async def test_a_stream_left_early_leaves_nothing_behind(folder: FileStore) -> None:
    template = await folder.load(folder.write("page.html", "loop"))
    stream = template.stream({"items": ["x" * 1000] * 1000})
    assert (await anext(aiter(stream))).startswith(b"<li>")
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_an_error_in_a_stream_comes_after_what_was_made(folder: FileStore) -> None:
    def items() -> Iterator[str]:
        yield from ["x" * 1000] * 100
        raise LookupError("lost")

    template = await folder.load(folder.write("page.html", "loop"))
    with pytest.raises(LookupError, match="lost"):
        async for _ in template.stream({"items": items()}):
            pass


class SlowItem:
    """A slow part of a page that cannot be split."""

    def __init__(self, threads: list[threading.Thread]) -> None:
        self._threads = threads

    def __str__(self) -> str:
        self._threads.append(threading.current_thread())
        until = time.perf_counter() + 0.03
        while time.perf_counter() < until:
            pass
        return "x" * 600

    __html__ = __str__


async def test_large_pages_that_take_long_are_made_in_a_worker_thread(folder: FileStore) -> None:
    folder.options = {"offload_bytes": 1000}
    threads: list[threading.Thread] = []
    template = await folder.load(folder.write("page.html", "loop"))
    if not template.is_sync:
        pytest.skip("templates that may await are rendered in the event loop")
    values = {"items": [SlowItem(threads), SlowItem(threads)]}
    pages = [await template.render(values) for _ in range(3)]
    assert pages[0] == pages[1] == pages[2]
    assert threads[0] is threading.current_thread(), "how long it takes was not known yet"
    assert threads[-1] is not threading.current_thread()
    assert template.is_heavy
    assert not isinstance(template.begin(values), bytes)
    await template.render({"items": []})
    assert isinstance(template.begin({"items": [1]}), bytes), "the last one was small again"


async def test_a_page_of_a_million_bytes_comes_out_whole(folder: FileStore) -> None:
    template = await folder.load(folder.write("page.html", "loop"))
    values = {"items": ["<" * 20] * 10_000}
    pages = {await template.render(values) for _ in range(3)}
    assert len(pages) == 1
    assert pages.pop().count(b"&lt;") == 200_000


async def test_the_worker_thread_sees_the_caller_s_context(folder: FileStore) -> None:
    from contextvars import ContextVar

    name: ContextVar[str] = ContextVar("name")

    class Item:
        def __str__(self) -> str:
            return name.get() * 100

        __html__ = __str__

    folder.options = {"offload_bytes": 10}
    template = await folder.load(folder.write("page.html", "value"))
    name.set("ab")
    assert await template.render({"value": Item()}) == await template.render({"value": Item()}) == b"ab" * 100


async def test_a_value_that_ends_its_thread_is_an_error_of_the_page(folder: FileStore) -> None:
    """Otherwise the caller of `render` would never return."""

    class Item:
        is_over = False

        def __str__(self) -> str:
            if self.is_over:
                sys.exit(3)
            return "x" * 100

        __html__ = __str__

    folder.options = {"offload_bytes": 10}
    template = await folder.load(folder.write("page.html", "value"))
    item = Item()
    await template.render({"value": item})  # large: the next page is rendered in a thread, if the engine uses threads
    item.is_over = True
    with pytest.raises((RuntimeError, SystemExit), match="3") as caught:
        await template.render({"value": item})
    assert template.is_heavy or isinstance(caught.value, SystemExit)


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/passwd", "a/../../secret.txt", "..", "", "a\\..\\b", "a\0b", "C:/x.html", "."]
)
async def test_names_that_lead_out_of_the_directory_are_refused(folder: FileStore, name: str) -> None:
    folder.write("page.html", "value")
    (folder.path.parent / "secret.txt").write_text("secret")
    with pytest.raises(TemplateNotFound, match="below the template directory"):
        await folder.load(name)


async def test_an_include_cannot_lead_out_of_the_directory(folder: FileStore) -> None:
    (folder.path.parent / "part.html").write_text("secret")
    source = folder.language["include"].replace("part.html", "../part.html")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the type and the message differ by engine
        await folder.render(source, value=1)
    assert "secret" not in str(caught.value)


async def test_a_missing_template_names_the_directory(folder: FileStore) -> None:
    folder.write("page.html", "value")
    with pytest.raises(TemplateNotFound, match=r"'nope.html' in .*templates"):
        await folder.load("nope.html")
    with pytest.raises(FileNotFoundError):
        await folder.loader.fetch("nope.html")


async def test_a_template_that_does_not_parse_tells_file_and_line(folder: FileStore) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        await folder.load(folder.write("sub/page.html", "syntax"))
    assert caught.value.lineno == 3
    assert Path(caught.value.filename or "") == folder.path / "sub" / "page.html"


async def test_an_error_in_a_page_leads_to_the_template_s_line(folder: FileStore) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        await folder.render("fault", items=[1])
    places = [
        place_of_frame(entry.frame._raw if hasattr(entry.frame, "_raw") else entry.frame.raw, entry.lineno + 1)
        for entry in caught.traceback
    ]
    found = [place for place in places if place is not None]
    assert [(place.path, place.line) for place in found][-1] == (folder.path / "page.html", 3)
    assert "item / 0" in found[-1].source[2]


async def test_changed_files_are_seen_where_that_is_asked_for(folder: FileStore) -> None:
    folder.write("part.html", "one")
    checking, keeping = folder.make(filesystem_checks=True), folder.make(filesystem_checks=False)
    folder.write("page.html", "include")
    for loader in (checking, keeping):
        assert await (await asyncio.to_thread(loader.load, "page.html")).render({}) == b"<p>one</p>"
    folder.write("part.html", "second")
    later = (folder.path / "part.html").stat().st_mtime + 10
    os.utime(folder.path / "part.html", (later, later))
    assert await (await asyncio.to_thread(checking.load, "page.html")).render({}) == b"<p>second</p>"
    assert await (await asyncio.to_thread(keeping.load, "page.html")).render({}) == b"<p>one</p>"
    keeping.reset()
    assert await (await asyncio.to_thread(keeping.load, "page.html")).render({}) == b"<p>second</p>"


async def test_templates_are_found_beside_each_other_below_a_folder(folder: FileStore) -> None:
    folder.write("user/part.html", "value")
    template = await folder.load("part.html", "user/login.html")
    assert template.name.endswith("user/part.html")
    assert await template.render({"value": 1}) == b"1"


async def test_the_same_template_is_compiled_once(folder: FileStore) -> None:
    folder.write("page.html", "value")
    assert await folder.load("page.html") is await folder.load("page.html")
    fetched = await folder.loader.fetch("page.html")
    assert folder.loader.find("page.html") is fetched


async def test_when_its_time_is_up_one_looks_after_a_template_and_the_others_go_on(folder: FileStore) -> None:
    loader = folder.make(filesystem_checks=True)
    loader.check_seconds = 1000.0
    old = await loader.fetch(folder.write("page.html", "one"))
    folder.write("page.html", "second")
    assert loader.find("page.html") is old
    loader._fetched = {"page.html": (old, 0.0)}  # expired
    assert loader.find("page.html") is None, "this one is to fetch it"
    assert loader.find("page.html") is old, "other callers do not wait"
    fresh = await loader.fetch("page.html")
    assert await fresh.render({}) == b"second"
    assert loader.find("page.html") is fresh
    assert await loader.fetch("page.html") is fresh


async def test_many_threads_may_load_at_once(folder: FileStore) -> None:
    folder.write("base.html", "base")
    folder.write("page.html", "child")
    loaded = await asyncio.gather(*(asyncio.to_thread(folder.loader.load, "page.html") for _ in range(20)))
    pages = {template.generate(items=[1]) for template in loaded}
    assert len(pages) == 1


async def test_every_engine_accepts_the_options_of_torngas_1_8(folder: FileStore, tmp_path: Path) -> None:
    folder.options = {
        "filesystem_checks": True,
        "cache_directory": str(tmp_path / "cache"),
        "collection_size": 50,
        "cache_size": 0,
        "format_exceptions": False,
        "autoescape": True,
    }
    assert await folder.render("value", value="<") == "&lt;"


async def test_an_unknown_option_is_refused_with_the_nearest(folder: FileStore) -> None:
    with pytest.raises(ConfigError, match=r"'autoescpae'.*Did you mean 'autoescape'"):
        folder.make(autoescpae=True)
    with pytest.raises(ConfigError, match="It knows"):
        folder.make(xyz=1)


@pytest.mark.parametrize("size", [-1, "1k", True, 1.5])
async def test_offload_bytes_must_be_a_size(folder: FileStore, size: object) -> None:
    with pytest.raises(ConfigError, match="offload_bytes"):
        folder.make(offload_bytes=size)


async def test_names_hold_whatever_the_template_looks_up(folder: FileStore) -> None:
    folder.write("part.html", "value")
    names = (await folder.load(folder.write("page.html", "include"))).names
    assert names is None or "value" in names


async def test_an_async_iterable_can_be_walked(folder: FileStore, language: Language) -> None:
    async def items() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    if language.name != "jinja2-async":
        pytest.skip("only loops of Jinja2 with `enable_async` can await")
    assert await folder.render("loop", items=items()) == "<li>0</li><li>1</li><li>2</li>"
