"""A project that startproject has made, as the current directory; what it imported is forgotten afterwards."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torngas_aio.cli import main
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory to work in; modules imported from it do not outlive the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(ENVIRONMENT_NAME, "")
    before = set(sys.modules)
    yield tmp_path
    settings.reset()
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]  # a namespace has no file
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def project(directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A fresh project named `site`, as the current directory."""
    assert main(["startproject", "site-one"]) == 0
    capsys.readouterr()
    os.chdir(directory / "site-one")  # monkeypatch.chdir of `directory` undoes it
    sys.path[:] = [entry for entry in sys.path if entry != str(directory)]
    return directory / "site-one"


MANY_URLS = """
from tornado.web import RequestHandler
from torngas_aio import Url, include, route
from torngas_aio.handler import WebHandler

class Plain(RequestHandler):
    pass

class Ours(WebHandler):
    pass

url = Url()
inner = route(url(r"/([0-9]+)", Ours, name="one"), url(r"/all/?", Ours, name="all"))
urls = route(
    url(r"/", Ours, name="index"),
    include(r"/things", inner, "thing"),
    url(r"/plain", Plain, name="plain"),
    url(r"([a-z/]*)", Ours, name="open"),
)
"""


WATCH = """
class Watch:
    async def process_init(self, application): pass
    async def process_call(self, request, clear): pass
    async def process_request(self, handler, clear): pass
    async def process_render(self, handler, clear, template_name, **kwargs): pass
    async def process_endcall(self, handler, clear): pass
    async def process_exception(self, handler, clear, typ, value, tb): pass
    async def process_shutdown(self, application): pass
"""


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def many(project: Path) -> Path:
    """The project with more routes, one more middleware, and a module chosen by path."""
    (project / "home/urls.py").write_text(MANY_URLS)
    (project / "middlewares/watch.py").write_text(WATCH)
    setting = project / "settings/setting.py"
    edit(setting, '"middlewares.timing', '"middlewares.watch.Watch",\n    "middlewares.timing')
    edit(setting, 'COMMON_MODULES = ("httpmodules.nostore.NoStoreModule",)', "COMMON_MODULES = ()")
    edit(setting, 'ROUTE_MODULES = {"index": ["!', 'ROUTE_MODULES = {"^/things/[0-9]": ["')
    return project
