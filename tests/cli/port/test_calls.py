"""Which functions wait, followed through the files of a project."""

# ruff: noqa: E501  the texts of files
from pathlib import Path

import pytest

from tests.cli.port.porting import CACHE, listed, port, ported
from tests.webserver.project import Project
from torngas_aio.handler.web import PLAIN_METHODS


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
        "from tornado.web import RequestHandler\n\n\nclass A(RequestHandler):\n    def get(self):\n        self.session.save()\n        self.write(self.render_string('a'))\n",
    )  # fmt: skip
    assert "await" not in made


MODELS = (
    "from torngas.db.dbalchemy import Model\n\n\nclass Base(Model):\n    def remove(self):\n        self.session.delete(self)\n"
    "\n    @classmethod\n    def by_id(cls, ident):\n        return cls.Q.get(ident)\n\n\nclass Post(Base):\n    pass\n"
    "\n\nclass Plain(object):\n    def remove(self):\n        pass\n\n\n"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = Post.by_id(1)\n    x.remove()", "x = await Post.by_id(1)\n    await x.remove()"),
        ("Post.Q.filter(Post.id == 1).first().remove()", "await (await Post.Q.filter(Post.id == 1).first()).remove()"),
        ("for x in Post.Q.all():\n        x.remove()", "for x in await Post.Q.all():\n        await x.remove()"),
        ("for x in Post.Q.limit(1):\n        x.remove()", "for x in await Post.Q.limit(1).all():\n        await x.remove()"),
        ("[x.remove() for x in Post.Q.all()]", "[await x.remove() for x in await Post.Q.all()]"),
        ("p = Post.Q.paginate(1)\n    for x in p.items:\n        x.remove()", "p = await Post.Q.paginate(1)\n    for x in p.items:\n        await x.remove()"),
        ("x = Plain()\n    x.remove()\n    Post.Q.first()", "x = Plain()\n    x.remove()\n    await Post.Q.first()"),
    ],
)  # fmt: skip
def test_what_a_query_gives_is_of_its_model(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"{MODELS}def f():\n    {before}\n")
    assert made.endswith(f"async def f():\n    {after}\n")
    assert "await self.session.delete(self)" in made


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("with r.pipeline() as p:\n        p.incr('a')\n        p.execute()", "async with r.pipeline() as p:\n        p.incr('a')\n        await p.execute()"),
        ("with r.lock('a'):\n        r.incr('a')", "async with r.lock('a'):\n        await r.incr('a')"),
        ("t = db.transaction()\n    t.commit()", "t = await db.transaction()\n    await t.commit()"),
        ("with db.transaction() as t:\n        t.rollback()", "async with db.transaction() as t:\n        await t.rollback()"),
        ("if (n := r.llen('a')) > 1:\n        n.commit()", "if (n := await r.llen('a')) > 1:\n        n.commit()"),
    ],
)  # fmt: skip
def test_what_is_opened_waits_as_a_whole(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = (
        "from torngas.cache import caches\nfrom torngas.db.basedb import database\n\n"
        "r = caches['r'].client\ndb = database(dbn='sqlite', db='a')\n\n\n"
    )
    made = ported(tmp_path, capsys, f"{head}def f():\n    {before}\n")
    assert made.endswith(f"async def f():\n    {after}\n")


LOGGED = "def logged(method):\n    def wrapper(self):\n        result = method(self)\n        return result\n    return wrapper\n"

FACTORY = "def named(name):\n    def decorator(method):\n        def wrapper(self):\n            return method(self)\n        return wrapper\n    return decorator\n"

PAGE = "\n\nclass A(WebHandler):\n    @%s\n    def get(self):\n        pass\n"


@pytest.mark.parametrize(
    ("text", "wrapper"),
    [
        (LOGGED + PAGE % "logged", "    async def wrapper(self):\n        result = await method(self)\n"),
        (FACTORY + PAGE % "named('a')", "        async def wrapper(self):\n            return await method(self)\n"),
    ],
)
def test_wrappers_await_what_waits_in_every_case(
    text: str, wrapper: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrapper in ported(tmp_path / "a", capsys, text)
    mixed = text + f"\n\n@{'logged' if 'logged' in text else 'named(1)'}\ndef plain(x):\n    pass\n"
    assert "async def wrapper" not in ported(tmp_path / "b", capsys, mixed)


def test_hooks_after_the_response_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ported(
        tmp_path, capsys,
        CACHE + "class A(WebHandler):\n    def complete_finish(self):\n        cache.set('a', 1)\n"
        "    def initialize(self):\n        pass\n",
    )  # fmt: skip
    assert "    async def complete_finish(self):\n        await cache.set('a', 1)\n    def initialize" in made


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>{{ len(room.members()) }}", "<p>{{ len((await room.members())) }}"),
        ("{% for a in room.members() %}", "{% for a in (await room.members()) %}"),
        ("<p>{{ shown(1).b }}", "<p>{{ (await shown(1)).b }}"),
        ("<p>{{ len(await room.members()) }}", "<p>{{ len(await room.members()) }}"),
        ("% for a in room.members():", "% for a in awaited(room.members()):"),
        ("% for a in awaited(room.members()):", "% for a in awaited(room.members()):"),
        ("<p>{{ room.name() }} {{ members }}", "<p>{{ room.name() }} {{ members }}"),
        ("<p>{{ f(lambda: shown(1)) }}", None),
        ("<p>{{- shown(1) -}}", None),
    ],
)
def test_templates_await_what_waits(
    before: str, after: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    path = project.write("templates/a.html", f"{before}\n")
    project.write(
        "app.py", CACHE + "class Room(object):\n    def members(self):\n        return cache.get('a')\n"
        "    def name(self):\n        return 1\n\n\ndef shown(x):\n    return cache.get(x)\n"
        "\n\nclass A(WebHandler):\n    def get(self):\n        self.render('a.html', room=Room(), shown=shown)\n",
    )  # fmt: skip
    report = port(project, capsys)
    assert path.read_text() == f"{after or before}\n"
    assert ("TGM204" in report) is (after is None)
    assert ("TGM204" in port(project, capsys)) is (after is None)
    assert path.read_text() == f"{after or before}\n"


REDIS = "from torngas.cache import caches\n\nr = caches['r'].client\n\n\ndef f(self):\n    "


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return ', '.join(r.lrange('a', 0, 9))", "return ', '.join(recursive_unicode(await r.lrange('a', 0, 9)))"),
        ("return r.get('a') == 'b'", "return recursive_unicode(await r.get('a')) == 'b'"),
        ("return 'a' in r.smembers('b')", "return 'a' in set(recursive_unicode(list(await r.smembers('b'))))"),
        ("return pickle.loads(r.get('a'))", "return pickle.loads(await r.get('a'))"),
        ("return r.get('a').decode('utf-8')", "return to_unicode(await r.get('a'))"),
        ("r.lpop('a')", "await r.lpop('a')"),
        ("r.zadd('a', b, c)", "await r.zadd('a', {c: b})"),
        ("p = r.pipeline()\n    p.zadd('a', b, c)", "p = r.pipeline()\n    p.zadd('a', {c: b})"),
        ("r.zadd('a', r.llen('b'), c)", "await r.zadd('a', {c: await r.llen('b')})"),
        ("r.setex('a', 60, b)\n    r.lrem('a', 0, b)", "await r.setex('a', 60, b)\n    await r.lrem('a', 0, b)"),
    ],
)
def test_a_redis_client_gives_text_and_takes_arguments_as_in_python_2(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    project.write("old.py", "print 1\n")
    path = project.write("app.py", f"{REDIS}{before}\n")
    assert "0 places" in port(project, capsys)
    made = path.read_text()
    assert made.endswith(f"def f(self):\n    {after}\n")
    assert "0 places" in port(project, capsys)
    assert path.read_text() == made


def test_a_redis_client_of_a_python_3_project_gave_bytes_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"{REDIS}return r.get('a').x\n\n\ndef g(x: int):\n    pass\n")
    assert "return (await r.get('a')).x" in made


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("dict((a, cache.get(a)) for a in b)", "dict([(a, await cache.get(a)) for a in b])"),
        ("', '.join(cache.get(a) for a in b)", "', '.join([await cache.get(a) for a in b])"),
        ("max((cache.get(a) for a in b), key=len)", "max([await cache.get(a) for a in b], key=len)"),
        ("sum(a for a in cache.get('b'))", "sum(a for a in await cache.get('b'))"),
        ("any(cache.get(a) for c in b for a in c)", "any([await cache.get(a) for c in b for a in c])"),
    ],
)
def test_a_generator_expression_that_waits_becomes_a_list(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"{CACHE}def f(b):\n    return {before}\n")
    assert made.endswith(f"async def f(b):\n    return {after}\n")


