"""`run` and `Server`, seen from outside the process: started, asked, told to stop."""

import asyncio
import importlib.util
import itertools
import json
import os
import re
import signal
import ssl
import stat
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tornado import web
from tornado.options import options

from tests.polling import wait_until
from tests.webserver.project import SECRET, Project, RunningServer
from torngas_aio.application import Application
from torngas_aio.asgi import get_asgi_application
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.settings_manager import settings
from torngas_aio.webserver import Server, serve
from torngas_aio.webserver.options import parse_options

pytestmark = pytest.mark.timeout(90)  # each test starts processes, on machines that may be busy

RUNSERVER = """
import os
os.environ.setdefault("TORNGAS_APP_SETTINGS", "conf.setting")
from torngas_aio.webserver import run
run()
"""

SETTING = f"""
INSTALLED_APPS = ("blog",)
MIDDLEWARE_CLASSES = ("watch.Watch",)
TORNADO_CONF = {{"cookie_secret": "{SECRET}"}}
"""

URLS = """
from torngas_aio.urlhelper import Url, route
url = Url("blog.views")
urls = route(url(r"/", "Index", name="index"), url(r"/slow", "Slow", name="slow"))
"""

VIEWS = """
import asyncio, sys
from torngas_aio.handler import WebHandler

class Index(WebHandler):
    async def get(self):
        self.set_signed_cookie("who", "me")
        await self.finish(f"hello {self.request.remote_ip} {self.request.protocol}")

class Slow(WebHandler):
    async def get(self):
        print("in flight", file=sys.stderr, flush=True)
        await asyncio.sleep(0.5)
        await self.finish("slow hello")
"""

WATCH = """
import sys

class Watch:
    async def process_init(self, application):
        print("init hook", file=sys.stderr, flush=True)

    async def process_endcall(self, handler, clear):
        print("endcall hook", handler.request.path, file=sys.stderr, flush=True)

    async def process_shutdown(self, application):
        print("shutdown hook", file=sys.stderr, flush=True)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("runserver.py", RUNSERVER)
    made.write("conf/__init__.py", "")
    made.write("conf/setting.py", SETTING)
    made.write("blog/__init__.py", "")
    made.write("blog/urls.py", URLS)
    made.write("blog/views.py", VIEWS)
    made.write("watch.py", WATCH)
    return made


def get(url: str, **headers: str) -> str:
    """The body of *url*."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=10) as response:
        found: bytes = response.read()
    return found.decode()


