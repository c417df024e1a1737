"""Projects of torngas 1.8 and of Tornado 4 are ported, start, and answer as before; a second run changes nothing."""

# ruff: noqa: E501  the texts of files
import re
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.port.trees import TREES
from tests.services.redis import RedisServer
from tests.webserver.project import Project
from torngas_aio.cli import main
from torngas_aio.cli.port import kinds
from torngas_aio.cli.port.findings import CODES

DOCS = Path(__file__).parents[3] / "docs"

PAGES = {
    "blog": [
        ("/admin/", "posts=0 unseen"),
        ("/admin/write/?title=one", "saved"),
        ("/admin/write/?title=two", "saved"),
        ("/", "1: two, one"),
        ("/post/1", "one"),
        ("/admin/remove/1", "removed"),
        ("/post/1", "404 no post"),
        ("/admin/", "posts=1"),
    ],
    "site": [("/push/?text=one", "pushed 1"), ("/push/?text=two", "pushed 2"), ("/", "two, one")],
    "game": [
        ("/", "none"),
        ("/walk/?player=ann&steps=2", "ann at 2"),
        ("/walk/?player=ann", "ann at 3"),
        ("/?banned=1", "403 banned"),
        ("/", "ann"),
        ("/moves/", "2"),
    ],
}


def make(folder: Path, name: str, redis_port: int = 0) -> Project:
    project = Project(folder / name)
    for path, text in TREES[name].items():
        project.write(path, text.removeprefix("\n").replace("REDIS_PORT", str(redis_port)))
    return project


def answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as exc:
        return f"{exc.code} {exc.read().decode()}"


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py")}


def port(project: Project, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["port", str(project.path), "--write", *options]) == 0
    return capsys.readouterr().out


def ported(folder: Path, capsys: pytest.CaptureFixture[str], text: str, *options: str) -> str:
    """Return the file that *text* becomes."""
    project = Project(folder)
    path = project.write("app.py", text)
    port(project, capsys, *options)
    return path.read_text()


@pytest.mark.parametrize("name", ["blog", "game"])
@pytest.mark.timeout(120)
def test_a_ported_project_is_checked_starts_and_answers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _answers(make(tmp_path, name), name, capsys)


