"""check: what is wrong with the project, all at once."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import edit
from tests.cli.test_routes import Capture
from torngas_aio.cli import main
from torngas_aio.cli.check import former_default_cautions
from torngas_aio.settings_manager import settings


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

    @pytest.mark.parametrize(
        "setting",
        [
            "ALLOWED_HOSTS", "AUTH", "CACHES", "CHANNELS", "COMMON_MODULES", "CORS", "DATABASE_CONNECTION", "HEALTH",
            "INSTALLED_APPS", "JOBS", "LOGGING", "METRICS", "MIDDLEWARE_CLASSES", "OPENAPI", "RATE_LIMIT",
            "ROUTE_MODULES", "SECURITY_HEADERS", "SESSION", "TEMPLATE_CONFIG", "TORNADO_CONF", "TRACES",
            "TRANSLATIONS_CONF", "TRUSTED_PROXIES", "WHITELIST",
        ],
    )  # fmt: skip
    def test_a_value_of_another_kind_is_a_fault(self, setting: str, project: Path, capsys: Capture) -> None:
        """Where a dict or a list is wanted; the fault is listed once, and what would use the value is left out."""
        path = project / "settings/setting.py"
        path.write_text(f"{path.read_text()}\nTRANSLATIONS = True\n{setting} = 5\n")
        assert main(["check"]) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"fault: {setting} = 5: ")]
        assert len(lines) == 1

    @pytest.mark.parametrize("value", ["{'ready': 5}", "{'networks': ['10.0.0.1/8']}"])
    def test_a_path_that_is_none_is_a_fault(self, value: str, project: Path, capsys: Capture) -> None:
        path = project / "settings/setting.py"
        path.write_text(f"{path.read_text()}\nHEALTH = {value}\n")
        assert main(["check"]) == 1
        assert "fault: HEALTH['" in capsys.readouterr().err

    def test_cautions_are_no_faults(self, many: Path, capsys: Capture, caplog: pytest.LogCaptureFixture) -> None:
        """A foreign handler is named; modules that never run are, too; each once, so not in the log as well."""
        edit(many / "settings/setting.py", '    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",\n', "")
        assert main(["check", "--workers=4"]) == 0
        out = capsys.readouterr().out
        assert "caution: COMMON_MODULES and ROUTE_MODULES have no effect" in out
        assert "caution: /plain: home.urls.Plain is plain Tornado and gets the call hooks only." in out
        assert out.endswith("no faults, 2 cautions, 8 routes.\n")
        assert "have no effect" not in caplog.text

    def test_an_event_stream_of_an_unknown_alias_is_a_caution(self, many: Path, capsys: Capture) -> None:
        urls = next(path for path in many.rglob("urls.py") if "Plain" in path.read_text())
        edit(urls, "class Ours(WebHandler):\n    pass", "class Ours(WebHandler):\n    channels_alias = 'nope'")
        assert main(["check"]) == 0
        assert ".Ours.channels_alias = 'nope': no such entry of CHANNELS." in capsys.readouterr().out

    @pytest.mark.parametrize("workers", [1, 3])
    def test_what_each_of_several_workers_would_have_for_itself_is_a_caution(
        self, many: Path, capsys: Capture, workers: int
    ) -> None:
        urls = next(path for path in many.rglob("urls.py") if "Plain" in path.read_text())
        edit(urls, "class Ours(WebHandler):\n    pass", f"""
from torngas_aio.handler import EventStreamHandler
from torngas_aio.jobs import job
@job(every=60, name="often of {workers}")
async def often(): ...
class Ours(EventStreamHandler):
    channel_names = ("news",)