class TestRun:
    def test_it_serves_the_project_and_ends_with_status_0(self, project: Project) -> None:
        """Init hooks before the first request, shutdown hooks after the last; no banner without DEBUG."""
        with project.serve("--port=0", "--address=127.0.0.1") as server:
            assert get(server.address) == "hello 127.0.0.1 http"
            assert get(server.address, X_Forwarded_For="203.0.113.5") == "hello 203.0.113.5 http"
            server.terminate()
            assert server.wait() == 0
        assert server.stdout == ""
        order = [line for line in server.log.splitlines() if line.endswith("hook") or "Serving" in line]
        assert [line.split(" ")[-1] for line in order] == ["hook", server.address + "/", "hook"]
        assert server.log.count("endcall hook /") == 2

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    @pytest.mark.parametrize("http_server", ["torngas_aio", "tornado"])
    async def test_a_request_in_flight_is_answered(self, project: Project, number: int, http_server: str) -> None:
        """Its endcall hooks run too, before the shutdown hooks; then the process ends with 0."""
        server = project.serve("--port=0", "--address=127.0.0.1", f"--http_server={http_server}")
        await asyncio.to_thread(server.__enter__)
        try:
            async with httpx2.AsyncClient(trust_env=False) as client:
                asked = asyncio.create_task(client.get(f"{server.address}/slow"))
                await asyncio.to_thread(_wait_for, server, "in flight")
                server.terminate(number)
                assert (await asked).text == "slow hello"
                with pytest.raises(httpx2.ConnectError):
                    await client.get(server.address)
            assert await asyncio.to_thread(server.wait) == 0
            assert server.log.index("endcall hook /slow") < server.log.index("shutdown hook")
        finally:
            await asyncio.to_thread(server.__exit__, None, None, None)

    def test_a_unix_socket(self, project: Project) -> None:
        """No port is opened; the file is gone afterwards."""
        path = project.path / "app.sock"
        with project.serve(f"--unix_socket={path}") as server:
            assert server.address == f"unix:{path}"
            assert stat.S_ISSOCK(path.stat().st_mode)
            with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path))) as client:
                answer = client.get("http://x/", headers={"X-Forwarded-For": "203.0.113.5"})
                assert answer.text == "hello 203.0.113.5 http"
            server.terminate()
            assert server.wait() == 0
        assert not path.exists()

    def test_tls(self, project: Project, certificate: tuple[Path, Path], trusting: ssl.SSLContext) -> None:
        """Handlers see https; the certificate is the one that was given."""
        chain, key = certificate
        with project.serve("--port=0", "--address=127.0.0.1", f"--certfile={chain}", f"--keyfile={key}") as server:
            assert server.address.startswith("https://127.0.0.1:")
            with urllib.request.urlopen(server.address, context=trusting, timeout=10) as response:
                assert response.read() == b"hello 127.0.0.1 https"
            server.terminate()
            assert server.wait() == 0

    def test_debug_prints_the_banner_and_warns_of_exposure(self, project: Project) -> None:
        """Versions, settings, apps, template engine and URL; a random secret where none is set."""
        project.write("conf/setting.py", "DEBUG = True\nINSTALLED_APPS = ('blog',)\nMIDDLEWARE_CLASSES = ()\n")
        with project.serve("--port=0") as server:
            assert get(server.address).startswith("hello")
            server.terminate()
            assert server.wait() == 0
        for fact in ("torngas_aio ", "tornado ", "on uvloop", "conf.setting", "blog", "template engine"):
            assert fact in server.stdout
        assert f"Serving on {server.address}/" in server.stdout
        assert "DEBUG IS ON AND OTHER MACHINES CAN CONNECT" in server.log
        assert "TORNADO_CONF['cookie_secret'] missing: random for this run" in server.log

    def test_debug_on_loopback_does_not_warn(self, project: Project) -> None:
        """Nobody else can connect."""
        project.write("conf/setting.py", "DEBUG = True\nMIDDLEWARE_CLASSES = ()\n")
        with project.serve("--port=0", "--address=127.0.0.1") as server:
            server.terminate()
            assert server.wait() == 0
        assert "OTHER MACHINES" not in server.log

    @pytest.mark.skipif(
        importlib.util.find_spec("torngas_aio.middleware.accesslog") is None, reason="its middleware is not there yet"
    )
    def test_without_settings_it_serves_this_machine_only(self, project: Project) -> None:
        """Random secrets, loopback, and it says so; whatever --address asks for."""
        project.write("runserver.py", "from torngas_aio.webserver import run\nrun()\n")
        with project.serve("--port=0", "--address=0.0.0.0") as server:
            assert server.address.startswith("http://127.0.0.1:")
            assert "http://0.0.0.0" not in server.log
            assert "No settings module: built-in defaults, and random secrets for this run" in server.log
            assert "only this machine can connect" in server.log
            server.terminate()
            assert server.wait() == 0

    def test_workers_share_the_port_and_are_replaced(self, project: Project) -> None:
        """One that is killed has a successor, SIGHUP renews them, and SIGTERM ends all with status 0."""
        project.write("blog/views.py", VIEWS.replace('f"hello {', "f\"{__import__('os').getpid()} {"))
        with project.serve("--port=0", "--address=127.0.0.1", "--workers=2") as server:
            _wait_for(server, " is ready", times=2)
            first = int(get(server.address).split()[0])
            assert first != server.process.pid
            os.kill(first, signal.SIGKILL)
            _wait_for(server, " is ready", times=3)
            assert int(get(server.address).split()[0]) != first
            server.terminate(signal.SIGHUP)
            _wait_for(server, " is ready", times=5)
            assert get(server.address)
            server.terminate()
            assert server.wait() == 0
        assert server.log.count("init hook") == 5
        assert server.log.count("shutdown hook") == 4
        assert server.log.count("died") == 1

    def test_workers_share_a_unix_socket(self, project: Project) -> None:
        """The file outlives a worker, and goes with the server."""
        path = project.path / "app.sock"
        with project.serve(f"--unix_socket={path}", "--workers=2") as server:
            _wait_for(server, " is ready", times=2)
            server.terminate(signal.SIGHUP)
            _wait_for(server, " is ready", times=4)
            with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path))) as client:
                assert client.get("http://x/").status_code == 200
            server.terminate()
            assert server.wait() == 0
        assert not path.exists()

    def test_a_worker_that_cannot_start_ends_the_server(self, project: Project) -> None:
        """Status 1, and why."""
        failing = "class Watch:\n    async def process_init(self, application): raise OSError('no database')\n"
        project.write("watch.py", failing)
        done = project.run("runserver.py", "--port=0", "--address=127.0.0.1", "--workers=2")
        assert done.returncode == 1
        assert "no database" in done.stderr
        done = project.run("runserver.py", "--port=0", "--address=127.0.0.1")
        assert done.returncode == 1
        assert "no database" in done.stderr

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("\nthis is no Python\n", r"blog/views\.py, line 2: invalid syntax; still serving the code of \d\d:\d\d"),
            ("class Index(No): pass\n", r"blog/views\.py:1: NameError: name 'No' is not .*; still serving the code of"),
        ],
    )
    def test_a_changed_file_starts_it_again(self, project: Project, text: str, told: str) -> None:
        """With DEBUG; after an edit that cannot be loaded the code before it goes on serving, and one line says why."""
        project.write("conf/setting.py", SETTING + "DEBUG = True\n")
        with project.serve("--port=0", "--address=127.0.0.1") as server:
            first = server.address
            views = project.write("blog/views.py", text)
            _wait_for(server, "still serving", touch=views)
            assert re.search(told, server.log), server.log
            assert get(first).startswith("hello")
            project.write("blog/views.py", VIEWS.replace("hello", "changed"))
            _wait_for(server, "Serving on", times=2, touch=views)
            second = server.log.rpartition("Serving on ")[2].split()[0]
            assert get(second).startswith("changed")
            server.terminate()
            assert server.wait() == 0

    def test_a_start_that_fails_after_an_edit_waits_for_the_next(self, project: Project) -> None:
        """What only the hooks of the start find out."""
        project.write("conf/setting.py", SETTING + "DEBUG = True\n")
        with project.serve("--port=0", "--address=127.0.0.1") as server:
            watch = project.write("watch.py", WATCH.replace('print("init hook"', 'print(missing, "init hook"'))
            _wait_for(server, "Waiting for a change", touch=watch)
            assert "The server did not start. watch.py:6: NameError: name 'missing'" in server.log
            project.write("watch.py", WATCH)
            _wait_for(server, "Serving on", times=2, touch=watch)
            server.terminate()
            assert server.wait() == 0

    def test_a_reload_keeps_in_process_sessions(self, project: Project) -> None:
        """The developer stays logged in, with random secrets, over several reloads."""
        settings = SETTING.replace('"watch.Watch"', '"torngas_aio.middleware.session.SessionMiddleware"')
        project.write("conf/setting.py", settings.partition("TORNADO_CONF")[0] + "DEBUG = True\n")
        views = VIEWS.replace('self.set_signed_cookie("who", "me")', 'self.session.incr("visits")').replace(
            "hello {self.request.remote_ip}", "{self.session['visits']}"
        )
        path = project.write("blog/views.py", views)
        with project.serve("--port=0", "--address=127.0.0.1") as server:
            with urllib.request.urlopen(server.address, timeout=10) as response:
                cookie = response.headers["Set-Cookie"].partition(";")[0]
            for times in (2, 3):
                _wait_for(server, "Serving on", times=times, touch=path)
                address = server.log.rpartition("Serving on ")[2].split()[0]
                assert get(address, Cookie=cookie).startswith(f"{times} ")
            server.terminate()
            assert server.wait() == 0


