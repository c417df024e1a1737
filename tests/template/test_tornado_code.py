"""Python that Tornado generated, changed where its engine stops short."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.template.test_tornado_loader import load
from torngas_aio.exception import ArgumentError
from torngas_aio.template._tornado_code import with_await


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
