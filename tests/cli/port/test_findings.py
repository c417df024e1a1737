"""What is left to do is reported under its code, in Python files and templates."""

# ruff: noqa: E501  the texts of files
import importlib
import re
from pathlib import Path

import pytest

from tests.cli.port.porting import CACHE, contents, listed, port
from tests.webserver.project import Project
from torngas_aio.cli.port.findings import CODES, GONE

DOCS = Path(__file__).parents[3] / "docs"


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
        ("TGM302", "def logged(method):\n    def wrapper(self):\n        method(self)\n    return wrapper\n\n\nclass A(WebHandler):\n    @logged\n    def get(self):\n        pass\n\n\n@logged\ndef plain(x):\n    pass\n"),
        ("TGM302", CACHE + "def logged(method):\n    def wrapper(self):\n        cache.set('a', 1)\n        return method(self)\n    return wrapper\n\n\nclass A(WebHandler):\n    @logged\n    def get(self):\n        pass\n\n\n@logged\ndef plain(x):\n    pass\n"),
        ("TGM303", "class M:\n    def process_request(self, handler, clear):\n        if handler:\n            self.a = 1\n"),
        ("TGM304", "import time\n\n\nclass A(WebHandler):\n    def get(self):\n        time.sleep(1)\n"),
        ("TGM304", "import requests\n\n\nclass A(WebHandler):\n    pass\n"),
        ("TGM305", "posts = relationship('Post')\nx.posts\n"),
        ("TGM305", "posts = relationship('Post', backref=backref('a', lazy='dynamic'))\nx.a\n"),
        ("TGM305", "posts = relationship('Post', lazy='dynamic')\nx.posts\n"),
        ("TGM201", "A.metadata.create_all(session.get_bind(A))\n"),
        ("TGM306", "async def f():\n    await gather(A.Q.all(), B.Q.all())\n"),
        ("TGM308", "def f(x):\n    my_cache.set('a', 1, timeout=0)\n"),
        ("TGM308", "def f(x):\n    caches['a'].set('a', 1, 0)\n"),
        ("TGM302", "class timed(object):\n    def __init__(self, f):\n        self.f = f\n\n    def __get__(self, a, b=None):\n        return partial(self, a)\n\n    def __call__(self, *a):\n        try:\n            return self.f(*a)\n        finally:\n            log(time())\n\n\nclass A(WebHandler):\n    @timed\n    def get(self):\n        pass\n"),
        ("TGM302", "class logged(object):\n    def __init__(self, a):\n        self.a = a\n\n    def __call__(self, f):\n        def wrapper(*a):\n            log(f(*a))\n        return wrapper\n\n\nclass A(WebHandler):\n    @logged('a')\n    def get(self):\n        pass\n"),
        ("TGM312", "class A(object):\n    def __getslice__(self, i, j):\n        return self.a[i:j]\n"),
        ("TGM312", "class A(list):\n    def __setslice__(self, i, j, x):\n        pass\n\n    def __getitem__(self, i):\n        return 1\n"),
        ("TGM309", "INSTALLED_APPS = ()\n"),
        ("TGM309", "DEBUG = True\nINSTALLED_APPS = ()\nTRANSLATIONS_CONF = {'use_accept_language': True}\n"),
        ("TGM309", "DEBUG = True\nINSTALLED_APPS = ()\nCACHES = {'r': {'BACKEND': 'torngas.cache.backends.rediscache.RedisCache', 'LOCATION': '127.0.0.1:6379'}}\n"),
        ("TGM310", "def f(a):\n    return a.encode('string_escape')\n"),
        ("TGM401", "from tornado import gen\n\n\n@gen.coroutine\ndef f(c):\n    yield gen.Task(c.get, 'a')\n"),
        ("TGM401", "from tornado.gen import coroutine, Task\n\n\n@coroutine\ndef f(c):\n    a = yield Task(c.get, 'a')\n"),
        ("TGM401", "from sqlalchemy import x\n\n\ndef f(client, b):\n    client.fetch('http://a', print)\n    Q.filter('a = 1')\n    X.Q.filter('a = 1')\n"),
        ("TGM401", "def f(client):\n    client.fetch('http://a', callback=print)\n"),
        ("TGM311", "def f(a):\n    print a / 2\n"),
        ("TGM401", "from tornado import gen\n\n\n@gen.engine\ndef f(c):\n    a, b = yield [gen.Task(c.get, 'a'), gen.Task(c.get, 'b')]\n"),
        ("TGM201", "from torngas.cache import caches\n\n\ndef f():\n    return list(caches['r'].client.zscan_iter('a'))\n"),
        ("TGM313", "from torngas.cache import caches\n\n\ndef f(a: str, b: str):\n    caches['r'].client.zincrby('a', a, b)\n"),
        ("TGM313", "from torngas.cache import caches\n\n\ndef f():\n    p = caches['r'].client.pipeline()\n    p.zadd('a', *b)\n    p.execute()\n"),
        ("TGM403", "from torngas.webserver import Server\n\nPeriodicCallback(tick, 1000).start()\nServer().load_all()\n"),
        ("TGM403", "from torngas.webserver import run\n\nIOLoop.instance().add_callback(load)\nrun()\n"),
        ("TGM401", "def f(self):\n    self.flush(callback=self.more)\n"),
        ("TGM401", "def f(client, *given):\n    client.fetch(*given)\n"),
        ("TGM401", "from tornado import gen\n\n\ndef f(made):\n    gen.Runner(made, print).run()\n"),
        ("TGM401", "from tornado.gen import Runner\n"),
        ("TGM201", "from torngas.cache import cache\n\n\ndef g(c, k):\n    return c.get(k)\n\n\ndef f(k):\n    return g(cache, k), g({}, k)\n"),
        ("TGM201", "from torngas.cache import cache\n\n\ndef g(c, k):\n    return k in c\n\n\ndef f(k):\n    given = {k: 1}\n    return g(c=cache, k=k), g(c=given, k=k)\n"),
        ("TGM201", "from torngas.cache import cache\n\n\nclass A(object):\n    def __init__(self, c):\n        self.c = c\n\n    def f(self):\n        self.c.clear()\n\n\nA(cache)\nA([])\n"),
        ("TGM201", "from torngas.cache import cache\n\n\nclass A(object):\n    def close(self):\n        cache.clear()\n\n\ndef f(a):\n    a.close()\n"),
        ("TGM401", "def f(stream, on_line):\n    stream.read_until(b'a', on_line)\n"),
        ("TGM401", "def f(self):\n    self.stream.read_bytes(4, functools.partial(self.on_head, 1))\n"),
        ("TGM401", "def f(self):\n    self._stream.write(b'a', self.on_sent)\n"),
        ("TGM401", "def f(stream):\n    stream.read_until_close(lambda data: None)\n"),
        ("TGM304", "from tornado.httpclient import HTTPClient\n\n\nclass A(WebHandler):\n    def get(self):\n        HTTPClient().fetch('http://a')\n"),
        ("TGM305", "posts = relationship('Post', lazy='select')\nx.posts\n"),
        ("TGM401", "from tornado.concurrent import Future, return_future\n"),
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


