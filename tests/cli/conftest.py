"""Projects as the current directory, made by startproject or with jobs; what they import is forgotten afterwards."""

import argparse
import importlib
import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.redis import RedisServer
from torngas_aio.cli import main
from torngas_aio.cli.registry import GROUP, _installed
from torngas_aio.exception import ConfigError
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings


def run_worker(site: Path, *awaited: str, queues: str = "") -> None:
    """Run a worker until its output has every word of *awaited*, then stop it."""
    words = [sys.executable, "-m", "torngas_aio", "worker", *([f"--queues={queues}"] if queues else [])]
    worker = subprocess.Popen(words, cwd=site, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert worker.stdout is not None
    missing, seen = set(awaited), ""
    for line in worker.stdout:
        seen += line
        missing = {word for word in missing if word not in line}
        if not missing:
            break
    worker.send_signal(signal.SIGTERM)
    seen += worker.communicate(timeout=40)[0]
    assert not missing, seen
    assert worker.returncode == 0, seen
    assert "The worker has ended." in seen


JOBS = """
from pathlib import Path

from torngas_aio.jobs import job
from torngas_aio.logger import current_request_id

@job(queue="files", timeout=30)
async def write(name: str) -> None:
    Path(name).write_text("done")
    print("WROTE", flush=True)

@job
async def fail() -> None:
    raise ValueError("no such luck")
"""


ENQUEUE = """
from one.jobs import fail, write
await write.enqueue("written")
await fail.enqueue()
"""


@pytest.fixture
def site(directory: Path, redis_server: RedisServer) -> Path:
    """A project with jobs in Redis."""
    (directory / "settings").mkdir()
    prefix = f"cli-{directory.parent.name}-{directory.name}"
    (directory / "settings" / "setting.py").write_text(
        "INSTALLED_APPS = ('one',)\nDEBUG = True\n"
        "JOBS = {'default': {'BACKEND': 'torngas_aio.jobs.redis.RedisJobs', 'LOCATION': "
        f"{redis_server.url!r}, 'OPTIONS': {{'KEY_PREFIX': {prefix!r}}}}}}}\n"
    )
    (directory / "one").mkdir()
    (directory / "one" / "urls.py").write_text("urls = []\n")
    (directory / "one" / "jobs.py").write_text(JOBS)
    (directory / "enqueue.py").write_text(ENQUEUE)
    return directory


class Greet:
    """Say hello to somebody."""

    help = "say hello"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")

    def run(self, arguments: argparse.Namespace) -> None:
        if arguments.name == "nobody":
            raise ConfigError("nobody: there is no one.")
        if arguments.name == "stop":
            raise KeyboardInterrupt
        sys.stdout.write(f"hello {arguments.name}\n")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two more commands, one of them broken, as installed packages would bring them."""
    entries = [
        importlib.metadata.EntryPoint("greet", f"{__name__}:Greet", GROUP),
        importlib.metadata.EntryPoint("broken", "no_such_package:Command", GROUP),
        importlib.metadata.EntryPoint("shapeless", "builtins:int", GROUP),
        importlib.metadata.EntryPoint("routes", "no_such_package:Thief", GROUP),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries if group == GROUP else [])
    _installed.cache_clear()
    yield
    _installed.cache_clear()


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
