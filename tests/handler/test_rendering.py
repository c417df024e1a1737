"""Pages and their UI modules; modules that wait are held against every engine in `tests/contracts/templates`."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.web import UIModule

from torngas_aio.application import Application
from torngas_aio.exception import ArgumentError
from torngas_aio.handler import WebHandler
from torngas_aio.testing import TestClient


def traced(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*args: Any) -> Any:
        return method(*args)

    return wrapper


async def late(text: str) -> str:
    await asyncio.sleep(0)
    return text


class Waiting(UIModule):
    async def render(self) -> str:  # type: ignore[override]  # Tornado's is synchronous
        return await late("<i>waited</i>")


class Decorated(UIModule):
    @traced
    async def render(self) -> str:
        return await late("<i>waited</i>")


class Handing(UIModule):
    def render(self) -> Any:
        return late("<i>waited</i>")


class Plain(UIModule):
    def render(self) -> str:
        return "<i>plain</i>"


class Page(WebHandler):
    async def get(self) -> None:
        await self.render("page.html", wait=late, upper=lambda page: page.upper())

    def write_error(self, status_code: int, **kwargs: Any) -> Any:
        return self.finish(f"{status_code} {kwargs['exc_info'][1]}")


async def answer(folder: Path, source: str, *modules: type[UIModule], handler: type[WebHandler] = Page) -> str:
    (folder / "page.html").write_text(source)
    application = Application(
        [("/", handler)], template_path=str(folder), ui_modules={kind.__name__: kind for kind in modules}
    )
    async with TestClient(application) as client:
        return (await client.get("/")).text


@pytest.mark.parametrize("module", [Waiting, Decorated])
@pytest.mark.parametrize("after", ["", "{{ await wait('!') }}"])
async def test_a_module_is_awaited_whatever_wraps_its_render(
    module: type[UIModule], after: str, tmp_path: Path
) -> None:
    text = await answer(tmp_path, f"{{% module {module.__name__}() %}}{after}", module)
    assert text == "<i>waited</i>" + after[-6:-5]


@pytest.mark.parametrize("module", [Waiting, Decorated, Plain])
async def test_a_template_may_await_a_module_itself(module: type[UIModule], tmp_path: Path) -> None:
    text = await answer(tmp_path, f"{{% raw await modules.{module.__name__}() %}}", module, Waiting)
    assert text in {"<i>waited</i>", "<i>plain</i>"}


async def test_a_module_hands_on_what_another_has_made(tmp_path: Path) -> None:
    class Outer(UIModule):
        async def render(self) -> Any:  # type: ignore[override]  # Tornado's is synchronous
            return self.ui["modules"].Plain()

    class Sync(UIModule):
        def render(self) -> Any:
            return self.ui["modules"].Waiting()

    text = await answer(tmp_path, "{% module Outer() %}{% module Sync() %}", Outer, Sync, Plain, Waiting)
    assert text == "<i>plain</i><i>waited</i>"


async def test_within_apply_a_module_is_text(tmp_path: Path) -> None:
    text = await answer(tmp_path, "{% apply upper %}{% module Waiting() %}{% end %}", Waiting)
    assert text == "<I>WAITED</I>"


async def test_a_module_whose_page_cannot_wait_is_named(tmp_path: Path) -> None:
    text = await answer(tmp_path, "{% module Handing() %}", Handing, Plain)
    assert text.startswith("500 Handing.render has returned an awaitable")
    assert "Write `async def render`" in text


async def test_a_page_that_waits_awaits_whatever_a_module_returns(tmp_path: Path) -> None:
    assert await answer(tmp_path, "{% module Handing() %}{% module Plain() %}", Handing, Plain, Waiting) == (
        "<i>waited</i><i>plain</i>"
    )


async def test_a_call_outside_of_a_page_may_be_awaited(tmp_path: Path) -> None:
    class Calling(WebHandler):
        async def get(self) -> None:
            made = self.ui["modules"].Waiting()
            self.write(await made)
            self.write(self.ui["modules"].Plain())
            with pytest.raises(ArgumentError, match=r"Waiting.render has returned an awaitable"):
                str(self.ui["modules"].Waiting())

    assert await answer(tmp_path, "", Waiting, Plain, handler=Calling) == "<i>waited</i><i>plain</i>"


async def test_one_object_of_a_module_serves_a_page(tmp_path: Path) -> None:
    made = []

    class Counting(UIModule):
        def __init__(self, handler: Any) -> None:
            super().__init__(handler)
            made.append(self)

        def render(self) -> str:
            return ""

    await answer(tmp_path, "{% module Counting() %}{% module Counting() %}", Counting)
    assert len(made) == 1
