"""Templates of all engines await a relationship that was not loaded."""

from pathlib import Path
from typing import Any

import pytest

from tests.db.models import Post, User
from tests.db.support import configured, prepared
from torngas_aio.application import Application
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.handler import WebHandler
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

ENGINES = {
    "tornado": (None, "{% for post in await user.awaitable_attrs.posts %}[{{ post.title }}]{% end %}"),
    "jinja2": (
        "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader",
        "{% for post in awaited(user.awaitable_attrs.posts) %}[{{ post.title }}]{% endfor %}",
    ),
    "mako": (
        "torngas_aio.template.mako_loader.MakoTemplateLoader",
        '<%include file="part.html"/>',
    ),
}
PART = "% for post in awaited(user.awaitable_attrs.posts):\n[${post.title}]\\\n% endfor\n"


class Page(WebHandler):
    async def get(self) -> None:
        user = await User.Q.filter(User.id == 1).one()
        await self.render("page.html", user=user)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_template_awaits_a_relationship(engine: str, debug: bool, tmp_path: Path) -> None:
    loader, page = ENGINES[engine]
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    (tmp_path / "part.html").write_text(PART, encoding="utf-8")
    config: dict[str, Any] = {"template_engine": loader} | ({"enable_async": True} if engine == "jinja2" else {})
    with (
        configured({"default": {"connections": [{"DATABASE": str(tmp_path / "a.db")}]}}),
        settings.override(TEMPLATE_CONFIG=config),
    ):
        async with prepared():
            async with session_scope() as session:
                session.add(User(id=1, name="a", posts=[Post(title="<one>"), Post(title="two")]))
                await session.commit()
            application = Application([("/", Page)], template_path=str(tmp_path), debug=debug)
            async with TestClient(application) as client:
                for _ in range(2):
                    assert (await client.get("/")).text.strip() == "[&lt;one&gt;][two]"
