"""The contract of an engine."""

import asyncio
from pathlib import Path

import pytest
from tornado.template import Loader

from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.template import adapted, create_loader
from torngas_aio.template.tornado_loader import TornadoTemplateLoader


async def test_a_plain_tornado_loader_is_brought_under_the_contract(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{{ a }}{% block b %}{% end %}")
    loader = adapted(Loader(str(tmp_path)))
    template = await loader.fetch("page.html")
    assert await template.render({"a": "<"}) == b"&lt;"
    assert await asyncio.to_thread(lambda: template.generate(a=1)) == b"1"
    with pytest.raises(ArgumentError, match="no blocks"):
        await template.render_block("b", {})
    loader.reset()
    assert loader.find("page.html") is None
    assert adapted(loader) is loader


@pytest.mark.parametrize("engine", ["nowhere.Loader", "torngas_aio.template.jinja2_loader.Nope", "json.dumps"])
def test_an_engine_that_is_none_is_told(engine: str) -> None:
    with pytest.raises(ConfigError, match="template_engine"):
        create_loader({"template_engine": engine}, "x")


def test_an_engine_may_be_given_as_a_class() -> None:
    assert isinstance(create_loader({"template_engine": TornadoTemplateLoader}, "x"), TornadoTemplateLoader)