class TestRefusals:
    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("--settings=conf.nothing", "Settings module 'conf.nothing': no module 'conf.nothing'"),
            ("--keyfile=x.pem", "--keyfile=x.pem wants a --certfile too."),
            ("--certfile=x.pem", "--certfile=x.pem: no such file."),
            ("--http_server=iis", "--http_server=iis: no such server."),
            ("--address=192.0.2.1", "Cannot listen on 192.0.2.1:0:"),
            ("--nonsense=1", "Unrecognized command line option: 'nonsense'"),
            ("--port=many", "--port=many: invalid literal for int() with base 10: 'many'."),
        ],
    )
    def test_a_start_that_cannot_be_says_why(self, project: Project, argument: str, message: str) -> None:
        """Status 1, one message, no traceback."""
        done = project.run("runserver.py", "--port=0", argument)
        assert done.returncode == 1
        assert f"The server did not start. {message}" in " ".join(done.stderr.split("\n"))
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [
            (
                "blog/views.py",
                "class Index(Missing): pass\n",
                "blog/views.py:1: NameError: name 'Missing' is not defined",
            ),
            ("blog/views.py", "\ndef get()\n", "blog/views.py:2: SyntaxError: expected ':'"),
            ("blog/urls.py", "x = 1\nfrom blog.views import Nothing\n", "blog/urls.py:2: INSTALLED_APPS: app 'blog'"),
            ("conf/setting.py", "X = Y\n", "conf/setting.py:1: Settings module 'conf.setting' could not be imported"),
            ("runserver.py", None, "blog/views.py:1: RuntimeError: not now"),
        ],
    )
    def test_an_error_of_the_project_shows_its_line_first(
        self, project: Project, name: str, text: str | None, told: str
    ) -> None:
        """In the first line of what is written, and none of ours below it."""
        if text is None:  # raised when the server starts, by a hook
            text = (project.path / name).read_text()
            project.write("blog/views.py", "async def fail(self, application): raise RuntimeError('not now')\n" + VIEWS)
            project.write("middle.py", "from blog.views import fail\nclass M:\n    process_init = fail\n")
            project.write("conf/setting.py", SETTING + 'DEBUG = True\nMIDDLEWARE_CLASSES = ("middle.M",)\n')
        project.write(name, text)
        done = project.run("runserver.py", "--port=0", "--address=127.0.0.1")
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if not line.startswith("[")]
        assert lines[0].startswith(f"The server did not start. {told}"), done.stderr
        assert "torngas_aio/" not in done.stderr
        assert "Serving on" not in done.stderr + done.stdout

    def test_a_start_hook_that_takes_too_long_is_told_without_our_frames(self, project: Project) -> None:
        """In JSON where the lines on stderr are to be that."""
        project.write("middle.py", (
            "import asyncio\nfrom torngas_aio.lifespan import Lifespan\nLifespan.__init__.__defaults__ = (0.2,)\n"
            "class M:\n    async def process_init(self, application): await asyncio.sleep(60)\n"
        ))  # fmt: skip
        project.write("conf/setting.py", SETTING + 'DEBUG = True\nMIDDLEWARE_CLASSES = ("middle.M",)\n')
        done = project.run("runserver.py", "--port=0", "--address=127.0.0.1", "--log_formatter=json")
        assert done.returncode == 1
        told = [json.loads(line) for line in done.stderr.splitlines()][-1]
        assert told["level"] == "ERROR"
        assert re.match(r"The server did not start\. .*M took more than 0\.2 s\. A start hook", told["message"])
        assert "traceback" not in told

    @pytest.mark.parametrize("given", ["text", "{message}", "%"])
    def test_a_log_format_that_is_none_is_told_in_plain_text(self, project: Project, given: str) -> None:
        done = project.run("runserver.py", "--port=0", f"--log_formatter={given}")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"The server did not start. --log_formatter={given}: ")

    @pytest.mark.parametrize(
        ("words", "message"),
        [(["--prot", "1"], "Did you mean --port?"), (["--port", "0", "start"], "'start' is not an option.")],
    )
    def test_a_word_that_is_no_option_is_refused_without_the_help(
        self, project: Project, words: list[str], message: str
    ) -> None:
        """One line that names the nearest option."""
        done = project.run("runserver.py", *words)
        assert done.returncode == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_all_faults_are_listed_at_once(self, project: Project) -> None:
        """A plain hook, a misspelt setting, wrong paths, a name used twice, a bad `!x`, a missing secret."""
        project.write("plain.py", "class Plain:\n    def process_request(self, handler, clear): pass\n")
        project.write(
            "conf/setting.py",
            'INSTALLED_APPS = ("blog", "missing_app")\n'
            'MIDDLEWARE_CLASSES = ("plain.Plain", "absent.Middleware",'
            ' "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware")\n'
            'ROUTE_MODULES = {"index": ["!no.such.Module"]}\n'
            "TEMPLATE_CONFIGS = {}\n"
            "THREADS_NUM = 0\n",
        )
        project.write("blog/urls.py", URLS.replace('name="slow"', 'name="index"'))
        done = project.run("runserver.py", "--port=0")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        for part in (
            "app 'missing_app'",
            "'index' is used twice",
            "plain.py:2",
            "async def",
            "MIDDLEWARE_CLASSES[1] = 'absent.Middleware'",
            "ROUTE_MODULES['index'][0] = '!no.such.Module'",
            "TEMPLATE_CONFIGS: no such setting. Did you mean 'TEMPLATE_CONFIG'?",
            "THREADS_NUM = 0",
            "TORNADO_CONF['cookie_secret'] is missing, and DEBUG is off",
        ):
            assert part in done.stderr, done.stderr
        numbers = [line.strip()[0] for line in done.stderr.splitlines() if line.strip()[:1].isdigit()]
        assert len(numbers) == 8, done.stderr

    def test_a_port_in_use(self, project: Project) -> None:
        """Named, with what to do."""
        with project.serve("--port=0", "--address=127.0.0.1") as server:
            port = server.address.rpartition(":")[2]
            done = project.run("runserver.py", f"--port={port}", "--address=127.0.0.1")
            parent = project.run("runserver.py", f"--port={port}", "--workers=2")
        for each in (done, parent):
            assert each.returncode == 1
            assert f"Cannot listen on 127.0.0.1:{port}: the port is in use" in each.stderr
        assert "starts 2 workers" not in parent.stderr  # each of them would load everything before


