"""Every snippet of the README of torngas 1.8 ("the 1.8 document"), after mechanical changes, over a socket.

The changes: the package's name, `async` and `await`, Python 3 (`print kwargs`). What the document itself has wrong
is mended, and listed under "Errata" in docs/migration.md. Snippets that are files of a project make up one project,
served as a process by `python runserver.py`; the others run in this one.
"""

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.services import mariadb
from tests.services.process import HOST, free_port
from tests.services.redis import RedisServer
from tests.torngas18_project import PATHS, RUN, SETTING, STEPS, SUBCLASS, make_project
from tests.webserver.project import SECRET, Project
from torngas_aio._cleanup import close_all
from torngas_aio.application import Application
from torngas_aio.cache import caches
from torngas_aio.cache.backends.rediscache import RedisClient
from torngas_aio.db.dbalchemy import Connector
from torngas_aio.handler import WebHandler
from torngas_aio.middleware import session as session_module
from torngas_aio.middleware.dbalchemy import DBAlchemyMiddleware
from torngas_aio.middleware.session import SessionMiddleware
from torngas_aio.middleware.signal import SignalMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


class TestProject:
    """Settings, server, apps, URL tables, HTTP modules and log, as files of one project."""

    def test_run_serves_apps_their_urls_and_modules(self, project: Project) -> None:
        """Overall and own keyword arguments; grouped tables; common, route, `!one` and `!all` modules."""
        project.write("runserver.py", RUN)
        with project.serve("--port=0", "--address=127.0.0.1", "--settings=settings.setting") as server:
            with httpx2.Client(base_url=server.address, trust_env=False) as client:
                answers = {path: client.get(path) for path in PATHS}
                client.get("/login")
            server.terminate()
            assert server.wait() == 0
        assert {path: answer.text for path, answer in answers.items()} == {path: PATHS[path][0] for path in PATHS}
        assert {path: answer.headers.get("X-Module", "") for path, answer in answers.items()} == {
            path: PATHS[path][1] for path in PATHS
        }
        assert "this is a error." in (project.path / "from_settings/trace.log").read_text()

    def test_the_steps_of_a_server_with_an_option_of_ones_own(self, project: Project) -> None:
        """`define` before `parse_command`; arguments of the HTTP server; `--logging_dir` over LOGGING_DIR."""
        project.write("runserver.py", STEPS)
        arguments = ("--port=0", "--address=127.0.0.1", "--your_arg=mine", "--logging_dir=from_command")
        with project.serve(*arguments) as server:
            answer = httpx2.get(f"{server.address}/login", trust_env=False)
            server.terminate()
            assert server.wait() == 0
        assert answer.text == "/the/project/"
        assert answer.headers["Connection"] == "close"
        assert "this is a error." in (project.path / "from_command/trace.log").read_text()
        assert not (project.path / "from_settings").exists()

    def test_an_application_of_ones_own(self, project: Project) -> None:
        """`load_all` takes the subclass and the HTTP server's arguments; `start` serves; files are named by port."""
        project.write("runserver.py", SUBCLASS)
        port = free_port()
        with project.serve(f"--port={port}", "--address=127.0.0.1", "--log_port_prefix=true") as server:
            answer = httpx2.get(f"{server.address}/direct/", trust_env=False)
            httpx2.get(f"{server.address}/login", trust_env=False)
            server.terminate()
            assert server.wait() == 0
        assert answer.text == "a class"
        assert answer.headers["Connection"] == "close"
        (trace,) = (project.path / "from_settings").glob("*trace*.log")
        assert str(port) in trace.name
        assert "this is a error." in trace.read_text()

    def test_tornados_own_log_instead_of_ours(self, project: Project) -> None:
        """`--disable_log=False`: no log files are written."""
        project.write("runserver.py", RUN)
        with project.serve("--port=0", "--address=127.0.0.1", "--disable_log=False") as server:
            assert httpx2.get(f"{server.address}/user/", trust_env=False).text == "other"
            server.terminate()
            assert server.wait() == 0
        assert not (project.path / "from_settings").exists()

    def test_a_module_turned_off_that_is_not_on(self, project: Project) -> None:
        """`!x` with x not in COMMON_MODULES does not start."""
        project.write("runserver.py", RUN)
        project.write("settings/setting.py", SETTING.replace("!httpmodule.auth.AuthModule", "!httpmodule.loginmodule"))
        done = project.run("runserver.py", "--port=0")
        assert done.returncode == 1
        assert "httpmodule.loginmodule" in done.stderr
        assert "COMMON_MODULES" in done.stderr


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    """End the shared servers with these tests."""
    yield
    mariadb.close_shared()