def test_a_class_method_is_of_the_class_that_it_is_called_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "from torngas.db.dbalchemy import Model\n\n\nclass Base(Model):\n    @classmethod\n    def by_id(cls, i):\n"
        "        return cls.Q.get(i)\n\n\nclass A(Base):\n    def show(self):\n        return 1\n\n\n"
        "class B(Base):\n    def show(self):\n        return B.Q.count()\n\n\n"
        "def f(key):\n    x = None\n    x = %s.by_id(1)\n    return x.show()\n"
    )
    assert "return x.show()" in ported(tmp_path / "a", capsys, text % "A")
    assert "return await x.show()" in ported(tmp_path / "b", capsys, text % "B")


def test_async_loops_need_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CACHE + (
        "async def rows():\n    yield 1\n\n\nasync def f():\n    client = cache.client\n"
        "    async for key in client.scan_iter('x'):\n        print(key)\n"
        "    return [row async for row in rows()], {key async for key in client.zscan_iter('y')}\n"
    )
    project = Project(tmp_path)
    path = project.write("app.py", text)
    assert "0 places left" in port(project, capsys)
    assert path.read_text() == text


MODEL = "from torngas.db.dbalchemy import Model\n\n\nclass Post(Model):\n    @classmethod\n    def shown(cls):\n        return cls.Q.filter_by(a=1)\n\n\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return sum(g(p) for p in Post.shown())", "return sum(g(p) for p in await Post.shown().all())"),
        ("for p in Post.shown():\n        g(p)", "for p in await Post.shown().all():\n        g(p)"),
        ("rows = Post.Q.order_by(Post.id)[0:2]\n    return rows[0].a", "rows = await Post.Q.order_by(Post.id).slice(0, 2).all()\n    return rows[0].a"),
        ("return Post.shown()[:9][0].a", "return (await Post.shown()[:9])[0].a"),
        ("return x.Q.filter_by(a=1).first()", "return await x.Q.filter_by(a=1).first()"),
        ("return x[:2]", None),
    ],
)  # fmt: skip
def test_queries_are_known_behind_functions_and_parameters(
    before: str, after: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ported(tmp_path, capsys, f"{MODEL}def f(x):\n    {before}\n")
    assert made.endswith(f"async def f(x):\n    {after}\n" if after else f"\ndef f(x):\n    {before}\n")


def test_what_a_property_hands_out_is_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ported(
        tmp_path, capsys,
        MODEL + "from torngas.cache import caches\n\n\nclass Base(WebHandler):\n    @property\n    def db(self):\n"
        "        return Post.session.using_master()\n    @property\n    def cache(self):\n        return caches['default']\n"
        "\n\nclass A(Base):\n    def get(self):\n        self.db.commit()\n        if self.cache.get('a'):\n            pass\n",
    )  # fmt: skip
    assert "        await self.db.commit()\n        if await self.cache.get('a'):\n" in made


@pytest.mark.parametrize(
    ("call", "after"),
    [
        (
            "method = getattr(self, 'do_' + x)\n        method()",
            "method = getattr(self, 'do_' + x)\n        await method()",
        ),
        ("return getattr(self, 'do_%s' % x, None)()", "return await getattr(self, 'do_%s' % x, None)()"),
        ("getattr(self, 'on_' + x)()", "getattr(self, 'on_' + x)()"),
    ],
)
def test_methods_that_are_called_by_name_are_awaited(
    call: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{CACHE}class A(object):\n    def do_a(self):\n        cache.get('a')\n\n    def on_b(self):\n        pass\n\n    def f(self, x):\n        {call}\n"
    assert ported(tmp_path, capsys, text).endswith(f"def f(self, x):\n        {after}\n")


@pytest.mark.parametrize("is_done", [False, True])
def test_a_context_manager_of_a_generator_is_opened_with_async_with(
    is_done: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CACHE + (
        "from contextlib import contextmanager\n\n\n@contextmanager\ndef kept():\n    yield 1\n    cache.set('a', 1)\n"
        "\n\ndef f():\n    with kept() as a:\n        return a\n"
    )
    if is_done:
        text = (
            text.replace("contextmanager", "asynccontextmanager")
            .replace("def kept", "async def kept")
            .replace("cache.set", "await cache.set")
        )
    made = ported(tmp_path, capsys, text)
    assert "@asynccontextmanager\nasync def kept():\n    yield 1\n    await cache.set('a', 1)\n" in made
    assert made.endswith("async def f():\n    async with kept() as a:\n        return a\n")
    assert "import asynccontextmanager\n" in made


def test_what_is_awaited_runs_in_no_thread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"{CACHE}@async_execute\ndef f():\n    return cache.get('a')\n\n\n@async_execute\ndef g():\n    return 1\n"
    made = ported(tmp_path, capsys, text)
    assert made.endswith(
        "\n\n\nasync def f():\n    return await cache.get('a')\n\n\n@async_execute\ndef g():\n    return 1\n"
    )


CACHED = """def cached(seconds):
    def deco(fn):
        def wrapper(*args):
            val = cache.get('k')
            if val is None:
                val = fn(*args)
                cache.set('k', val, seconds)
            return val
        return wrapper
    return deco


@cached(60)
def heavy(n):
    return n * 2


@cached(60)
def known(n):
    return %s


def f():
    return heavy(3), known(4)
"""


@pytest.mark.parametrize(("value", "is_told"), [("cache.get('a')", True), ("1", False)])
def test_calls_of_what_a_wrapper_that_waits_is_around_are_awaited(
    value: str, is_told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    path = project.write("app.py", CACHE + CACHED % value)
    assert ("app.py:9: TGM302" in port(project, capsys)) is is_told
    assert path.read_text().endswith("async def f():\n    return await heavy(3), await known(4)\n")
    assert "\ndef heavy(n)" in path.read_text()


def test_the_user_of_a_request_is_awaited_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    path = project.write(
        "app.py", MODEL + "from tornado.web import authenticated\n\n\nclass Base(WebHandler):\n    def get_current_user(self):\n"
        "        return Post.Q.get(self.session['a'])\n\n\nclass A(Base):\n    @authenticated\n    def get(self):\n"
        "        self.finish(self.current_user.name)\n\n    def post(self):\n        self.current_user = None\n"
        "\n\nclass M(object):\n    def process_request(self, handler, clear):\n        return not handler.current_user\n",
    )  # fmt: skip
    project.write("a.html", "{{ current_user.name }}\n{{ handler.current_user.name }}\n")
    report = listed(port(project, capsys))
    assert [line.partition(" ")[2][:6] for line in report] == ["TGM204", "TGM302"]
    assert report[0].startswith("a.html:2: ")
    made = path.read_text()
    assert "    async def get_current_user(self):\n        return await Post.Q.get(self.session['a'])\n" in made
    assert "self.finish((await self.load_current_user()).name)\n" in made
    assert "        self.current_user = None\n" in made
    assert made.endswith("return not await handler.load_current_user()\n")
    assert listed(port(project, capsys)) == report
    assert path.read_text() == made


def test_a_user_that_needs_no_query_is_read_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "class A(WebHandler):\n    def get_current_user(self):\n        return self.session.get('a')\n\n"
        "    async def get(self):\n        self.finish(self.current_user)\n"
    )
    assert ported(tmp_path, capsys, f"import torngas_aio\n\n\n{text}").endswith(text)


@pytest.mark.parametrize("name", sorted(PLAIN_METHODS))
def test_a_method_that_nothing_awaits_stays_plain(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The framework refuses a handler in which it is `async def`."""
    project = Project(tmp_path)
    text = CACHE + f"class A(WebHandler):\n    def {name}(self):\n        cache.get('a')\n"
    path = project.write("app.py", f"from torngas_aio.handler import WebHandler\n{text}")
    (line,) = listed(port(project, capsys))
    assert "TGM202" in line
    assert f"`{name}`" in line
    assert f"    def {name}(self):\n" in path.read_text()


def test_variables_that_are_given_each_other_are_followed_in_short_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dozen of them, each given all others: one after another they would take years."""
    names = [f"v{number}" for number in range(12)]
    steps = "".join(f"        {a} = {b}.strip()\n" for a in names for b in names)
    before = f"{CACHE}def f():\n    v0 = cache\n    while v0:\n{steps}    v5.set('a', 1)\n    return v0.get('a')\n"
    after = ported(tmp_path, capsys, before)
    assert after == before.replace("def f", "async def f").replace("v0.get", "await v0.get")


TORNADO = "import tornado.web\nfrom tornado import gen\n\n\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (  # the class that `super` names is not the class it stands in
            "class Base(tornado.web.RequestHandler):\n    @gen.coroutine\n    def prepare(self):\n        yield f()\n\n\nclass Lost(Base):\n    def prepare(self):\n        super(Base, self).prepare()\n",
            "class Base(tornado.web.RequestHandler):\n    async def prepare(self):\n        await f()\n\n\nclass Lost(Base):\n    async def prepare(self):\n        super(Base, self).prepare()\n",
        ),
        (
            "class Base(tornado.web.RequestHandler):\n    @gen.coroutine\n    def prepare(self):\n        yield f()\n\n\nclass Page(Base):\n    def prepare(self):\n        super(Page, self).prepare()\n",
            "class Base(tornado.web.RequestHandler):\n    async def prepare(self):\n        await f()\n\n\nclass Page(Base):\n    async def prepare(self):\n        await super(Page, self).prepare()\n",
        ),
        (  # a worker never returns
            "@gen.coroutine\ndef worker(q):\n    while True:\n        yield q.get()\n\n\n@gen.coroutine\ndef main(q):\n    for _ in range(9):\n        worker(q)\n    yield q.join()\n",
            "async def worker(q):\n    while True:\n        await q.get()\n\n\nasync def main(q):\n    for _ in range(9):\n        ensure_future(worker(q))\n    await q.join()\n",
        ),
        (
            "@gen.coroutine\ndef work(q):\n    while True:\n        if not (yield q.get()):\n            break\n\n\n@gen.coroutine\ndef main(q):\n    work(q)\n",
            "async def work(q):\n    while True:\n        if not (await q.get()):\n            break\n\n\nasync def main(q):\n    await work(q)\n",
        ),
        (  # what is kept and awaited later runs meanwhile
            "@gen.coroutine\ndef f(x):\n    yield g()\n\n\n@gen.coroutine\ndef main(xs):\n    a = f(1)\n    b = [f(x) for x in xs]\n    c = []\n    for x in xs:\n        c.append(f(x))\n    d = {}\n    d['a'] = f(2)\n    yield a\n    yield gen.multi(b)\n    yield gen.with_timeout(9, c[0])\n    for x in c:\n        yield x\n    return (yield [f(3), d['a']])\n",
            "async def f(x):\n    await g()\n\n\nasync def main(xs):\n    a = ensure_future(f(1))\n    b = [ensure_future(f(x)) for x in xs]\n    c = []\n    for x in xs:\n        c.append(ensure_future(f(x)))\n    d = {}\n    d['a'] = ensure_future(f(2))\n    await a\n    await gen.multi(b)\n    await gen.with_timeout(9, c[0])\n    for x in c:\n        await x\n    return (await multi([f(3), d['a']]))\n",
        ),
        (
            "@gen.coroutine\ndef f(x):\n    yield g()\n\n\nclass A(object):\n    def start(self, loop):\n        self.done = f(1)\n        loop.add_future(f(2), print)\n\n    @gen.coroutine\n    def stop(self):\n        a = f(3)\n        yield self.done\n        yield gen.maybe_future(f(4))\n        yield gen.with_timeout(9, future=f(5))\n        return a\n",
            "async def f(x):\n    await g()\n\n\nclass A(object):\n    def start(self, loop):\n        self.done = ensure_future(f(1))\n        loop.add_future(ensure_future(f(2)), print)\n\n    async def stop(self):\n        a = await f(3)\n        await self.done\n        await gen.maybe_future(ensure_future(f(4)))\n        await gen.with_timeout(9, future=f(5))\n        return a\n",
        ),
        (
            "@gen.coroutine\ndef f(x):\n    yield g()\n\n\n@gen.coroutine\ndef main(c):\n    a = f(1) if c else f(2)\n    yield a\n    yield (f(3) if c else f(4))\n    yield c.b or f(5)\n    return (f(6) if c else None)\n",
            "async def f(x):\n    await g()\n\n\nasync def main(c):\n    a = ensure_future(f(1)) if c else ensure_future(f(2))\n    await a\n    await (f(3) if c else f(4))\n    await (c.b or f(5))\n    return (await f(6) if c else None)\n",
        ),
        (  # what runs a loop takes the coroutine itself
            "import asyncio\n\n\n@gen.coroutine\ndef f(x):\n    yield g()\n\n\na = f(1)\nasyncio.run(a)\n",
            "import asyncio\n\n\nasync def f(x):\n    await g()\n\n\na = f(1)\nasyncio.run(a)\n",
        ),
        (  # a script of a project that has no settings of ours
            "@gen.coroutine\ndef f(x):\n    yield g()\n\n\nf(1)\n",
            "async def f(x):\n    await g()\n\n\nasync def main():\n    await f(1)\n\n\nif __name__ == \"__main__\":\n    asyncio.run(main())\n",
        ),
        (  # `session` of a class is a database's only where there are models
            "class Client(object):\n    def close(self):\n        self.session.close()\n",
            "class Client(object):\n    def close(self):\n        self.session.close()\n",
        ),
        (
            "class Client(object):\n    def close(self):\n        Pool.session.close()\n",
            "class Client(object):\n    def close(self):\n        Pool.session.close()\n",
        ),
        (  # the loop awaits what the function returns that it is given
            "@gen.coroutine\ndef f():\n    yield g()\n\n\ndef main(loop):\n    loop.add_callback(lambda: f())\n    return loop.run_sync(lambda: f())\n",
            "async def f():\n    await g()\n\n\ndef main(loop):\n    loop.add_callback(lambda: f())\n    return loop.run_sync(lambda: f())\n",
        ),
        (  # a future that is handed on is awaited by who calls
            "class Page(tornado.web.RequestHandler):\n    def get(self):\n        return self.client.fetch('a')\n",
            "class Page(tornado.web.RequestHandler):\n    def get(self):\n        return self.client.fetch('a')\n",
        ),
        (
            "class A(object):\n    @gen.coroutine\n    def load(self):\n        yield f()\n\n\nclass B(A):\n    def load(self):\n        return self.wrap()\n\n    def wrap(self):\n        return pool.submit(f)\n",
            "class A(object):\n    async def load(self):\n        await f()\n\n\nclass B(A):\n    def load(self):\n        return self.wrap()\n\n    def wrap(self):\n        return pool.submit(f)\n",
        ),
        (
            "@gen.coroutine\ndef f():\n    yield g()\n\n\nclass Page(tornado.web.RequestHandler):\n    def get(self):\n        return f()\n",
            "async def f():\n    await g()\n\n\nclass Page(tornado.web.RequestHandler):\n    async def get(self):\n        return await f()\n",
        ),
        (  # awaited already, whichever of the two it is
            "class A(object):\n    @gen.coroutine\n    def load(self):\n        yield f()\n\n\nclass B(object):\n    def load(self):\n        return f()\n\n\n@gen.coroutine\ndef main(x):\n    yield x.load()\n",
            "class A(object):\n    async def load(self):\n        await f()\n\n\nclass B(object):\n    def load(self):\n        return f()\n\n\nasync def main(x):\n    await x.load()\n",
        ),
    ],
)  # fmt: skip
def test_a_tornado_project_needs_nothing_more(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    path = project.write("app.py", TORNADO + before)
    assert not listed(port(project, capsys))
    made = path.read_text().replace("from tornado.gen import multi\n", "")
    made = made.replace("import asyncio\n", "") if "import asyncio" not in after else made
    assert made.replace("from asyncio import ensure_future\n", "") == TORNADO + after
    assert ": 0 changed" in port(project, capsys, "--no-diff")
