"""Every fault of the settings is found, at once, with its path and a way to mend it."""

from typing import Any

import pytest

from torngas_aio import global_settings
from torngas_aio.checks import cautions, check_settings
from torngas_aio.checks.shapes import SHAPES
from torngas_aio.db.dbalchemy.specs import parse_databases
from torngas_aio.exception import Fault
from torngas_aio.settings_manager import Settings

SECRET = "a-long-and-random-secret-of-this-test"
HOOKLESS: dict[str, Any] = {"MIDDLEWARE_CLASSES": (), "TORNADO_CONF": {"cookie_secret": SECRET}}


def faults_of(**values: Any) -> list[Fault]:
    settings = Settings()
    settings.configure(**{**HOOKLESS, **values})
    return check_settings(settings)


def test_the_defaults_have_no_fault_but_the_missing_secret() -> None:
    """The defaults pass their own checks, without any optional library being imported."""
    assert faults_of() == []
    assert [fault.split(" is ")[0] for fault in faults_of(TORNADO_CONF={})] == ["TORNADO_CONF['cookie_secret']"]


def test_every_setting_has_a_shape() -> None:
    """A default added later needs a check of its own."""
    names = {name for name in vars(global_settings) if name.isupper()}
    assert set(SHAPES) == names, "give each setting a check in SHAPES of checks/shapes.py; recipe: CONTRIBUTING.md"