@pytest.fixture(autouse=True)
def settings_are_put_back() -> Iterator[None]:
    yield
    settings.reset()


def run(snippet: str, **names: Any) -> dict[str, Any]:
    """What the snippet defines."""
    namespace: dict[str, Any] = {"__name__": "snippet", **names}
    exec(compile(snippet, "<torngas 1.8 document>", "exec"), namespace)
    return namespace


FLASH = """
from torngas_aio.handler import WebHandler
from torngas_aio.mixins.flash_message import FlashMessageMixIn

class MyHandler(FlashMessageMixIn, WebHandler):

    async def get(self):
        self.flash("Welcome back, %s" % username, 'success')

class Base(FlashMessageMixIn, WebHandler):
    async def get(self):
        await self.render('base.html')
"""

BASE_HTML = """
{% set messages = handler.get_flashed_messages() %}
{% if messages %}
<div id="flashed">
    {% for category, msg in messages %}
    <span class="flash-{{ category }}">{{ msg }}</span>
    {% end %}
</div>
{% end %}
"""


async def test_handler_and_flash_messages(tmp_path: Path) -> None:
    """Said in one request, shown in the next, once; the message cannot bring markup."""
    (tmp_path / "base.html").write_text(BASE_HTML)
    defined = run(FLASH, username="<jack>")
    application = Application(
        [("/flash", defined["MyHandler"]), ("/", defined["Base"])], template_path=str(tmp_path), cookie_secret=SECRET
    )
    async with TestClient(application) as client:
        await client.get("/flash")
        assert '<span class="flash-success">Welcome back, &lt;jack&gt;</span>' in (await client.get("/")).text
        assert "flashed" not in (await client.get("/")).text


MIDDLEWARE = """
class MyMiddleware(object):
    async def process_init(self, application):
        seen.append('init')
    async def process_call(self, request, clear):
        seen.append('call')
    async def process_request(self, handler, clear):
        seen.append('request')
    async def process_render(self, handler, clear, template_name, **kwargs):
        seen.append('render ' + template_name)
    async def process_response(self, handler, clear, chunk):
        seen.append('response')
        chunk[0] = chunk[0].upper()
        handler.write(' and more')
    async def process_endcall(self, handler, clear):
        seen.append('endcall')
    async def process_exception(self, handler, clear, typ, value, tb):
        seen.append('exception ' + typ.__name__)

class Auth(object):
    async def process_request(self, handler, clear):
        if not handler.get_argument('user', ''):
            handler.finish('auth failure.')
            return 1

class ClearsAll(object):
    async def process_request(self, handler, clear):
        seen.append('cleared')
        clear()
"""


class Page(WebHandler):
    """Renders; fails when asked to."""

    async def get(self) -> None:
        if self.get_argument("fail", ""):
            raise ValueError("on purpose")
        await self.render("page.html")