@pytest.fixture
def configured() -> Iterator[None]:
    """Settings of a small application, in this process; the command line's options as they were."""
    settings.configure(TORNADO_CONF={"cookie_secret": SECRET}, MIDDLEWARE_CLASSES=())
    Server()
    parse_options(["runserver.py", "--port=0", "--address=127.0.0.1"])
    yield
    parse_options(["runserver.py"])
    settings.reset()


@pytest.mark.usefixtures("configured")
class TestEmbedded:
    async def test_it_runs_in_a_loop_of_the_program_s_own(self) -> None:
        """`async with Server().running()`; twice, for nothing is left behind."""
        for _ in range(2):
            async with Server().running() as server, httpx2.AsyncClient(trust_env=False) as client:
                assert (await client.get(server.addresses[0])).status_code == 404
            assert server.sockets == []

    async def test_it_takes_an_application(self) -> None:
        """An instance, with a secret of its own."""
        settings.configure(MIDDLEWARE_CLASSES=())
        application = Application(cookie_secret=SECRET)
        async with Server().running(application, max_body_size=5) as server:
            assert server.application is application
            assert application.settings["cookie_secret"] == SECRET

    def test_an_application_without_a_secret_gets_the_settings(self) -> None:
        """Its signed cookies work, and are the project's."""
        settings.configure(
            MIDDLEWARE_CLASSES=(), TORNADO_CONF={"cookie_secret": "of-the-settings-and-long-enough-to-sign"}
        )
        application = Application()
        assert Server().load_application(application) is application
        assert application.settings["cookie_secret"] == "of-the-settings-and-long-enough-to-sign"

    @pytest.mark.parametrize(
        "secret", ["short", "a" * 50, {1: "k7Jq2mZx9Lw4Rt6Yb1Nc8Vd3Fg5Hs0Pa", 2: "x"}, "secret" * 1]
    )
    async def test_an_application_with_a_weak_secret_is_refused_at_the_start(self, secret: Any) -> None:
        """Not when it is made: tests and scripts make applications, too."""
        application = Application(cookie_secret=secret)
        message = r"Application\(cookie_secret=\.\.\.\) is"
        with settings.override(MIDDLEWARE_CLASSES=(), TORNADO_CONF={"cookie_secret": SECRET}):
            with pytest.raises(ConfigError, match=message):
                await asyncio.to_thread(Server().load_application, application)
            with pytest.raises(ConfigError, match=message):
                await serve(application, port=0)
            with pytest.raises(ConfigError, match=message):
                get_asgi_application(application)
            with settings.override(DEBUG=True):
                assert get_asgi_application(application).application is application

    async def test_loading_errors_pass_and_leave_no_socket(self) -> None:
        """A fault of the settings is raised to the program."""
        settings.configure(MIDDLEWARE_CLASSES=("absent.Middleware",))
        with pytest.raises(ConfigError, match="2 faults"):
            async with Server().running():
                pytest.fail("The block must not run.")