def test_every_default_of_a_session_has_its_key() -> None:
    """The closed table of SESSION knows each default."""
    assert faults_of(SESSION=dict(global_settings.SESSION)) == []


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"DEBUG": "yes"}, "DEBUG = 'yes': must be True or False."),
        ({"THREADS_NUM": 0}, "THREADS_NUM = 0: must be a whole number of at least 1."),
        ({"THREADS_NUM": True}, "THREADS_NUM = True: must be a whole number of at least 1."),
        ({"REQUEST_TIMEOUT": -1}, "REQUEST_TIMEOUT = -1: must be a number of seconds, 0 or more; or None."),
        ({"LOGGING_DIR": None}, "LOGGING_DIR = None: must be a string."),
        ({"LOGGING_DIR": "/dev/null"}, "LOGGING_DIR = '/dev/null': must be a folder, and /dev/null is none."),
        ({"LOGGING_DIR": "/dev/null/a"}, "LOGGING_DIR = '/dev/null/a': must be a folder, and /dev/null is none."),
        ({"TRACES": {"ratio": 50}}, "TRACES['ratio'] = 50: must be a share from 0 to 1, such as 0.01 for 1 %."),
        ({"TRACES": {"ratio": "1%"}}, "TRACES['ratio'] = '1%': must be a share from 0 to 1"),
        ({"METRICS": {"seconds": [5, 1]}}, "METRICS['seconds'] = [5, 1]: must be upper bounds, each larger than"),
        ({"METRICS": {"bytes": []}}, "METRICS['bytes'] = []: must be upper bounds"),
        ({"METRICS": {"bytes": [0, 1]}}, "METRICS['bytes'][0] = 0: must be a finite number above 0."),
        ({"METRICS": {"path": "metrics"}}, "METRICS['path'] = 'metrics': must be a path that begins with '/'."),
        ({"METRICS": {"token": ""}}, "METRICS['token'] is shorter than 16 characters. Take a longer one; or None."),
        (
            {"SQLALCHEMY_CONFIGURATION": {"sqlalchemy.pool_size": "ten"}},
            "SQLALCHEMY_CONFIGURATION['sqlalchemy.pool_size'] = 'ten': must be a whole number.",
        ),
        (
            {"INSTALLED_APPS": "blog"},
            "INSTALLED_APPS = 'blog': must be a list or tuple; a tuple of one wants a comma: ('blog',).",
        ),
        ({"INSTALLED_APPS": {1}}, "INSTALLED_APPS = {1}: must be a list or tuple."),
        ({"INSTALLED_APPS": ["a", 5]}, "INSTALLED_APPS[1] = 5: must be a string."),
        (
            {"TRUSTED_PROXY_HEADERS": ["X-Real-IP", "forwarded", "X-Client-IP"]},
            "TRUSTED_PROXY_HEADERS[2] = 'X-Client-IP': must be one of 'X-Forwarded-For', 'X-Forwarded-Proto', ",
        ),
        (
            {"TRUSTED_PROXIES": ["10.0.0.0/8", "unix", "proxy.local"]},
            "TRUSTED_PROXIES[2] = 'proxy.local': must be an IP address or network, such as '10.0.0.7' or '10.0.0.0/8'",
        ),
        (
            {"WHITELIST": True},
            "WHITELIST = True: must be a list or tuple; or False.",
        ),
        ({"CACHES": []}, "CACHES = []: must be a dict."),
        ({"ROUTE_MODULES": {"(": []}}, "ROUTE_MODULES['(']: no regular expression: missing ), unterminated"),
        ({"ROUTE_MODULES": {5: []}}, "ROUTE_MODULES[5] = 5: must be a string."),
        ({"ROUTE_MODULES": {"a": [7]}}, "ROUTE_MODULES['a'][0] = 7: must be a full dotted path or a class."),
        ({"MIDDLEWARE_CLASSES": [7]}, "MIDDLEWARE_CLASSES[0] = 7: must be a full dotted path or a class."),
        (
            {"MIDDLEWARE_CLASSES": ["no dots!"]},
            "MIDDLEWARE_CLASSES[0] = 'no dots!': must be a full dotted path, such as 'package.module.Class'.",
        ),
        ({"SESSION": 5}, "SESSION = 5: must be a dict."),
        ({"SESSION": {"expires": "1h"}}, "SESSION['expires'] = '1h': must be a number of seconds, 0 or more."),
        ({"SESSION": {"expire": 5}}, "SESSION['expire']: no such key. Did you mean 'expires'?"),
        ({"SESSION": {"zzzz": 5}}, "SESSION['zzzz']: no such key. Known are session_cache_alias, "),
        (
            {"SESSION": {"samesite": "lax"}},
            "SESSION['samesite'] = 'lax': must be one of 'Lax', 'Strict', 'None', ''; or None.",
        ),
        (
            {"SESSION": {"secret_key": {1: SECRET}}},
            "SESSION['secret_key']: must be a string, not dict; or None.",
        ),
        ({"SESSION": {"secret_key": 5}}, "SESSION['secret_key']: must be a string, not int; or None."),
        ({"TORNADO_CONF": {"cookie_secret": 5}}, "TORNADO_CONF['cookie_secret']: must be a string, not int; or None."),
        (
            {"TORNADO_CONF": {"cookie_secret": SECRET, "static_pth": "x"}},
            "TORNADO_CONF['static_pth']: no such key. Did you mean 'static_path'?",
        ),
        ({"CACHE": {}}, "CACHE: no such setting. Did you mean 'CACHES'?"),
        ({"LOGGING": [{"level": "INFO"}]}, "LOGGING[0]['name'] is missing."),
        ({"LOGGING": ["x"]}, "LOGGING[0] = 'x': must be a dict."),
        ({"LOGGING": [{"name": "a", "level": "LOUD"}]}, "LOGGING[0]['level'] = 'LOUD': no such level."),
        ({"LOGGING": [{"name": "a", "level": 1.5}]}, "LOGGING[0]['level'] = 1.5: must be a whole number"),
        ({"LOGGING": [{"name": "a", "when": "w9"}]}, "LOGGING[0]['when'] = 'w9': must be one of 'S', 'M', 'H',"),
        ({"LOGGING": [{"name": "a", "formatter": "no field"}]}, "LOGGING[0]['formatter'] = 'no field': "),
        ({"LOGGING": [{"name": "a", "file": "a.log"}]}, "LOGGING[0]['file']: no such key."),
        (
            {"MANAGEMENT": "9100"},
            "MANAGEMENT = '9100': write host:port, such as '127.0.0.1:9100', or unix: and a path.",
        ),
        ({"MANAGEMENT": "127.0.0.1:http"}, "MANAGEMENT = '127.0.0.1:http': write host:port"),
        ({"MANAGEMENT": "127.0.0.1:70000"}, "MANAGEMENT = '127.0.0.1:70000': write host:port"),
        ({"MANAGEMENT": "unix:"}, "MANAGEMENT = 'unix:': write host:port"),
        ({"MANAGEMENT": 9100}, "MANAGEMENT = 9100: must be a string."),
        ({"HEALTH": {"redy": "/ready"}}, "HEALTH['redy']: no such key. Did you mean 'ready'?"),
        ({"HEALTH": {"ready": 5}}, "HEALTH['ready'] = 5: must be a path that begins with '/'; or None."),
        ({"HEALTH": {"networks": ["10.0.0.1/8"]}}, "HEALTH['networks'][0] = '10.0.0.1/8': must be an IP address"),
        ({"OPENAPI": {"titel": "Blog"}}, "OPENAPI['titel']: no such key. Did you mean 'title'?"),
        ({"OPENAPI": {"path": "api.json"}}, "OPENAPI['path'] = 'api.json': must be a path that begins with '/'."),
        ({"AUTH": {"load_users": "a.b"}}, "AUTH['load_users']: no such key. Did you mean 'load_user'?"),
        ({"AUTH": {"load_user": "a b"}}, "AUTH['load_user'] = 'a b': must be a full dotted path"),
        ({"SQLALCHEMY_CONFIGURATION": {"echo": True}}, "SQLALCHEMY_CONFIGURATION['echo']: no such key. Write 'sql"),
        ({"CACHES": {"other": {"BACKEND": dict}}}, "CACHES['default'] is missing"),
        ({"CACHES": {"default": {}}}, "CACHES['default']['BACKEND'] is missing."),
        (
            {"CACHES": {"default": {"BACKEND": dict, "TIMEOUT": "5"}}},
            "CACHES['default']['TIMEOUT'] = '5': must be a number of seconds, 0 or more; or None.",
        ),
        (
            {"CACHES": {"default": {"BACKEND": dict, "OPTION": {}}}},
            "CACHES['default']['OPTION']: no such key. Did you mean 'OPTIONS'?",
        ),
        ({"WHITELIST": ("10.0.0.1/8",)}, "WHITELIST[0] = '10.0.0.1/8': must be an IP address or network, such as"),
        ({"WHITELIST": ["::1", "2001:db8::1/32"]}, "WHITELIST[1] = '2001:db8::1/32': must be an IP address or"),
        ({"WHITELIST": [5]}, "WHITELIST[0] = 5: must be an IP address or network"),
        ({"WHITELIST": [b"abcd"]}, "WHITELIST[0] = b'abcd': must be an IP address or network"),
        ({"WHITELIST": ["10.0.0.0/33"]}, "WHITELIST[0] = '10.0.0.0/33': must be an IP address or network"),
        ({"WHITELIST": [" 10.0.0.1"]}, "WHITELIST[0] = ' 10.0.0.1': must be an IP address or network"),
        ({"TRUSTED_PROXIES": [5]}, "TRUSTED_PROXIES[0] = 5: must be an IP address or network"),
        (
            {"DATABASE_CONNECTION": {"default": {"connections": [{"ROLE": "boss", "DRIVER": "sqlite"}]}}},
            "DATABASE_CONNECTION['default']['connections'][0]['ROLE'] = 'boss': must be one of 'master', 'slave'.",
        ),
        (
            {"DATABASE_CONNECTION": {"d": {"connections": [{"ROLE": "master", "DRIVER": "sqlite", "PORT": 99999}]}}},
            "DATABASE_CONNECTION['d']['connections'][0]['PORT'] = 99999: must be a port between 1 and 65535; or None.",
        ),
    ],
)
def test_one_fault_is_one_sentence(values: dict[str, Any], fault: str) -> None:
    """Path, value, what is wrong; and nothing else is blamed for it."""
    found = faults_of(**values)
    assert len(found) == 1, found
    assert found[0].startswith(fault)


