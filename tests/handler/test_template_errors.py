"""A template that fails names its own line and the handler's, in the log and on the debug page."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

TEMPLATES = {
    "jinja2_loader.Jinja2TemplateLoader": "one\n{{ 1 // zero }}\n",
    "mako_loader.MakoTemplateLoader": "one\n${1 // zero}\n",
    "tornado_loader.TornadoTemplateLoader": "one\n{{ 1 // zero }}\n",
}


async def later() -> int:
    await asyncio.sleep(0)
    return 0


class Awaited(WebHandler):
    async def get(self) -> None:
        await self.render("page.html", zero=0)  # the handler's line


class NotAwaited(WebHandler):
    async def get(self) -> None:
        self.render("page.html", zero=0)  # the handler's line


class ByAnAwaitableValue(WebHandler):
    async def get(self) -> None:
        self.render("page.html", zero=later())  # the handler's line


class Own(WebHandler):
    def render(self, template_name: str, **kwargs: Any) -> Any:
        return super().render(template_name, zero=0, **kwargs)


class ByABaseOfItsOwn(Own):
    def get(self) -> None:
        self.render("page.html")  # the handler's line


class ByAString(WebHandler):
    async def get(self) -> None:
        self.write(await self.render_string("page.html", zero=0))  # the handler's line


class Hook(BaseMiddleware):
    async def process_render(self, handler: Any, clear: Any, template_name: str, **kwargs: Any) -> None:
        return None


@pytest.mark.parametrize("handler", [Awaited, NotAwaited, ByAnAwaitableValue, ByABaseOfItsOwn, ByAString])
@pytest.mark.parametrize("middlewares", [[], [Hook]])
@pytest.mark.parametrize("engine", TEMPLATES)
async def test_a_failing_template_names_the_handlers_line(
    tmp_path: Path, engine: str, middlewares: list[Any], handler: type[WebHandler], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "page.html").write_text(TEMPLATES[engine])
    config = {"template_engine": f"torngas_aio.template.{engine}"}
    with settings.override(TEMPLATE_CONFIG={**settings.TEMPLATE_CONFIG, **config}):
        application = Application([("/", handler)], middlewares=middlewares, template_path=str(tmp_path), debug=True)
        async with TestClient(application) as client:
            for _ in range(2):  # before and after the template is known
                caplog.clear()
                answer = await client.get("/", headers={"Accept": "text/plain"})
                assert answer.status_code == 500
                assert "ZeroDivisionError" in answer.text
                assert "page.html:2" in answer.text.replace('", line ', ":").replace(", line ", ":")
                for told in (answer.text, caplog.text):
                    assert "# the handler's line" in told
                    assert "test_template_errors.py" in told