""")  # fmt: skip
        assert main(["check", f"--workers={workers}"]) == 0
        told = capsys.readouterr().out
        assert ("CHANNELS['default'] is in memory: each of 3 workers" in told) is (workers > 1)
        assert (f"JOBS['default'] is in memory: often of {workers} runs in each" in told) is (workers > 1)

    @pytest.mark.parametrize(
        ("pattern", "is_told"),
        [
            ("^/zzz/", True), ("^/things/[0-9]+$", False), ("^/thing$", False), ("^/plain$", False), ("zzz/.*", False),
            ("^/(zzz|yyy)/", True), (r"\\A/zzz", True), ("^", False), ("^.*/edit$", False),
        ],
    )  # fmt: skip
    def test_a_path_expression_that_fits_no_route_is_a_caution(
        self, many: Path, capsys: Capture, pattern: str, is_told: bool
    ) -> None:
        urls = next(path for path in many.rglob("urls.py") if "Plain" in path.read_text())
        edit(urls, '    url(r"([a-z/]*)", Ours, name="open"),\n', "")
        setting = many / "settings/setting.py"
        setting.write_text(
            f"{setting.read_text()}\nROUTE_MODULES = {{'{pattern}': ['torngas_aio.auth.LoginRequired']}}\n"
        )
        assert main(["check"]) == 0
        told = f"ROUTE_MODULES[{pattern.encode().decode('unicode_escape')!r}] matches the path of no route"
        assert (told in capsys.readouterr().out) is is_told

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


REDIS = "torngas_aio.cache.backends.rediscache.RedisCache"


def cautions(folder: Path, **values: Any) -> list[str]:
    with settings.override(**{"CACHES": {}, **values}):
        return list(former_default_cautions(folder))


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("await cache.set('k', 1, 0)", [1]),
        ("await cache.set('k', 1, timeout=0)", [1]),
        ("await caches['x'].touch('k', 0)\nawait self.cache.expire('k', 0)", [1, 2]),
        ("await cache.set('k', 0)\nawait cache.set('k', 0, 5)\nawait cache.set('k', 1, timeout=None)", []),
        ("d.set('k', 1, 0)\nwait(timeout=0)\nawait cache.incr('k', 0)", []),
    ],
)
def test_a_timeout_of_zero(tmp_path: Path, code: str, lines: list[int]) -> None:
    (tmp_path / "a.py").write_text(code, encoding="utf-8")
    told = [f"a.py:{line}: timeout=0 expires at once; None keeps a value for ever." for line in lines]
    assert cautions(tmp_path) == told


@pytest.mark.parametrize(
    ("cache", "is_told"),
    [
        ({"BACKEND": REDIS, "LOCATION": "127.0.0.1:6379"}, True),
        ({"BACKEND": REDIS, "LOCATION": "127.0.0.1:6379", "OPTIONS": {"DB": 0}}, False),
        ({"BACKEND": REDIS, "LOCATION": "redis://127.0.0.1/2"}, False),
        ({"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache"}, False),
    ],
)
def test_redis_without_a_number(tmp_path: Path, cache: dict[str, Any], is_told: bool) -> None:
    told = cautions(tmp_path, CACHES={"shared": cache})
    assert [each.startswith("CACHES['shared'] names no DB: it is 0, and was 1") for each in told] == [True] * is_told


def test_forms_with_a_token_that_nothing_checks(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/form.html").write_text("<form>\n{% raw xsrf_form_html() %}", encoding="utf-8")
    (told,) = cautions(tmp_path, TORNADO_CONF={"xsrf_cookies": False})
    assert told.startswith("templates/form.html:2: the form has a token")
    assert cautions(tmp_path, TORNADO_CONF={"xsrf_cookies": True}) == []


def test_the_language_of_visitors_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = cautions(tmp_path, TRANSLATIONS=True)
    assert "it is 'en_US', and was 'zh_CN'" in told
    module = types.ModuleType("own_settings")
    module.TRANSLATIONS_CONF = {"locale_default": "en_US"}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_settings", module)
    monkeypatch.setitem(vars(settings), "source", "own_settings")
    assert cautions(tmp_path, TRANSLATIONS=True) == []