@pytest.mark.usefixtures("configured")
class TestSteps:
    @pytest.mark.parametrize("wrong", [web.Application, web.Application(), dict, "blog.App", 5])
    def test_only_our_application_is_taken(self, wrong: Any) -> None:
        """A plain Tornado application is an ArgumentError that says what to give."""
        with pytest.raises(ArgumentError, match=r"instance or a subclass of torngas_aio.application.Application"):
            Server().load_application(wrong)

    def test_a_subclass_is_built_of_the_settings(self) -> None:
        """Its handlers, middlewares and Tornado's settings are those of the project."""

        class Mine(Application):
            pass

        server = Server()
        made = server.load_application(Mine)
        assert isinstance(made, Mine)
        assert made.settings["cookie_secret"] == SECRET
        assert made.settings.get("autoreload") is False

    def test_steps_out_of_order_say_what_is_missing(self) -> None:
        """Nothing to serve, nothing to start."""
        with pytest.raises(ArgumentError, match="Call load_application"):
            Server().load_httpserver()
        with pytest.raises(ArgumentError, match="Call load_all"):
            Server().start()

    def test_arguments_are_checked_when_the_server_is_made(self) -> None:
        """Before any socket is bound."""
        server = Server()
        server.load_application()
        with pytest.raises(ArgumentError, match="'nonsense'"):
            server.load_httpserver(nonsense=1)
        assert server.sockets == []

    def test_binding_arguments_do_not_reach_the_http_server(self) -> None:
        """`backlog` is the sockets'."""
        server = Server()
        server.load_application()
        server.load_httpserver(backlog=5, no_keep_alive=True)
        assert server.addresses[0].startswith("http://127.0.0.1:")
        for each in server.sockets:
            each.close()

    def test_the_command_line_chooses_the_settings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """parse_command loads them, sets --logging_dir and returns what is left."""
        (tmp_path / "conf_chosen.py").write_text("THREADS_NUM = 3\nLOGGING = ()\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        server = Server()
        rest = server.parse_command(["x", "--settings=conf_chosen", f"--logging_dir={tmp_path}", "--port=7", "rest"])
        assert rest == ["rest"]
        assert (settings.THREADS_NUM, settings.LOGGING_DIR) == (3, str(tmp_path))
        assert options.port == 7

    def test_the_project_is_on_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given, or the folder of the program that was started."""
        monkeypatch.setattr(sys, "path", list(sys.path))
        Server(tmp_path)
        assert sys.path[0] == str(tmp_path)
        Server(tmp_path)
        assert sys.path.count(str(tmp_path)) == 1


def _wait_for(server: RunningServer, text: str, times: int = 1, touch: Path | None = None) -> None:
    """Wait until *text* was logged *times* times; *touch* is edited again meanwhile, in case nobody watched yet."""
    edited = itertools.count(time.time())

    def is_said() -> bool:
        if touch is not None:
            os.utime(touch, (moment := next(edited), moment))
        return server.log.count(text) >= times

    try:
        wait_until(is_said, 40)
    except TimeoutError:
        pytest.fail(server.log)
