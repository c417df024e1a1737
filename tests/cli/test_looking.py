"""routes, pipeline, check and shell tell what is there."""

import sys
from pathlib import Path

import pytest

from torngas_aio.cli import main

Capture = pytest.CaptureFixture[str]

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


class TestRoutes:
    def test_each_route_is_a_line(self, many: Path, capsys: Capture) -> None:
        """Pattern, name, handler, hooks a stage, modules; in the order of declaration."""
        assert main(["routes"]) == 0
        lines = capsys.readouterr().out.splitlines()
        by_name = {name: next(line for line in lines if f" {name} " in line) for name in (
            "index", "thing-one", "thing-all", "plain", "open")}  # fmt: skip
        assert list(by_name.values()) == [line for line in lines if "home.urls" in line]
        assert "/things/([0-9]+)" in by_name["thing-one"]
        assert "home.urls.Ours" in by_name["thing-one"]
        assert by_name["thing-one"].endswith("NoStoreModule")
        assert "call:1 request:1 render:1 response:2 endcall:1 exception:1" in by_name["thing-one"]
        assert by_name["thing-all"].endswith(" -")

    def test_slow_and_foreign_ones_are_marked(self, many: Path, capsys: Capture) -> None:
        """With what the marks mean."""
        assert main(["routes"]) == 0
        out = capsys.readouterr().out
        marked = {
            line.split()[2]: line.split()[0] for line in out.splitlines() if line[:1] in "*!" and "home.urls" in line
        }
        assert marked == {"open": "*", "plain": "!"}
        assert "* no literal opening: tried one after the other" in out
        assert "! a plain Tornado handler: it gets the call hooks only" in out
        plain = next(line for line in out.splitlines() if line.startswith("!  /plain"))
        assert plain.split()[4:] == ["call:1", "-"]


