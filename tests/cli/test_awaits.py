"""`torngas-aio check` finds forgotten awaits by reading the project's files."""

import os
import textwrap
from pathlib import Path

import pytest

from torngas_aio.cli import main
from torngas_aio.cli.awaits import module_of, project_files, unawaited_faults

HEAD = """
from torngas_aio import session_scope, project
from torngas_aio.cache import cache, caches
from torngas_aio.channels import channels
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy import Connector, session_scope as opened
from torngas_aio.dispatch import Signal
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.jobs import job
from torngas_aio.signal import call_started
from models import User, shop, helper, Plain, mailed
from .models import shop as near
from . import models as beside
from asyncio import gather
import asyncio
import models

db = database("sqlite://:memory:")
red = caches["redis"]
client = caches["redis"].client
told = Signal()

async def own(): ...
async def listed():
    yield 1
def plain(): ...
def handed(): return cache.get('k')
def mixed():
    if plain(): return cache.get('k')
    return None

@job
async def noted(n): ...

class Socket(WebSocketHandler):
    async def open(self):
        self.write_message('a')
        await self.join('a')

class Page(WebHandler):
    async def work(self): ...
    def sync(self): ...
    def handed(self): return cache.get('k')
    async def get(self):
        x = y = None
"""
MODELS = """
from torngas_aio.db.basedb import database
from torngas_aio.db.dbalchemy import Model
from torngas_aio.jobs import job
@job(retries=2)
async def mailed(n): ...
class User(Model):
    async def stored(self): ...
class Plain: ...
shop = database("sqlite://:memory:")
async def helper(): ...
"""

FORGOTTEN = [
    "cache.set('k', 1)",
    "caches['redis'].delete('k')",
    "red.set('k', 1)",
    "if cache.get('k'): pass",
    "while not cache.get('k'): pass",
    "x = cache.get('k') or 7",
    "x = 1 if cache.has_key('k') else 2",
    "x = cache.get('n') + 1",
    "x = cache.get('n') == 1",
    "x = cache.get('d')['a']",
    "x = cache.get('d').name",
    "x = f'{cache.get(1)}'",
    "x = [*cache.get_many(['a'])]",
    "assert cache.get('k')",
    "if 'k' in cache: pass",
    "if 'k' not in caches['redis']: pass",
    "User.session.commit()",
    "User.session.using_master().flush()",
    "for user in User.Q.filter(User.id > 1).all(): pass",
    "x = [user.id for user in User.Q.all()]",
    "User.Q.filter(User.id == 1).delete()",
    "if models.User.Q.first(): pass",
    "x = User.Q.filter(User.id == 1).first().name",
    "User.session.query(User).count()",
    "db.insert('posts', title='a')",
    "for row in shop.select('posts'): pass",
    "with db.transaction(): pass",
    "with cache.lock('report'): pass",
    "with session_scope(): pass",
    "with opened('other') as s: pass",
    "async with session_scope() as s:\n    s.commit()",
    "Connector.get_conn('default').create_db()",
    "Connector.get_session().commit()",
    "Connector.get_session()['master']().commit()",
    "Connector.conn_pool['default'].create_db()",
    "told.send(self)",
    "call_started.send(self)",
    "own()",
    "helper()",
    "if own(): pass",
    "self.work()",
    "self.render_string('a.html')",
    "self.session.save()",
    "local = caches['other']\nlocal.clear()",
    "cache.set('k', 1) if y else None",
    "None if y else cache.delete('k')",
    "if (x := cache.get('k')): pass",
    "(x := cache.delete('k'))",
    "x = any(cache.has_key(each) for each in y)",
    "x = sum(cache.get(each) for each in y)",
    "x = len(cache.get('k'))",
    "print(cache.get('k'))",
    "x = '{}'.format(cache.get('k'))",
    "x = '%s' % cache.get('k')",
    "x = y[cache.get('k')]",
    "x = cache.get('k').decode()",
    "match cache.get('k'):\n    case _: pass",
    "asyncio.gather(own(), own())",
    "handed()",
    "self.handed()",
    "db.transaction()",
    "User.session.begin_nested()",
    "caches['redis'].client.lpush('k', 1)",
    "if client.exists('k'): pass",
    "User.session.scalars('SELECT 1').all()",
    "def inner():\n    cache.set('k', 1)",
    "x = lambda: int(cache.get('k'))",
    "for x in y:\n    s = User.session.using_master()\n    s.flush()",
    "noted.enqueue(1)",
    "mailed.enqueue(1, key='a')",
    "mailed.enqueue_in(60, 1)",
    "models.mailed.enqueue(1)",
    "beside.mailed(1)",
    "x = near.select('posts')[0]",
    "noted(1)",
    "if (await noted.enqueue(1)).result(): pass",
    "channels.publish('a', 1)",
    "channels['other'].publish('a', 1)",
    "x = len(channels.members('a'))",
    "with channels.subscribe('a'): pass",
    "channels.present('a', 'b')",
    "for user in await User.Q.all():\n    user.stored()",
    "q = User.Q\nif y: q = q.filter(User.id > 1)\nx = q.all()[0]",
    "local: object = caches['other']\nlocal.clear()",
    "class Other(WebSocketHandler):\n    async def open(self):\n        self.join('a')",
]
FINE = [
    "await cache.set('k', 1)",
    "x = cache.get('k')\nawait x",
    "self.run(cache.get('k'))",
    "return cache.get('k')",
    "x = [cache.get('a'), cache.get('b')]",
    "x = (await cache.get('k')) or 7",
    "x = 'k' in await cache.get_many(['k'])",
    "cache.make_key('k')",
    "if self.session.get('user'): pass",
    "x = 'user' in self.session",
    "self.session.expired()",
    "User.Q.filter(User.id == 1).order_by(User.id)",
    "User.session.add(User())",
    "async for row in db.select('posts'): pass",
    "async with db.transaction(): pass",
    "async for _ in listed(): pass",
    "listed()",
    "plain()",
    "self.sync()",
    "self.finish()",
    "self.render('a.html')",
    "cache = {}\ncache.get('k') or 1",
    "def inner(cache):\n    return cache.get('k') or 1",
    "x = (lambda cache: cache.get('k') or 1)",
    "other.set('k', 1)",
    "Plain.Q = 1",
    "with open('a') as file: pass",
    "if 'k' in {}: pass",
    "x = cache.get('k') if y else None\nawait x",
    "x = [cache.get(each) for each in y]",
    "x = dict.fromkeys('ab').get('a', cache.get('k'))",
    "await asyncio.gather(own(), own())",
    "await handed()",
    "told.connect(handed)",
    "mixed()",
    "x = (cache.get(each) for each in y)",
    "t = db.transaction()\nawait t",
    "pipe = client.pipeline()\npipe.set('k', 1)",
    "async for x in client.sscan_iter('k'): pass",
    "await client.bitfield('k').set('u4', 0, 1).execute()",
    "x = lambda: cache.get('k')",
    "def len(x): ...\nlen(cache.get('k'))",
    "await noted.enqueue(1)",
    "await (await models.mailed.enqueue(1)).result()",
    "noted.message(1)",
    "models = y\nmodels.mailed.enqueue(1)",
    "async with channels.subscribe('a'): pass",
    "channels.takes_patterns",
    "local = caches['other']\nlocal = {}\nlocal.get('k') or 1",
    "local = caches['other'] if y else {}\nlocal.get('k') or 1",
    "rows = User.Q.filter(User.id > 1)\nrows = await rows.all()\nrows.count(1)",
    "def inner(cache=cache):\n    return cache.get('k') or 1",
    "def inner(handler):\n    handler.render_string('a.html')",
    "for user in y:\n    user.stored()",
]