class TestMiddleware:
    """The hooks, their order, `return 1` and `clear()`."""

    @pytest.fixture
    def seen(self) -> list[str]:
        return []

    def application(self, seen: list[str], folder: Path, *names: str) -> Application:
        (folder / "page.html").write_text("a page")
        defined = run(MIDDLEWARE, seen=seen)
        return Application([("/", Page)], middlewares=[defined[name] for name in names], template_path=str(folder))

    async def test_every_hook_in_its_order(self, seen: list[str], tmp_path: Path) -> None:
        """`chunk[index]` is changed in place, `handler.write` adds to it."""
        async with TestClient(self.application(seen, tmp_path, "MyMiddleware")) as client:
            answer = await client.get("/")
        assert answer.text == "A PAGE and more"
        assert seen == ["init", "call", "request", "render page.html", "response", "endcall"]

    async def test_an_error(self, seen: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The exception hook, then the response hooks on the error page."""
        async with TestClient(self.application(seen, tmp_path, "MyMiddleware")) as client:
            assert (await client.get("/?fail=1")).status_code == 500
        assert seen == ["init", "call", "request", "exception ValueError", "response", "endcall"]

    async def test_return_1_ends_the_stage(self, seen: list[str], tmp_path: Path) -> None:
        """Neither the later request hooks nor the method run; the other stages do, in reverse."""
        async with TestClient(self.application(seen, tmp_path, "Auth", "MyMiddleware")) as client:
            assert (await client.get("/")).text == "AUTH FAILURE. and more"
            assert seen == ["init", "call", "response", "endcall"]
            assert (await client.get("/?user=jack")).text == "A PAGE and more"

    async def test_clear_ends_all_stages(self, seen: list[str], tmp_path: Path) -> None:
        """The method still runs."""
        async with TestClient(self.application(seen, tmp_path, "ClearsAll", "MyMiddleware")) as client:
            assert (await client.get("/")).text == "a page"
        assert seen == ["init", "call", "cleared"]


class Cached(WebHandler):
    """Writes through one alias, reads through both."""

    async def get(self) -> None:
        await caches["rediscache"].set("greeting", "hello", 60)
        client = caches["redisclient"]
        assert isinstance(client, RedisClient)
        await client.client.rpush("native", "a", "b")
        native = [part.decode() for part in await client.client.lrange("native", 0, -1)]
        await self.finish({"high": await caches["rediscache"].get("greeting"), "native": native})


@pytest.mark.redis
async def test_redis_cache_and_client() -> None:
    """The document's configuration, its old parser class included; both backends have `.client`."""
    with RedisServer() as redis:
        rediscache = {
            "BACKEND": "torngas_aio.cache.backends.rediscache.RedisCache",
            "LOCATION": redis.address,
            "OPTIONS": {
                "DB": 0,
                "PARSER_CLASS": "redis.connection.DefaultParser",
                "POOL_KWARGS": {"socket_timeout": 2, "socket_connect_timeout": 2},
                "PING_INTERVAL": 120,
            },
        }
        redisclient = {**rediscache, "BACKEND": "torngas_aio.cache.backends.rediscache.RedisClient"}
        settings.configure(CACHES={"default": rediscache, "rediscache": rediscache, "redisclient": redisclient})
        async with TestClient(Application([("/", Cached)])) as client:
            assert (await client.get("/")).json() == {"high": "hello", "native": ["a", "b"]}
        await close_all()


MODELS = """
from torngas_aio.db.dbalchemy import Model
from sqlalchemy import *
from sqlalchemy.dialects.mysql import INTEGER


class BaseModel(Model):
    __abstract__ = True
    __connection_name__ = 'default'

    ID = Column('id', INTEGER(11, unsigned=True), primary_key=True, nullable=False)  # primary key


class User(BaseModel):

    __tablename__ = 'users_of_18'

    name = Column(String(10), nullable=False)
    password = Column(String(64), nullable=False)
"""

USING = """
from torngas_aio.handler import WebHandler

class Users(WebHandler):
    async def post(self):
        session = User.session.using_master()
        for number in range(25):
            session.add(User(ID=number + 1, name='jack' if number == 7 else 'other', password='x'))
        await session.commit()

    async def get(self):
        jacks = await User.Q.filter(User.name == 'jack').all()
        same = await User.session.query(User).filter_by(name='jack').all()
        query = User.Q.all()
        pagelist_obj = await query.paginate(page=1, per_page=10, default=None)
        total = pagelist_obj.total
        page = pagelist_obj.page
        items = pagelist_obj.items
        await self.finish({'jacks': [user.ID for user in jacks], 'same': [user.ID for user in same],
                           'total': total, 'page': page, 'items': len(items)})
"""


async def test_models_queries_and_pages(tmp_path: Path) -> None:
    """On SQLite; a column type of MySQL's dialect, a master and a slave; writes through `using_master()`."""
    server = {"DRIVER": "sqlite+aiosqlite", "DATABASE": str(tmp_path / "users.db")}
    settings.configure(
        DATABASE_CONNECTION={"default": {"connections": [{"ROLE": "master", **server}, {"ROLE": "slave", **server}]}},
        SQLALCHEMY_CONFIGURATION={"sqlalchemy.echo": False, "sqlalchemy.poolclass": "QueuePool"},
        PING_DB=500,
    )
    await _use_models()


@pytest.mark.mariadb
async def test_the_database_settings_of_the_document(caplog: pytest.LogCaptureFixture) -> None:
    """On MariaDB with a slave that replicates: synchronous driver and `encoding` are mapped, and it is said."""
    cluster = await asyncio.to_thread(mariadb.shared_cluster)
    roles = [("master", cluster.master.port), ("slave", cluster.slaves[0].port)]
    settings.configure(
        DATABASE_CONNECTION={
            "default": {
                "connections": [
                    {
                        "ROLE": role,
                        "DRIVER": "mysql+mysqldb",
                        "UID": mariadb.USER,
                        "PASSWD": mariadb.PASSWORD,
                        "HOST": HOST,
                        "PORT": port,
                        "DATABASE": mariadb.DATABASE,
                        "QUERY": {"charset": "utf8"},
                    }
                    for role, port in roles
                ]
            }
        },
        SQLALCHEMY_CONFIGURATION={
            "sqlalchemy.connect_args": {"connect_timeout": 3},
            "sqlalchemy.echo": False,
            "sqlalchemy.max_overflow": 10,
            "sqlalchemy.echo_pool": False,
            "sqlalchemy.pool_timeout": 5,
            "sqlalchemy.encoding": "utf-8",
            "sqlalchemy.pool_size": 100,
            "sqlalchemy.pool_recycle": 3600,
            "sqlalchemy.poolclass": "QueuePool",
        },
        PING_DB=500,
    )
    await _use_models(wait_for_slaves=cluster.wait_for_slaves)
    said = caplog.text
    assert "mysqldb" in said
    assert "aiomysql" in said
    assert "encoding" in said


@functools.cache
def _user_model() -> Any:
    """The document's `User`, defined once, and kept out of what other tests' `create_db` makes."""
    user = run(MODELS)["User"]
    user.metadata.remove(user.__table__)
    return user


async def _use_models(wait_for_slaves: Callable[[], object] = lambda: None) -> None:
    """Write 25 users through the master, then ask for them as the document does."""
    user = _user_model()
    connection = Connector.get_conn("default")
    async with connection.engine.begin() as open_connection:
        await open_connection.run_sync(user.__table__.drop, checkfirst=True)
        await open_connection.run_sync(user.__table__.create)
    application = Application([("/", run(USING, User=user)["Users"])], middlewares=[DBAlchemyMiddleware])
    async with TestClient(application) as client:
        assert (await client.post("/")).status_code == 200
        await asyncio.to_thread(wait_for_slaves)
        assert (await client.get("/")).json() == {"jacks": [8], "same": [8], "total": 25, "page": 1, "items": 10}
    await close_all()


THREADS = """
from tornado.gen import coroutine
from torngas_aio.decorators.async_execute import async_execute
class Test(Base):
    @coroutine
    def get(self):
        a = 'a'
        b = 'b'
        result = yield self.dosomething(a, b)
        self.finish(result)

    @async_execute
    def dosomething(self, a, b):
        threads.append(threading.current_thread())
        result = 'return' + a + b
        return result

class Awaiting(Test):
    async def get(self):
        await self.finish(await self.dosomething('c', 'd'))
"""


async def test_async_execute() -> None:
    """The document's handler as it is, a generator, and the same with `async`; the work ran in threads."""
    threads: list[threading.Thread] = []
    defined = run(THREADS, Base=WebHandler, threading=threading, threads=threads)
    async with TestClient(Application([("/old", defined["Test"]), ("/new", defined["Awaiting"])])) as client:
        assert (await client.get("/old")).text == "returnab"
        assert (await client.get("/new")).text == "returncd"
    assert threading.main_thread() not in threads
    assert len(threads) == 2


SESSION = """
from torngas_aio.handler import WebHandler

class LoginHandler(WebHandler):
    async def get(self, uid):
        self.session['userid'] = uid
        self.set_expire(3600 * 24 * 30)  # 30 days

class AuthHandler(WebHandler):
    async def get(self, uid):
        uid = self.session['userid']
        await self.finish(str(uid))

class LogoutHandler(WebHandler):
    async def get(self, uid):
        del self.session['userid']
"""


async def test_session() -> None:
    """Logged in for thirty days, seen by the next request, logged out; a name that is not there is None."""
    settings.configure(
        SESSION={
            "session_cache_alias": "default",
            "session_name": "__TORNADOSSID",
            "cookie_domain": "",
            "cookie_path": "/",
            "expires": 0,
            "ignore_change_ip": False,
            "httponly": True,
            "secure": False,
            "secret_key": SECRET,
            "session_version": "EtdHjDO1",
        }
    )
    defined = run(SESSION)
    routes = [(rf"/{name.lower()}/(\w+)", defined[f"{name}Handler"]) for name in ("Login", "Auth", "Logout")]
    async with TestClient(Application(routes, middlewares=[SessionMiddleware])) as client:
        cookie = (await client.get("/login/jack")).headers["Set-Cookie"]
        assert cookie.startswith("__TORNADOSSID=")
        assert "max-age=2592000" in cookie.lower()
        assert "httponly" in cookie.lower()
        assert (await client.get("/auth/x")).text == "jack"
        assert (await client.get("/logout/x")).status_code == 200
        assert (await client.get("/auth/x")).text == "None"


SIGNALS = """
from torngas_aio.dispatch import receiver
from torngas_aio.signal import call_started, handler_render

class MyService(object):

    @receiver(call_started)
    def callback(**kwargs):
        seen.append(kwargs['request'].path)

def callback(**kwargs):
    print(kwargs)
    seen.append(kwargs['template_name'])

handler_render.connect(callback)

from torngas_aio.dispatch import Signal

my_event = Signal(providing_args=["args1"])

async def tell(somesender, arg):
    return await my_event.send(sender=somesender.__class__, args1=arg)
"""


async def test_signals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Receivers by decorator and by `connect`; a signal of one's own sent from a handler."""
    (tmp_path / "page.html").write_text("a page")
    seen: list[Any] = []
    defined = run(SIGNALS, seen=seen)
    told: list[tuple[object, str]] = []

    def of_my_event(sender: object, args1: str, **kwargs: Any) -> None:
        told.append((sender, args1))

    class Tells(WebHandler):
        async def get(self) -> None:
            await defined["tell"](self, "an argument")
            await self.render("page.html")

    defined["my_event"].connect(of_my_event)
    application = Application([("/", Tells)], middlewares=[SignalMiddleware], template_path=str(tmp_path))
    async with TestClient(application) as client:
        assert (await client.get("/")).text == "a page"
    assert seen == ["/", "page.html"]
    assert told == [(Tells, "an argument")]
    assert "'sender'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        (None, "{% for x in [1, 2] %}{{ x }}{% end %}{{ name }}"),
        (
            "jinja2_loader.Jinja2TemplateLoader",
            "{% for x in [1, 2] %}{{ x }}{% endfor %}{{ name }}",
        ),
        ("mako_loader.MakoTemplateLoader", "% for x in [1, 2]:\n${x}\\\n% endfor\n${name}"),
    ],
)
async def test_template_engines(engine: str | None, text: str, tmp_path: Path) -> None:
    """The document's TEMPLATE_CONFIG with each engine; escaping is on by default now."""
    (tmp_path / "page.html").write_text(text)
    settings.configure(
        TEMPLATE_CONFIG={
            "template_engine": engine and f"torngas_aio.template.{engine}",
            "filesystem_checks": True,
            "cache_directory": str(tmp_path / "_tmpl_cache"),
            "collection_size": 50,
            "cache_size": 0,
            "format_exceptions": False,
        }
    )

    class Shows(WebHandler):
        async def get(self) -> None:
            await self.render("page.html", name="<jack>")

    async with TestClient(Application([("/", Shows)], template_path=str(tmp_path))) as client:
        answer = await client.get("/")
    assert answer.text.strip() == "12&lt;jack&gt;"


def test_where_the_document_puts_signal_middleware() -> None:
    """`middleware.session.SignalMiddleware` is the same class."""
    assert session_module.SignalMiddleware is SignalMiddleware