@pytest.mark.parametrize(
    "text",
    [
        "def f(self):\n    return self.get_secure_cookie('a').decode()\n",
        "def f(self):\n    return json.loads(self.request.body)\n",
        "async def f(client):\n    a, b = await client.fetch('http://a'), 1\n    body = b\n    return body.x\n",
        "class A(RequestHandler):\n    @run_on_executor\n    def work(self):\n        time.sleep(1)\n",
        "class M:\n    def process_response(self, handler, clear, chunk):\n        handler.set_header('X', str(len(chunk)))\n        chunk[0] = chunk[0].replace(b'a', b'b')\n",
        "class M:\n    def process_init(self, application):\n        self.a = []\n\n    def process_endcall(self, handler, clear):\n        self.a = self.a[1:]\n",
        "PeriodicCallback(tick, 1000).start()\nIOLoop.instance().start()\n",
        "def f(names):\n    names.zadd('a', 'b', 1)\n",
        "def f(telnet, path, out, seconds):\n    telnet.read_until(b'a', 3)\n    path.read_bytes()\n    out.write('a', seconds)\n",
        "def cmp(a, b):\n    return 0\n\n\ncmp(1, 2)\n",
        "b.sort(key=len)\nsorted(b)\n",
        "def f(e):\n    return e.text, message.message\n",
        "def f():\n    cache.set('a', 0, 60)\n    cache.incr('a', 0)\n    names.set('a', 1, 0)\n",
        "class kept(object):\n    def __init__(self, f):\n        self.f = f\n\n    def __call__(self, *a):\n        return self.f(*a)\n\n\nclass A(WebHandler):\n    @kept\n    def get(self):\n        pass\n",
        "class timed(object):\n    def __init__(self, f):\n        self.f = f\n\n    def __call__(self, *a):\n        log(self.f(*a))\n\n\n@timed\ndef plain():\n    pass\n",
        "class A(object):\n    def __getslice__(self, i, j):\n        return self[slice(i, j)]\n\n    def __getitem__(self, i):\n        return self.a[i] if isinstance(i, slice) else 1\n",
    ],
)  # fmt: skip
def test_what_is_mended_is_not_listed(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write("app.py", text)
    assert listed(port(project, capsys)) == []


def test_a_relationship_is_told_with_the_places_that_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    text = "class A(Model):\n    b = relationship('B', backref='a')\n    c = relationship('C', backref=backref('d', lazy='joined'))\n"
    project.write("models.py", text)
    assert listed(port(project, capsys)) == []
    project.write("app.py", "def f(x):\n    x.b.append(1)\n    x.d = 1\n    return x.e, x.b\n")
    project.write("templates/a.html", "<p>\n{% for y in x.b %}{{ y.a.name }}{% end %} y.c\n")
    report = listed(port(project, capsys))
    assert [line.partition("cannot")[0] for line in report] == ["models.py:2: TGM305 `.b`, `.a` "]
    assert report[0].endswith("Read at app.py:2, app.py:4, templates/a.html:2, templates/a.html:2.")


def test_names_that_tornado_6_lacks_are_told_each() -> None:
    for name in GONE:
        module, _, last = name.rpartition(".")
        if module.startswith("tornado") and last != "Runner":  # which takes other arguments
            assert not hasattr(importlib.import_module(module), last), name


def test_templates_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write("templates/a.html", "<p>\n{{ cache.get('a') }}</p>")
    assert "templates/a.html:2: TGM204" in port(project, capsys)


def test_what_waits_in_a_start_script_is_told_where_to_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    project.write(
        "start.py",
        "from torngas.webserver import Server\nfrom torngas.cache import cache\n\nserver = Server()\nserver.load_all()\nimport os\nX = cache.get('a')\n\n\ndef f():\n    pass\n\n\nserver.start()\n",
    )
    (found,) = listed(port(project, capsys))
    assert "TGM203" in found
    assert "process_init" in found


def test_every_code_has_a_section() -> None:
    page = (DOCS / "migration/codes.md").read_text(encoding="utf-8")
    found = re.findall(r"^## (TGM\d{3}): (.+)$", page, re.MULTILINE)
    assert found == list(CODES.items()), "docs/migration/codes.md: one '## TGM...: title' for each of CODES, in order"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("DEBUG = 1\nTORNADO_CONF = {}\nCACHES = {'a': {'BACKEND': 'a.Redis'}}\nTRANSLATIONS_CONF = {}\n", [2, 3, 4]),
        ("SESSION = {'secret_key': 'a'}\n", []),
    ],
)  # fmt: skip
def test_settings_are_told_at_their_lines(
    text: str, lines: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("app.py", text)
    found = [line.split(":") for line in listed(port(project, capsys))]
    assert [int(number) for _, number, code, *_ in found if code.startswith(" TGM309")] == lines