@pytest.mark.redis
@pytest.mark.timeout(120)
def test_a_site_with_redis_lists_and_its_cron_script(
    redis_server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make(tmp_path, "site", redis_server.port)
    _answers(project, "site", capsys)
    done = project.run("cron/report.py")
    assert (done.returncode, done.stdout.split("\n")[:3]) == (0, ["from cron", "two", "one"]), done.stderr


def _answers(project: Project, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = port(project, capsys)
    lines = int(re.search(r"(\d+) lines", report)[1])  # type: ignore[index]
    assert int(re.search(r"(\d+) places", report)[1]) <= max(1, lines / 150)  # type: ignore[index]
    once = contents(project.path)
    port(project, capsys)
    assert contents(project.path) == once
    checked = project.run("-m", "torngas_aio", "check", "--settings=settings.setting")
    assert checked.returncode == 0, checked.stderr
    with project.serve("--port=0", "--address=127.0.0.1") as server:
        for path, expected in PAGES[name]:
            assert answer(server.address + path).strip() == expected, (path, server.log)
    assert "never awaited" not in server.log


@pytest.mark.timeout(120)
def test_a_tornado_project_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: int) -> None:
    project = make(tmp_path, "tornado")
    assert "0 places" in port(project, capsys)
    with subprocess.Popen(
        [sys.executable, "runserver.py", f"--port={free_port}"], cwd=project.path, env=project.environment()
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    assert answer(f"http://127.0.0.1:{free_port}/") == "3"
                    break
                except OSError:
                    time.sleep(0.1)
            assert answer(f"http://127.0.0.1:{free_port}/plain") == "plain"
        finally:
            process.kill()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_nothing_is_written_without_being_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(tmp_path, "blog")
    before = contents(project.path)
    assert main(["port", str(project.path)]) == 0
    out = capsys.readouterr().out
    assert "--- a/blog/models.py\n+++ b/blog/models.py\n" in out
    assert "+    async def save(self):" in out
    assert contents(project.path) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import torngas\ntorngas.run()\n", "import torngas_aio\ntorngas_aio.run()\n"),
        ("import torngas as t\n", "import torngas_aio as t\n"),
        ("from torngas.cache import (\n    caches,\n)\n", "from torngas_aio.cache import (\n    caches,\n)\n"),
        ("X = ['!torngas.middleware.session.SessionMiddleware']\n", "X = ['!torngas_aio.middleware.session.SessionMiddleware']\n"),
        ("L = 'torngas.accesslog'\n", "L = 'torngas_aio.accesslog'\n"),
    ],
)  # fmt: skip
def test_names_are_renamed(before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ported(tmp_path, capsys, before) == after


@pytest.mark.parametrize(
    "text",
    [
        "U = 'http://torngas.example/torngas.cache'\n",
        "F = 'torngas.log'\n",
        "T = 'torngas is a framework'\n",
        "import torngas_aio\n",
        "import torngasx\n",
        "cache = {}\ncache.get('a')\n",
        "import requests\n\n\ndef load():\n    return requests.get('a').all()\n",
    ],
)
def test_what_is_no_name_stays(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ported(tmp_path, capsys, text) == text


CACHE = "from torngas_aio.cache import cache\n\n\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f():\n    return cache.get('a').b\n", "async def f():\n    return (await cache.get('a')).b\n"),
        ("def f():\n    return 'é', cache.get('a')[0]\n", "async def f():\n    return 'é', (await cache.get('a'))[0]\n"),
        ("def f():\n    return 'a' not in cache\n", "async def f():\n    return not await cache.has_key('a')\n"),
        (
            "def g():\n    return f()\n\n\ndef f():\n    cache.set('a', 1)\n",
            "async def g():\n    return await f()\n\n\nasync def f():\n    await cache.set('a', 1)\n",
        ),
        (
            "class A:\n    def f(self):\n        cache.set('a', 1)\n\n    def g(self):\n        self.f()\n",
            "class A:\n    async def f(self):\n        await cache.set('a', 1)\n\n    async def g(self):\n        await self.f()\n",
        ),
        (
            "def f(names):\n    return [cache.get(name) for name in names]\n",
            "async def f(names):\n    return [await cache.get(name) for name in names]\n",
        ),
        ("def f():\n    cache.set('a', cache.get('b'))\n", "async def f():\n    await cache.set('a', await cache.get('b'))\n"),
    ],
)  # fmt: skip
def test_calls_that_wait_are_awaited(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ported(tmp_path, capsys, CACHE + before) == CACHE + after


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        (
            {"store.py": "from torngas.cache.backends.rediscache import *\n\nclient = RedisClient('127.0.0.1:6379', {})\n\n\ndef push(x):\n    return client._client.lpush('a', x)\n"},
            "store.py",
            "async def push(x):\n    return await client._client.lpush('a', x)\n",
        ),
        (
            {"store.py": "from torngas.cache.backends.localcache import *\n\ncache = LocMemCache('a', {})\n\n\ndef put(x):\n    cache.set('a', x)\n"},
            "store.py",
            "async def put(x):\n    await cache.set('a', x)\n",
        ),
        (
            {
                "base.py": CACHE + "def load():\n    return cache.get('a')\n",
                "middle.py": "from base import *\nfrom app import *\n",
                "app.py": "from middle import *\n\n\ndef f():\n    return load()\n",
            },
            "app.py",
            "async def f():\n    return await load()\n",
        ),
        (
            {
                "base.py": "from torngas.handler import *\n\n\nclass Base(WebHandler):\n    def load(self):\n        return self.render_string('a')\n",
                "app.py": "from base import *\n\n\nclass A(Base):\n    def get(self):\n        self.finish(self.load())\n",
            },
            "app.py",
            "    async def get(self):\n        self.finish(await self.load())\n",
        ),
        (
            {"one.py": "from two import *\n\n\ndef f():\n    return g()\n", "two.py": "from one import *\n\n\ndef g():\n    return f()\n"},
            "one.py",
            "def f():\n    return g()\n",
        ),
    ],
)  # fmt: skip
def test_names_are_followed_through_star_imports(
    files: dict[str, str], path: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    for name, text in files.items():
        project.write(name, text)
    port(project, capsys)
    assert (project.path / path).read_text().endswith(f"\n{expected}")


def test_a_tornado_project_keeps_its_own_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ported(
        tmp_path, capsys,
        "class A(RequestHandler):\n    def get(self):\n        self.session.save()\n        self.write(self.render_string('a'))\n",
    )  # fmt: skip
    assert "await" not in made


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("len(a) / 2", "len(a) // 2"),
        ("(len(a) + 1) / len(b)", "(len(a) + 1) // len(b)"),
        ("int(a) / -(3)", "int(a) // -(3)"),
        ("100 / len(a) / 2", "100 // len(a) // 2"),
        ("len(a) / 2.0", "len(a) / 2.0"),
        ("a / 2", "a / 2"),
    ],
)
def test_python_2_divides_integers_into_integers(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ported(tmp_path / "a", capsys, f"print 'é', {before}\n") == f"print('é', {after})\n"
    future = f"from __future__ import division\nprint 'é', {before}\n"
    assert ported(tmp_path / "b", capsys, future).lstrip() == f"print('é', {before})\n"
    assert ported(tmp_path / "c", capsys, f"x = {before}\n") == f"x = {before}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = yield pool.submit(f, 1)", "x = await wrap_future(pool.submit(f, 1))"),
        ("y = self.pool.submit(f)\n    x = yield y", "y = self.pool.submit(f)\n    x = await wrap_future(y)"),
        ("raise gen.Return((yield pool.submit(f)))", "return await wrap_future(pool.submit(f))"),
        ("x = yield [pool.submit(f), g()]", "x = await multi([pool.submit(f), g()])"),
        ("x = yield g()", "x = await g()"),
    ],
)
def test_futures_of_thread_pools_are_awaited_through_asyncio(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"from tornado import gen\n\n\n@gen.coroutine\ndef load(self):\n    {before}\n")
    assert made.endswith(f"async def load(self):\n    {after}\n")
    assert made.count("import wrap_future") == after.count("wrap_future(")


