"""Pages of handlers, requested over a socket, with every engine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.templates.conftest import FileStore, Language
from torngas_aio.application import Application
from torngas_aio.handler import StaticFileHandler, WebHandler
from torngas_aio.i18n import load_translations
from torngas_aio.middleware.base import BaseMiddleware
from torngas_aio.mixins.flash_message import FlashMessageMixIn
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

Serve = Callable[..., "Any"]


class Page(FlashMessageMixIn, WebHandler):
    async def get(self) -> None:
        await self.render("page.html", value="<b>", items=[1, 2])

    def get_current_user(self) -> str:
        return "Ann <a>"


class Client:
    """A client that starts applications on the folder's templates, and stops them at the end."""

    def __init__(self, folder: FileStore) -> None:
        self.folder = folder
        self.values: dict[str, Any] = {}

    async def get(self, handler: type[WebHandler] = Page, path: str = "/", **options: Any) -> Any:
        headers = options.pop("headers", {})
        middlewares = options.pop("middlewares", ())
        warm = options.pop("warm", lambda application: None)
        language = self.folder.language
        config = {"template_engine": language.engine, **language.options, **self.folder.options}
        with settings.override(TEMPLATE_CONFIG=config, **self.values):
            application = Application(
                [(r"/", handler, None, "home"), (r"/blue", handler)],
                middlewares=middlewares,
                template_path=str(self.folder.path),
                cookie_secret="s" * 40,
                **options,
            )
            async with TestClient(application) as client:
                await asyncio.to_thread(warm, application)
                return await client.get(path, headers=headers)

    def load_part(self, application: Application) -> Any:
        """Preload the template of a UI module: modules cannot await, so the first use would read the file."""
        config = settings.TEMPLATE_CONFIG
        loader = self.folder.make(**self.folder.options)
        loader.load("part.html")
        application.template_loaders[str(self.folder.path), WebHandler.create_template_loader, id(config)] = (
            loader,
            config,
        )
        return loader


@pytest.fixture
def client(folder: FileStore) -> Client:
    folder.path.mkdir()
    return Client(folder)