class SessionMiddleware:
    """Stands for the real one, whose module may not be importable here."""


SessionMiddleware.__module__ = "torngas_aio.middleware.session"


@pytest.mark.parametrize(
    "server",
    [
        {"ROLE": "MASTER"}, {"ROLE": "Master"}, {}, {"DRIVER": None}, {"PORT": ""}, {"PORT": 0}, {"PORT": "3306"},
        {"WEIGHT": 2}, {"READ_TIMEOUT": 1.5}, {"READ_TIMEOUT": None}, {"NODE_CONNECTIONS": 5}, {"QUERY": None},
        {"kwargs": None}, {"UID": None, "PASSWD": None, "HOST": None, "DATABASE": None},
    ],
)  # fmt: skip
def test_what_the_databases_take_passes(server: dict[str, Any]) -> None:
    """Whatever `parse_databases` takes, the check takes."""
    connections = {"default": {"connections": [server, {**server, "ROLE": "SLAVE"}], "kwargs": None}}
    assert parse_databases(connections, {})[0].master.role == "master"
    assert faults_of(DATABASE_CONNECTION=connections) == []


def test_faults_are_values_that_know_their_place() -> None:
    """No other code has to read it out of the sentence."""
    found = faults_of(
        DEBUG="x",
        WHITELIST=["y"],
        CACHES={"default": {"BACKEND": "absent.Backend"}},
    )
    assert [(fault.path, fault.code) for fault in found] == [
        ("DEBUG", "TGA103"),
        ("WHITELIST[0]", "TGA103"),
        ("CACHES['default']['BACKEND']", "TGA104"),
    ]
    assert found[1].is_at("WHITELIST")
    assert not found[1].is_at("WHITE")