@pytest.mark.parametrize(
    "body",
    [
        "self.render('a.html')",
        "if self.a:\n            self.redirect('/')\n        else:\n            self.finish('a')",
        "if self.a:\n            raise HTTPError(404)\n        else:\n            return self.send_error(403)",
    ],
)
def test_a_method_that_answers_itself_has_no_callback(
    body: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write(
        "app.py", f"class A(RequestHandler):\n    @tornado.web.asynchronous\n    def get(self):\n        {body}\n"
    )
    assert "0 places" in port(project, capsys)


@pytest.mark.parametrize(("call", "count"), [("urllib.urlencode({})", 0), ("urllib.urlopen('http://a')", 1)])
def test_only_the_part_of_urllib_that_waits_is_reported(
    call: str, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("app.py", f"import urllib\n\n\nclass A(RequestHandler):\n    def get(self):\n        print {call}\n")
    assert port(project, capsys).count(": TGM304") == count


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("TGM101", "def (:\n"),
        ("TGM201", CACHE + "class A:\n    def save(self): cache.set('a', 1)\n\nclass B:\n    def save(self): pass\n\ndef f(x):\n    x.save()\n"),
        ("TGM202", CACHE + "class A:\n    def __init__(self):\n        cache.get('a')\n"),
        ("TGM202", CACHE + "class A:\n    @property\n    def a(self):\n        return cache.get('a')\n"),
        ("TGM202", CACHE + "f = lambda: cache.get('a')\n"),
        ("TGM202", CACHE + "def f(x):\n    return cache.get(x)\n\nsorted([], key=f)\n"),
        ("TGM202", CACHE + "def f():\n    yield cache.get('x')\n"),
        ("TGM202", "from torngas.db.basedb import database\n\ndb = database(db='a')\n\n\ndef f(path):\n    with open(path) as g, db.transaction():\n        pass\n"),
        ("TGM203", CACHE + "X = cache.get('a')\n\n\ndef f():\n    return X\n\n\ndef g():\n    pass\n"),
        ("TGM301", "def f(self):\n    return self.get_secure_cookie('a') == 'b'\n"),
        ("TGM301", "def f(self):\n    return self.request.arguments['a']\n"),
        ("TGM301", "from torngas.cache import caches\n\nr = caches['r'].client\n\n\ndef f():\n    return ', '.join(r.lrange('a', 0, 9))\n"),
        ("TGM301", "from torngas.cache import caches\n\n\ndef f():\n    return caches['r'].client.hgetall('a')\n"),
        ("TGM302", "def logged(method):\n    def wrapper(self):\n        method(self)\n    return wrapper\n\n\nclass A(WebHandler):\n    @logged\n    def get(self):\n        pass\n"),
        ("TGM303", "class M:\n    def process_request(self, handler, clear):\n        self.a = 1\n"),
        ("TGM304", "import time\n\n\nclass A(WebHandler):\n    def get(self):\n        time.sleep(1)\n"),
        ("TGM304", "import requests\n\n\nclass A(WebHandler):\n    pass\n"),
        ("TGM305", "posts = relationship('Post')\n"),
        ("TGM306", "async def f():\n    await gather(A.Q.all(), B.Q.all())\n"),
        ("TGM307", "def f(self):\n    self.session['a'] = (1, 2)\n"),
        ("TGM308", "def f(x):\n    my_cache.set('a', 1, timeout=0)\n"),
        ("TGM309", "INSTALLED_APPS = ()\n"),
        ("TGM309", "DEBUG = True\nINSTALLED_APPS = ()\nTRANSLATIONS_CONF = {'use_accept_language': True}\n"),
        ("TGM309", "DEBUG = True\nINSTALLED_APPS = ()\nCACHES = {'r': {'BACKEND': 'torngas.cache.backends.rediscache.RedisCache', 'LOCATION': '127.0.0.1:6379'}}\n"),
        ("TGM310", "def f(self):\n    return self.get_argument('a').decode('utf-8')\n"),
        ("TGM310", "def f(self):\n    a = self.get_cookie('a').strip()\n    return a.decode('utf-8')\n"),
        ("TGM310", "def f(self):\n    return [a.decode('utf-8') for a in self.get_arguments('a')]\n"),
        ("TGM310", "class A(RequestHandler):\n    def get(self, name):\n        name = name.decode('utf-8')\n"),
        ("TGM310", "print '%s: %s'.decode('utf-8') % (1, 2)\n"),
        ("TGM310", "def f(self):\n    return (self.request.path + '?').decode('utf8'), 1\n"),
        ("TGM310", "with open('a') as f:\n    for line in f:\n        print line\n    a = f.read().decode('utf-8')\n"),
        ("TGM310", "import sys\na = sys.argv[1].decode('utf-8')\n"),
        ("TGM310", "def f(a):\n    return a.encode('hex')\n"),
        ("TGM401", "from tornado import gen\n\n\n@gen.coroutine\ndef f(c):\n    yield gen.Task(c.get, 'a')\n"),
        ("TGM401", "from tornado.gen import coroutine, Task\n\n\n@coroutine\ndef f(c):\n    a = yield Task(c.get, 'a')\n"),
        ("TGM401", "from sqlalchemy import x\n\n\ndef f(client, b):\n    client.fetch('http://a', print)\n    Q.filter('a = 1')\n    X.Q.filter('a = 1')\n"),
        ("TGM401", "def f(client):\n    client.fetch('http://a', callback=print)\n"),
        ("TGM401", "from tornado import stack_context\n"),
        ("TGM401", "from tornado.stack_context import wrap\n"),
        ("TGM401", "import tornadoredis\n"),
        ("TGM401", "import os, toredis.client\n"),
        ("TGM402", "class A(RequestHandler):\n    @tornado.web.asynchronous\n    def get(self):\n        pass\n"),
        ("TGM402", "class A(RequestHandler):\n    @tornado.web.asynchronous\n    def get(self):\n        if self.a:\n            self.finish()\n"),
    ],
)  # fmt: skip
def test_what_is_left_to_do_is_reported(
    code: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("app.py", text)
    first = port(project, capsys)
    assert re.search(rf"^app\.py:\d+: {code} ", first, re.MULTILINE)
    written = contents(project.path)
    assert listed(port(project, capsys)) == listed(first)
    assert contents(project.path) == written


def listed(report: str) -> list[str]:
    """Return the lines of a report that say what is left to do."""
    return re.findall(r"(?m)^\S+:\d+: TGM.*", report)


@pytest.mark.parametrize("name", ["blog", "site", "game"])
def test_a_second_run_lists_what_is_left(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(tmp_path, name)
    first = port(project, capsys)
    written = contents(project.path)
    assert listed(port(project, capsys)) == listed(first)
    assert contents(project.path) == written


def test_a_bare_yield_gives_way_to_the_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ported(tmp_path, capsys, "from tornado import gen\n\n\n@gen.coroutine\ndef f():\n    yield\n")
    assert made.endswith("import asyncio\n\n\nasync def f():\n    await asyncio.sleep(0)\n")


def test_templates_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write("templates/a.html", "<p>\n{{ cache.get('a') }}</p>")
    assert "templates/a.html:2: TGM204" in port(project, capsys)


def test_an_uncommitted_tree_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(tmp_path, "game")
    subprocess.run(["git", "init", "-q"], cwd=project.path, check=True)
    before = contents(project.path)
    assert main(["port", str(project.path), "--write"]) == 1
    assert "--force" in capsys.readouterr().err
    assert contents(project.path) == before
    assert main(["port", str(project.path), "--write", "--force"]) == 0
    assert contents(project.path) != before


def test_modes_are_kept_and_links_are_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("import torngas\n")
    project = Project(tmp_path / "project")
    path = project.write("run.py", "import torngas\n")
    path.chmod(0o750)
    (project.path / "link.py").symlink_to(outside)
    (project.path / "folder").symlink_to(tmp_path)
    port(project, capsys)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("import torngas_aio\n", 0o750)
    assert outside.read_text() == "import torngas\n"
    assert sorted(each.name for each in project.path.iterdir()) == ["folder", "link.py", "run.py"]


def test_line_ends_and_encodings_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_bytes("# coding: gbk\r\nimport torngas\r\nx = '你好'\r\n".encode("gbk"))
    port(Project(tmp_path), capsys)
    assert (tmp_path / "a.py").read_bytes() == "# coding: gbk\r\nimport torngas_aio\r\nx = '你好'\r\n".encode("gbk")


def test_a_file_that_cannot_be_replaced_stays_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    path = project.write("app.py", "import torngas\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert main(["port", str(project.path), "--write"]) == 1
    assert "app.py: No space left on device" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["app.py"]
    assert path.read_text() == "import torngas\n"


def test_one_line_of_python_2_makes_a_file_python_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where Python 3 would read it, with another meaning."""
    before = "import sys\nprint >>sys.stderr, 'a'\n"
    assert ported(tmp_path, capsys, before) == "import sys\nprint('a', file=sys.stderr)\n"


def test_nothing_of_the_project_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nimport torngas\n"
    ported(tmp_path, capsys, text)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["rename", "await", "python2", "coroutines"])
def test_a_change_can_be_left_out(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {
        "rename": "import torngas\n",
        "await": CACHE + "def f():\n    cache.get('a')\n",
        "python2": "print 'a'\n",
        "coroutines": "@gen.coroutine\ndef f():\n    yield g()\n",
    }
    assert ported(tmp_path / "a", capsys, texts[name], f"--skip={name}") == texts[name]
    assert ported(tmp_path / "b", capsys, texts[name]) != texts[name]


@pytest.mark.parametrize("words", [[], ["app"], ["--fake"]])
def test_migrate_asks_which_command_is_meant(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", *words]) == 1
    assert "`torngas-aio db upgrade` or `torngas-aio port`?" in capsys.readouterr().err


def test_every_code_has_a_section() -> None:
    page = (DOCS / "migration/codes.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (TGM\d{3}): (.+)$", page, re.MULTILINE) == list(CODES.items())


def test_the_table_of_methods_is_that_of_the_classes() -> None:
    from torngas_aio.cli.awaits import CLASSES, awaited_methods

    for kind in set(CLASSES) & set(kinds.AWAITED):
        assert kinds.AWAITED[kind] <= awaited_methods(kind), kind


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_thousand_files_take_two_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = "def f{0}(x):\n    y = [x, {0}]\n    return len(y)\n\n\nclass A{0}(object):\n    pass\n\n\n" * 11
    for number in range(5000):
        path = tmp_path / f"p{number % 50}" / f"m{number}.py"
        path.parent.mkdir(exist_ok=True)
        lead = CACHE + f"def g{number}():\n    return cache.get('a')\n\n\n" if number % 10 == 0 else ""
        path.write_text(lead + plain.replace("{0}", str(number)))
    begin = time.monotonic()
    assert "500 changed" in port(Project(tmp_path), capsys)
    assert time.monotonic() - begin < 120