async def test_every_engine_has_the_handler_s_names(client: Client, tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.css").write_text("a")
    client.folder.write("page.html", "names")

    def hash_it(application: Application) -> None:  # the first use of a static file reads it
        StaticFileHandler.make_static_url(application.settings, "a.css")

    response = await client.get(static_path=str(tmp_path / "static"), warm=hash_it)
    assert response.status_code == 200, response.text
    found = response.text.split("~~")
    assert found[0] == "/"
    assert found[1].startswith("/static/a.css?v=")
    assert found[2].startswith('<input type="hidden" name="_xsrf"')
    assert found[3:] == ["hello", "Ann &lt;a&gt;", "/", "/", "False", "[]", "en_US", "hello"]


async def test_values_are_escaped(client: Client) -> None:
    client.folder.write("page.html", "value")
    assert (await client.get()).text == "&lt;b&gt;"


async def test_flashed_messages_reach_the_template(client: Client, language: Language) -> None:
    class Flashing(Page):
        async def get(self) -> None:
            self.flash("<saved>", "success")
            await self.render("page.html")

    source = language["value"].replace("value", "get_flashed_messages()[0]")
    client.folder.write("page.html", source)
    assert "&lt;saved&gt;" in (await client.get(Flashing)).text


async def test_render_hooks_run_once_and_may_change_the_values(client: Client) -> None:
    seen = []

    class Hook(BaseMiddleware):
        async def process_render(self, handler: Any, clear: Any, template_name: str, **kwargs: Any) -> None:
            seen.append((template_name, sorted(kwargs)))

    client.folder.write("page.html", "value")
    assert (await client.get(middlewares=[Hook])).text == "&lt;b&gt;"
    assert seen == [("page.html", ["items", "value"])]


async def test_values_that_can_be_awaited_are_awaited(client: Client) -> None:
    class Later(Page):
        async def get(self) -> None:
            async def value() -> str:
                await asyncio.sleep(0)
                return "later"

            self.render("page.html", value=value())

    client.folder.write("page.html", "value")
    assert (await client.get(Later)).text == "later"


async def test_a_page_can_be_streamed(client: Client) -> None:
    class Streamed(Page):
        async def get(self) -> None:
            template = await self._template_loader_for_tests().fetch("page.html")
            async for part in template.stream({"items": range(5000)}):
                self.write(part)
                await self.flush()

        def _template_loader_for_tests(self) -> Any:
            return self.create_template_loader(str(self.get_template_path()))

    client.folder.write("page.html", "loop")
    text = (await client.get(Streamed)).text
    assert text.strip().startswith("<li>0</li>")
    assert text.strip().endswith("<li>4999</li>")


async def test_a_ui_module_renders_its_own_template(client: Client, language: Language) -> None:
    from tornado.web import UIModule

    class Greeting(UIModule):
        def render(self, name: str) -> str:
            return self.render_string("part.html", value=name).decode()

    call = {"tornado": "{% module Greeting('<x>') %}", "jinja2": "{{ modules.Greeting('<x>') }}"}
    client.folder.write("page.html", call.get(language.name.partition("-")[0], "${modules.Greeting('<x>')}"))
    client.folder.write("part.html", "<i>" + language["value"] + "</i>")
    assert (await client.get(ui_modules={"Greeting": Greeting}, warm=client.load_part)).text == "<i>&lt;x&gt;</i>"


async def test_ui_methods_are_there(client: Client, language: Language) -> None:
    def shout(handler: WebHandler, text: str) -> str:
        return text.upper() + handler.request.path

    client.folder.write("page.html", language["value"].replace("value", "shout('a<')"))
    assert (await client.get(ui_methods={"shout": shout})).text == "A&lt;/"


@pytest.mark.parametrize(("accept", "expected"), [("de-DE", "Hallo"), ("zh-CN,en", "你好"), ("fr", "hello")])
async def test_pages_speak_the_visitor_s_language(
    client: Client, tmp_path: Path, language: Language, accept: str, expected: str
) -> None:
    translations = tmp_path / "translations"
    translations.mkdir()
    (translations / "de_DE.csv").write_text('"hello","Hallo"\n', encoding="utf-8")
    (translations / "zh_CN.csv").write_text('"hello","你好"\n', encoding="utf-8")
    conf = {"translations_dir": str(translations), "locale_default": "en_US", "use_accept_language": True}
    await asyncio.to_thread(load_translations, conf)
    client.values = {"TRANSLATIONS": True, "TRANSLATIONS_CONF": conf}
    client.folder.write("page.html", language["value"].replace("value", "_('hello')"))
    assert (await client.get(headers={"Accept-Language": accept})).text == expected


async def test_a_page_that_is_not_there_is_a_500(client: Client) -> None:
    response = await client.get()
    assert response.status_code == 500
    assert "page.html" not in response.text


async def test_an_error_page_shows_the_template_s_line(client: Client) -> None:
    client.folder.write("page.html", "fault")
    response = await client.get(debug=True)
    assert response.status_code == 500
    assert "ZeroDivisionError" in response.text
    assert f"{client.folder.path}/page.html:3" in response.text


async def test_an_error_page_shows_where_a_template_does_not_parse(client: Client) -> None:
    client.folder.write("page.html", "syntax")
    response = await client.get(debug=True, headers={"Accept": "text/plain"})
    assert response.status_code == 500
    assert "TemplateSyntaxError" in response.text
    assert f"{client.folder.path}/page.html:3" in response.text


async def test_names_cost_nothing_unless_the_page_uses_them(client: Client, language: Language) -> None:
    asked = []

    class Costly(Page):
        def get_current_user(self) -> str:
            asked.append("user")
            return "Ann"

    if language.name == "mako":
        pytest.skip("Mako selects files at render time, so every name is computed")
    client.folder.write("page.html", "value")
    assert (await client.get(Costly)).status_code == 200
    assert asked == []
    client.folder.write("page.html", language["value"].replace("value", "current_user"))
    assert (await client.get(Costly)).text == "Ann"
    assert asked == ["user"]


async def test_a_page_may_be_made_for_a_task_that_is_cancelled(client: Client, language: Language) -> None:
    started = asyncio.Event()

    async def waits() -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    template = await client.folder.load(client.folder.write("page.html", "value"))
    task = asyncio.create_task(template.render({"value": waits()}))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await template.render({"value": 1}) == b"1"


@pytest.fixture(autouse=True)
async def no_translations() -> AsyncIterator[None]:
    from tornado import locale

    yield
    locale._translations.clear()
    locale._supported_locales = frozenset({locale._default_locale})
    locale.Locale._cache.clear()
    locale.set_default_locale("en_US")