class TestPipeline:
    def test_hooks_come_in_the_order_they_run(self, many: Path, capsys: Capture) -> None:
        """Stage by stage, each with file and line; modules stand where their middleware does."""
        assert main(["pipeline", "/things/7"]) == 0
        lines = capsys.readouterr().out.splitlines()
        stages = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
        assert stages == ["init", "call", "route", "request", "handler", "render", "response", "endcall", "exception",
                          "shutdown"]  # fmt: skip
        start = lines.index("response")
        assert [line.split()[1:] for line in lines[start + 1 : start + 3]] == [
            ["httpmodules.nostore.NoStoreModule.begin_response", "httpmodules/nostore.py:12"],
            ["middlewares.timing.TimingMiddleware.process_response", "middlewares/timing.py:12"],
        ]
        assert "  1. middlewares.watch.Watch.process_call  middlewares/watch.py:4" in lines
        assert "handler    home.urls.Ours  home/urls.py:9" in lines

    def test_a_name_is_as_good_as_a_path(self, many: Path, capsys: Capture) -> None:
        """The same lines; a query string is no part of the path."""
        assert main(["pipeline", "thing-one"]) == 0
        by_name = capsys.readouterr().out
        assert main(["pipeline", "/things/1?page=2"]) == 0
        assert capsys.readouterr().out == by_name

    def test_the_request_stage_is_shown_in_its_halves(self, many: Path, capsys: Capture) -> None:
        """What runs before the body stands first, in a list of its own."""
        (many / "middlewares/early.py").write_text(WATCH.replace("Watch:", "Early:\n    before_body = True"))
        edit(many / "settings/setting.py", '"middlewares.timing', '"middlewares.early.Early",\n    "middlewares.timing')
        assert main(["pipeline", "/things/1"]) == 0
        shown = capsys.readouterr().out
        first, then = (
            shown.index("request    (before the body is read)"),
            shown.index("request    (once the body is read)"),
        )
        assert first < shown.index("Early.process_request") < then < shown.index("Watch.process_request")

    def test_what_has_no_route_or_no_pipeline_says_so(self, many: Path, capsys: Capture) -> None:
        """A 404 runs the middlewares, a plain Tornado handler the call hooks only."""
        assert main(["pipeline", "/NOWHERE"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("/NOWHERE: no route, answered 404")
        assert "process_endcall" in out
        assert main(["pipeline", "/plain"]) == 0
        out = capsys.readouterr().out
        assert "a plain Tornado handler, which gets the call hooks only" in out
        assert "process_call" in out
        assert "process_endcall" not in out

    def test_an_unknown_name_is_refused(self, many: Path, capsys: Capture) -> None:
        """The known ones are named."""
        assert main(["pipeline", "thing"]) == 1
        assert "No route is named 'thing'. Known are all, index" not in capsys.readouterr().err
        assert main(["pipeline", "nothing"]) == 1
        assert "Known are index, open, plain, thing-all, thing-one; a path starts with '/'." in capsys.readouterr().err


class TestCheck:
    def test_a_sound_project_has_no_faults(self, project: Path, capsys: Capture) -> None:
        """Status 0, and how much was looked at."""
        assert main(["check"]) == 0
        assert capsys.readouterr().out == "settings.setting: no faults, 0 cautions, 5 routes.\n"

    def test_every_fault_is_listed(self, project: Path, capsys: Capture) -> None:
        """Status 1; settings, URLs, hooks and modules in one go."""
        setting = project / "settings/setting.py"
        edit(setting, 'INSTALLED_APPS = ("home",)', 'INSTALLED_APPS = ("home", "shop")\nTHREADS_NUM = 0')
        edit(setting, '"!httpmodules', '"!httpmodule')
        edit(project / "middlewares/timing.py", "async def process_response", "def process_response")
        assert main(["check"]) == 1
        captured = capsys.readouterr()
        lines = captured.err.splitlines()
        assert captured.out == ""
        assert lines[-1] == "4 faults."
        assert all(line.startswith("fault: ") for line in lines[:-1])
        for part in ("'shop'", "THREADS_NUM = 0", "!httpmodule.nostore", "middlewares/timing.py:12"):
            assert sum(part in line for line in lines) == 1, captured.err

    def test_cautions_are_no_faults(self, many: Path, capsys: Capture, caplog: pytest.LogCaptureFixture) -> None:
        """A foreign handler is named; modules that never run are, too; each once, so not in the log as well."""
        edit(many / "settings/setting.py", '    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",\n', "")
        assert main(["check", "--workers=4"]) == 0
        out = capsys.readouterr().out
        assert "caution: COMMON_MODULES and ROUTE_MODULES have no effect" in out
        assert "caution: /plain: home.urls.Plain is plain Tornado and gets the call hooks only." in out
        assert out.endswith("no faults, 2 cautions, 8 routes.\n")
        assert "have no effect" not in caplog.text

    def test_a_module_that_ends_the_program_is_a_fault(self, project: Path, capsys: Capture) -> None:
        """Whatever its status; so is a middleware whose constructor does."""
        (project / "home/urls.py").write_text("import sys\nsys.exit()\n")
        timing = project / "middlewares/timing.py"
        timing.write_text(timing.read_text() + "\n    def __init__(self):\n        exit(0)\n")
        assert main(["check"]) == 1
        told = capsys.readouterr().err
        assert "fault: home/urls.py:2: RuntimeError: sys.exit() was called." in told
        assert "RuntimeError('sys.exit(0) was called.')" in told
        assert "2 faults." in told

    def test_routes_that_got_a_slash_are_listed(self, many: Path, capsys: Capture) -> None:
        """With the place of the include and both ways to write it."""
        edit(many / "home/urls.py", r'url(r"/all/?"', r'url(r"all/?"')
        assert main(["check"]) == 0
        out = capsys.readouterr().out
        assert "home/urls.py:16: include('/things', ...) puts a slash before 'all/?', which 2.0.0 did not." in out
        assert main(["routes"]) == 0
        assert "/things/all/?" in capsys.readouterr().out

    @pytest.mark.parametrize("lines", ["TRUSTED_PROXY_HEADERS = ('X-Real-IP',)", "XHEADERS = False"])
    def test_deployment_asks_for_the_headers_of_the_proxy(self, project: Path, capsys: Capture, lines: str) -> None:
        """Until the setting is made, or no forwarded header is believed."""
        setting = project / "settings/setting.py"
        setting.write_text(f"{setting.read_text()}\n{lines}\n")
        assert main(["check", "--deploy"]) == 0
        assert "TRUSTED_PROXY_HEADERS" not in capsys.readouterr().out

    def test_deployment_without_the_headers_of_the_proxy(self, project: Path, capsys: Capture) -> None:
        assert main(["check", "--deploy"]) == 0
        assert "caution: TRUSTED_PROXY_HEADERS is not set and XHEADERS is on" in capsys.readouterr().out

    def test_a_method_that_does_not_fit_its_pattern_is_found(self, many: Path, capsys: Capture) -> None:
        """A fault where the route never works, a caution where another method does."""
        edit(
            many / "home/urls.py",
            "class Ours(WebHandler):\n    pass",
            "class Ours(WebHandler):\n    def get(self): ...",
        )
        assert main(["check"]) == 1
        err = capsys.readouterr().err
        assert "home/urls.py:13: '/things/([0-9]+)' gives 1 argument, which home.urls.Ours.get(self)" in err
        del sys.modules["home"], sys.modules["home.urls"]
        edit(many / "home/urls.py", "def get(self): ...", "def get(self): ...\n    def put(self, key=''): ...")
        assert main(["check"]) == 0
        assert "caution: home/urls.py:" in capsys.readouterr().out

    @pytest.mark.parametrize("name", ["INSTALLED_APPS", "MIDDLEWARE_CLASSES", "COMMON_MODULES"])
    def test_a_tuple_of_one_without_its_comma_is_one_fault(self, project: Path, capsys: Capture, name: str) -> None:
        """Not one for each of its letters."""
        setting = project / "settings/setting.py"
        setting.write_text(f"{setting.read_text()}\nROUTE_MODULES = {{}}\n{name} = ('home')\n")
        assert main(["check"]) == 1
        err = capsys.readouterr().err
        assert f"fault: {name} = 'home': must be a list or tuple; a tuple of one wants a comma: ('home',)." in err
        assert err.endswith("\n1 fault.\n")

    def test_import_errors_of_apps_stand_beside_the_other_faults(self, project: Path, capsys: Capture) -> None:
        """Each with the project's line first."""
        setting = project / "settings/setting.py"
        setting.write_text(f"{setting.read_text()}\nTHREADS_NUM = 0\nTEMPLATE_CONFIG = {{'autoescap': True}}\n")
        handler = project / "home/handlers/main_handler.py"
        handler.write_text("class Index(Missing): pass\n")
        assert main(["check"]) == 1
        err = capsys.readouterr().err
        assert "fault: home/handlers/main_handler.py:1: NameError: name 'Missing' is not defined" in err
        assert "THREADS_NUM = 0" in err
        assert "TEMPLATE_CONFIG['autoescap']" in err
        assert err.endswith("\n3 faults.\n")


class TestDeployment:
    SECURE = (
        "DEBUG = False\nTRUSTED_PROXY_HEADERS = ()\nALLOWED_HOSTS = ('example.com',)\n"
        "SECURITY_HEADERS = {'Strict-Transport-Security': 'max-age=31536000'}\n"
        "SESSION = {'secure': True, 'secret_key': 'k-long-and-random-secret-of-this-test'}\n"
        "TORNADO_CONF = {'cookie_secret': 'a-long-and-random-secret-of-this-test', 'xsrf_cookies': True,"
        " 'xsrf_cookie_kwargs': {'secure': True}}\n"
        "MIDDLEWARE_CLASSES = ('torngas_aio.middleware.security.AllowedHostsMiddleware',"
        " 'torngas_aio.middleware.security.SecurityHeadersMiddleware',"
        " 'torngas_aio.middleware.session.SessionMiddleware')\n"
    )

    def check(self, directory: Path, capsys: Capture, settings: str, *words: str) -> str:
        (directory / "conf.py").write_text(self.SECURE + settings)
        sys.modules.pop("conf", None)
        assert main(["check", "--settings=conf", *words]) == 0
        return capsys.readouterr().out

    def test_a_site_in_order_has_no_cautions(self, directory: Path, capsys: Capture) -> None:
        assert self.check(directory, capsys, "", "--deploy") == "conf: no faults, 0 cautions, 0 routes.\n"

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ("DEBUG = True", "DEBUG is on"),
            ("SESSION = {**SESSION, 'secure': False}", "SESSION['secure'] is False"),
            ("SESSION = {**SESSION, 'httponly': False}", "SESSION['httponly'] is False"),
            ("TORNADO_CONF = {**TORNADO_CONF, 'xsrf_cookies': False}", "TORNADO_CONF['xsrf_cookies'] is off"),
            ("TORNADO_CONF = {**TORNADO_CONF, 'xsrf_cookie_kwargs': {}}", "TORNADO_CONF['xsrf_cookie_kwargs'] lacks"),
            ("SECURITY_HEADERS = {}", "No Strict-Transport-Security header"),
            ("SECURITY_HEADERS = {'strict-transport-security': None}", "No Strict-Transport-Security header"),
            (
                "SECURITY_HEADERS = {'strict-transport-security': 'max-age=0'}",
                "SECURITY_HEADERS['Strict-Transport-Security'] = ",
            ),
            ("MIDDLEWARE_CLASSES = MIDDLEWARE_CLASSES[:1]", "No Strict-Transport-Security header"),
            ("MIDDLEWARE_CLASSES = MIDDLEWARE_CLASSES[1:]", "Any Host header is answered"),
            ("ALLOWED_HOSTS = ('*',)", "Any Host header is answered"),
        ],
    )
    def test_what_is_fit_for_development_only_is_told(
        self, directory: Path, capsys: Capture, settings: str, told: str
    ) -> None:
        """Only when it is asked for, one caution each."""
        out = self.check(directory, capsys, settings, "--deploy")
        assert f"caution: {told}" in out
        assert "1 caution," in out
        assert "0 cautions," in self.check(directory, capsys, settings)