def written(folder: Path, code: str) -> int:
    """Write the project with *code* in its handler; return the line before it."""
    (folder / "models.py").write_text(MODELS, encoding="utf-8")
    (folder / "page.py").write_text(HEAD + textwrap.indent(code, " " * 8) + "\n", encoding="utf-8")
    return HEAD.count("\n")


@pytest.mark.parametrize("code", FORGOTTEN)
def test_what_is_forgotten_is_a_fault_with_its_line(tmp_path: Path, code: str) -> None:
    line = written(tmp_path, code) + code.count("\n") + (0 if code.count("pass") and "\n" in code else 1)
    (fault,) = unawaited_faults(tmp_path)
    assert fault.startswith(f"page.py:{line}: ")
    assert "await" in fault or "async with" in fault
    assert fault.code == "TGA710"


@pytest.mark.parametrize("code", FINE)
def test_what_is_awaited_or_not_known_for_sure_is_no_fault(tmp_path: Path, code: str) -> None:
    written(tmp_path, code)
    assert unawaited_faults(tmp_path) == []


def test_files_that_are_not_the_projects_are_not_read(tmp_path: Path) -> None:
    for name in ("app/a.py", ".hidden/b.py", "venv/c.py", "node_modules/d.py", "app/e.txt", "site-packages/f.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1", encoding="utf-8")
    (tmp_path / "venv/pyvenv.cfg").touch()
    (tmp_path / "link.py").symlink_to(tmp_path / "app/a.py")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "old.py").write_bytes(b"print 'python 2'\n")
    (tmp_path / "odd.py").write_bytes(b"# coding: no-such\n\xff\x00")
    (tmp_path / "big.py").write_text("x = 1\n" * 200_000, encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.py")  # opening it would wait for a writer
    assert [path.name for path in project_files(tmp_path)] == ["a.py", "odd.py", "old.py"]
    assert unawaited_faults(tmp_path) == []


def test_a_module_and_a_package_may_have_one_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a.py", "a/__init__.py"):
        (tmp_path / name).write_text(JOB, encoding="utf-8")
    assert [str(fault).partition(" ")[0] for fault in unawaited_faults(tmp_path)] == [
        "a/__init__.py:4:", "a/__init__.py:5:", "a.py:4:", "a.py:5:"
    ]  # fmt: skip


JOB = "from torngas_aio.cache import cache\n\nasync def job():\n    if cache.get('k'):\n        cache.delete('k')\n"


def test_check_lists_them_with_the_other_faults(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    (project / "job.py").write_text(JOB, encoding="utf-8")
    assert main(["check"]) == 1
    told = capsys.readouterr().err
    assert "job.py:4: `cache.get('k')` is not awaited. Write `await cache.get('k')`." in told
    assert "job.py:5: `cache.delete('k')`" in told
    assert "2 faults." in told


def test_check_lists_them_where_the_project_does_not_start(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "job.py").write_text(JOB, encoding="utf-8")
    (project / "settings/setting.py").write_text("NO = 1\nINSTALLED_APPS = ('nowhere',)\n", encoding="utf-8")
    assert main(["check"]) == 1
    told = capsys.readouterr().err
    assert "nowhere" in told
    assert "job.py:4" in told


@pytest.mark.parametrize(
    ("path", "name"), [("a.py", "a"), ("a/b.py", "a.b"), ("a/__init__.py", "a"), ("__init__.py", "")]
)
def test_a_module_is_named_as_the_project_imports_it(path: str, name: str) -> None:
    assert module_of(Path("/project") / path, Path("/project")) == name