def test_all_faults_come_at_once() -> None:
    """Faults of shape hide no faults of reference, path or secret elsewhere."""
    found = faults_of(
        MIDDLEWARE_CLASSES=["absent.Middleware", 5, SessionMiddleware],
        THREADS_NUM="2",
        ROUTE_MODULES={"(": [], "Index": ["!nope"]},
        CACHES={"default": {"BACKEND": 1}, "mine": {"BACKEND": "absent.Backend"}},
        SESSION={"session_cache_alias": "default", "expires": None, "secret_key": "fLjUfxqXtfNoIldA0A0J"},
        TORNADO_CONF={"cookie_secret": "bXZ/gDAbQA+zaTxdqJwxKa8OZTbuZE/ok3doaow9N4Q="},
        DATABASE_CONNECTION={"default": {"connections": 5}},
    )
    starts = [
        "MIDDLEWARE_CLASSES[0]",
        "MIDDLEWARE_CLASSES[1]",
        "THREADS_NUM",
        "ROUTE_MODULES['(']",
        "ROUTE_MODULES['Index'][0]",
        "CACHES['default']['BACKEND']",
        "CACHES['mine']['BACKEND']",
        "SESSION['expires']",
        "SESSION['secret_key']",
        "TORNADO_CONF['cookie_secret']",
        "DATABASE_CONNECTION['default']['connections']",
    ]
    assert [next(start for start in starts if fault.startswith(start)) for fault in sorted(found)] == sorted(starts)


class TestCautions:
    def test_sessions_in_one_process_and_several_workers(self) -> None:
        """Only with the middleware, a local store and more than one worker."""
        settings = Settings()
        settings.configure(MIDDLEWARE_CLASSES=[SessionMiddleware])
        assert cautions(settings, workers=1) == []
        assert "inside one process, but 4 workers" in cautions(settings, workers=4)[0]
        with settings.override(SESSION={"session_cache_alias": "default_redis"}):
            assert cautions(settings, workers=4) == []

    @pytest.mark.parametrize("engine", [None, "template.jinja2_loader.Jinja2TemplateLoader"])
    def test_pages_that_escape_nothing(self, engine: str | None) -> None:
        """Whatever the engine."""
        settings = Settings()
        for value in (False, None, 0):
            settings.configure(TEMPLATE_CONFIG={"template_engine": engine, "autoescape": value})
            assert "TEMPLATE_CONFIG['autoescape'] is off" in cautions(settings)[0]
        settings.configure(TEMPLATE_CONFIG={"template_engine": engine})
        assert cautions(settings) == []

    @pytest.mark.parametrize("name", ["MIDDLEWARE", "DATABASES", "ROOT_URLCONF"])
    def test_settings_of_django_that_have_no_effect(self, name: str) -> None:
        settings = Settings()
        settings.configure(**{name: ["a.B"]})
        assert [caution for caution in cautions(settings) if caution.startswith(f"{name} is Django's")]

    def test_modules_without_their_middleware(self) -> None:
        """Modules that will never run are said to be so."""
        settings = Settings()
        settings.configure(COMMON_MODULES=["a.B"], MIDDLEWARE_CLASSES=[])
        assert "have no effect" in cautions(settings)[0]
        settings.configure(COMMON_MODULES=["a.B"])
        assert cautions(settings) == []