class TestSettingsChoice:
    def test_the_option_wins(self, project: Path, capsys: Capture) -> None:
        """Over everything else; a wrong one is a clear error."""
        assert main(["check", "--settings=settings.nothing"]) == 1
        assert "Settings module 'settings.nothing'" in capsys.readouterr().err

    def test_pyproject_may_name_it(self, project: Path, capsys: Capture) -> None:
        """[tool.torngas-aio] settings."""
        (project / "conf_other.py").write_text("DEBUG = True\nMIDDLEWARE_CLASSES = ()\n")
        edit(project / "pyproject.toml", '[tool.torngas-aio]\nsettings = "settings.setting"',
             '[tool.torngas-aio]\nsettings = "conf_other"')  # fmt: skip
        assert main(["check"]) == 0
        assert capsys.readouterr().out.startswith("conf_other: no faults")

    def test_the_usual_place_is_looked_at(self, project: Path, capsys: Capture) -> None:
        """Without a word anywhere, settings/setting.py is it."""
        (project / "pyproject.toml").unlink()
        assert main(["check"]) == 0
        assert capsys.readouterr().out.startswith("settings.setting: no faults")

    def test_outside_of_a_project_it_says_so(self, directory: Path, capsys: Capture) -> None:
        """With what to do."""
        assert main(["check"]) == 1
        assert "No settings module. Run this in the project's directory" in capsys.readouterr().err

    def test_a_pyproject_that_cannot_be_read_is_a_clear_error(self, directory: Path, capsys: Capture) -> None:
        """With its path and line."""
        (directory / "pyproject.toml").write_text("[tool\n")
        assert main(["check"]) == 1
        assert "pyproject.toml: Expected ']'" in capsys.readouterr().err


