"""UI modules with a coroutine `render`, in every engine."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio.to_thread
import pytest
from tornado.web import UIModule

from tests.contracts.templates.conftest import FileStore, Language
from tests.contracts.templates.test_over_a_socket import Client, Page

seen: ContextVar[str] = ContextVar("seen", default="")


@pytest.fixture
def client(folder: FileStore) -> Client:
    folder.path.mkdir()
    return Client(folder)


@pytest.fixture
async def one_thread() -> AsyncIterator[None]:
    """Limit the pool to one thread: a page in a thread waits for a module whose page also needs a thread."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    before, limiter.total_tokens = limiter.total_tokens, 1
    yield
    limiter.total_tokens = before


def call(language: Language, expression: str) -> str:
    """Return a call of a module, such as `Best(2)`, in the syntax of *language*."""
    engine = language.name.partition("-")[0]
    return {
        "tornado": f"{{% module {expression} %}}",
        "jinja2": f"{{{{ modules.{expression} }}}}",
    }.get(engine, f"${{modules.{expression}}}")


async def rows(count: int) -> list[str]:
    await asyncio.sleep(0)
    return [f"<{n}>" for n in range(count)]


class Asking(UIModule):
    async def render(self, count: int) -> Any:  # type: ignore[override]  # Tornado's is synchronous
        found = await rows(count)
        seen.set("asked")
        return await self.render_string("part.html", value=" ".join(found))  # type: ignore[misc]  # Tornado's is synchronous


class Handing(Asking):
    async def render(self, count: int) -> Any:  # type: ignore[override]  # Tornado's is synchronous
        return self.render_string("part.html", value=" ".join(await rows(count)))


class Styled(Asking):
    def embedded_css(self) -> str:
        return "b {}"


@pytest.mark.parametrize("module", [Asking, Handing, Styled])
@pytest.mark.parametrize("warm", [False, True])
async def test_a_module_may_wait(client: Client, language: Language, module: type[UIModule], warm: bool) -> None:
    client.folder.write(
        "page.html", "<head></head>(" + call(language, "Best(2)") + "|" + call(language, "Best(1)") + ")"
    )
    client.folder.write("part.html", "<i>" + language["value"] + "</i>")
    options: dict[str, Any] = {"warm": client.load_part} if warm else {}
    response = await client.get(ui_modules={"Best": module}, **options)
    assert response.status_code == 200, response.text
    assert response.text.endswith("(<i>&lt;0&gt; &lt;1&gt;</i>|<i>&lt;0&gt;</i>)")
    assert ("b {}" in response.text) == (module is Styled)


async def test_modules_within_modules(client: Client, language: Language) -> None:
    class Outer(UIModule):
        def render(self, count: int) -> Any:
            return self.render_string("outer.html", count=count)

    client.folder.write("page.html", call(language, "Outer(2)") + "~" + call(language, "Best(1)"))
    client.folder.write("outer.html", "[" + call(language, "Best(count)") + "]")
    client.folder.write("part.html", language["value"])

    def load(application: Any) -> None:
        loader = client.load_part(application)
        loader.load("outer.html")

    response = await client.get(ui_modules={"Outer": Outer, "Best": Asking}, warm=load)
    assert response.text == "[&lt;0&gt; &lt;1&gt;]~&lt;0&gt;"


async def test_an_error_and_a_context_pass_between_page_and_module(client: Client, language: Language) -> None:
    class Failing(UIModule):
        async def render(self) -> str:  # type: ignore[override]  # Tornado's is synchronous
            await asyncio.sleep(0)
            raise LookupError("of the module")

    class Asked(Page):
        async def get(self) -> None:
            await self.render_string("page.html")
            self.write(seen.get())

        def write_error(self, status_code: int, **kwargs: Any) -> Any:
            return self.finish(repr(kwargs["exc_info"][1]))

    modules = {"Failing": Failing, "Best": Asking}
    client.folder.write("page.html", call(language, "Failing()"))
    assert (await client.get(Asked, ui_modules=modules)).text == "LookupError('of the module')"
    client.folder.write("page.html", call(language, "Best(1)"))
    client.folder.write("part.html", "")
    assert (await client.get(Asked, ui_modules=modules)).text == "asked"


async def test_a_page_of_many_parts_and_a_page_that_awaits(client: Client, language: Language) -> None:
    class Long(Page):
        async def get(self) -> None:
            await self.render("page.html", items=range(2000), call=lambda: rows(1))

    awaiting = language["call"] if language.is_awaiting else ""
    client.folder.write("page.html", awaiting + language["loop"] + call(language, "Best(1)"))
    client.folder.write("part.html", language["value"])
    text = (await client.get(Long, ui_modules={"Best": Asking})).text
    assert text.count("<li>") == 2000
    assert text.endswith("&lt;0&gt;")


@pytest.mark.usefixtures("one_thread")
async def test_a_page_made_in_a_thread(client: Client, language: Language) -> None:
    class Twice(Page):
        async def get(self) -> None:
            for _ in range(2):
                self.write(await self.render_string("page.html"))

    client.folder.options["offload_bytes"] = 0
    client.folder.write("page.html", call(language, "Best(1)"))
    client.folder.write("part.html", language["value"])
    assert (await client.get(Twice, ui_modules={"Best": Asking})).text == "&lt;0&gt;&lt;0&gt;"


async def test_a_cancellation_reaches_what_the_module_waits_for(client: Client, language: Language) -> None:
    begun, ended = asyncio.Event(), []

    class Endless(UIModule):
        async def render(self) -> str:  # type: ignore[override]  # Tornado's is synchronous
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as exc:
                ended.append(exc)
                raise
            return ""

    class Cancelling(Page):
        async def get(self) -> None:
            task = asyncio.ensure_future(self.render_string("page.html"))
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
            self.write(str(task.cancelled()))

    client.folder.write("page.html", call(language, "Endless()"))
    assert (await client.get(Cancelling, ui_modules={"Endless": Endless})).text == "True"
    assert len(ended) == 1