class TestShell:
    def test_await_works(self, project: Path, capsys: Capture) -> None:
        """Several lines; the project's names are there, and the application is started."""
        code = (
            "import asyncio\n"
            "await cache.set('a', 5)\n"
            "print(await cache.get('a'), settings.DEBUG, application.lifespan.is_open)\n"
        )
        assert main(["shell", "-c", code]) == 0
        assert capsys.readouterr().out == "5 True True\n"

    def test_an_error_is_shown_and_counts(self, project: Path, capsys: Capture) -> None:
        """Status 1, with the traceback; also for what is no Python."""
        assert main(["shell", "-c", "await cache.get('a')\n1/0"]) == 1
        assert "ZeroDivisionError" in capsys.readouterr().err
        assert main(["shell", "-c", "this is no python"]) == 1
        assert "SyntaxError" in capsys.readouterr().err

    def test_exit_ends_it(self, project: Path) -> None:
        """With its status, after the application was shut down."""
        with pytest.raises(SystemExit) as caught:
            main(["shell", "-c", "raise SystemExit(3)"])
        assert caught.value.code == 3

    def test_a_prompt_reads_until_the_end(
        self, project: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An error ends nothing; names last from line to line."""
        typed = iter(["x = await cache.get('no', 7)", "1/0", "print(x + 1)"])

        def read(prompt: str = "") -> str:
            try:
                return next(typed)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read)
        assert main(["shell"]) == 0
        captured = capsys.readouterr()
        assert captured.out.strip() == "8"
        assert "ZeroDivisionError" in captured.err
        assert "`await` works" in captured.err
