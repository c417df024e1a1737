"""Every fault of the settings is found, at once, with its path and a way to mend it."""

import os
from pathlib import Path
from typing import Any

import pytest

from torngas_aio import global_settings
from torngas_aio.checks import cautions, check_settings, fill_secrets
from torngas_aio.checks.shapes import SHAPES
from torngas_aio.checks.signing import RUN_SECRET_NAME, is_well_known
from torngas_aio.db.dbalchemy.specs import parse_databases
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.settings_manager import Settings
from torngas_aio.utils.addresses import Networks

SECRET = "a-long-and-random-secret-of-this-test"
HOOKLESS: dict[str, Any] = {"MIDDLEWARE_CLASSES": (), "TORNADO_CONF": {"cookie_secret": SECRET}}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importable stand-ins for what a project names by dotted path."""
    (tmp_path / "plugin_parts.py").write_text("class Part: pass\nfunction = len\n")
    (tmp_path / "plugin_broken.py").write_text("1 / 0\n")
    (tmp_path / "plugin_needy.py").write_text("import aiomcache_that_is_absent\n")
    (tmp_path / "plugin_redis.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'redis.asyncio'\", name='redis.asyncio')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


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
    assert set(SHAPES) == names


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
        ({"SESSION": {"samesite": "None"}}, "SESSION['samesite'] = 'None': browsers want SESSION['secure'] = True"),
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
        ({"SQLALCHEMY_CONFIGURATION": {"echo": True}}, "SQLALCHEMY_CONFIGURATION['echo']: keys of SQLALCHEMY"),
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


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("plugin_parts.Prt", "module 'plugin_parts' has no attribute 'Prt'. Check the spelling"),
        ("plugin_absent.Part", "No module named 'plugin_absent'. Check the spelling"),
        ("plugin_parts", "write the full dotted path, such as 'package.module.plugin_parts'."),
        ("plugin_parts.function", "this is a builtin_function_or_method, a class is wanted."),
    ],
)
def test_dotted_paths_must_name_a_class(path: str, fault: str) -> None:
    """Wherever a class is named: middlewares, modules, cache backends, the template engine."""
    places: dict[str, dict[str, Any]] = {
        "MIDDLEWARE_CLASSES[0]": {"MIDDLEWARE_CLASSES": [path]},
        "COMMON_MODULES[0]": {"COMMON_MODULES": [path]},
        "ROUTE_MODULES['Index'][0]": {"ROUTE_MODULES": {"Index": [path]}},
        "CACHES['default']['BACKEND']": {"CACHES": {"default": {"BACKEND": path}}},
        "TEMPLATE_CONFIG['template_engine']": {"TEMPLATE_CONFIG": {"template_engine": path}},
    }
    for place, values in places.items():
        found = faults_of(**values)
        assert len(found) == 1, found
        assert found[0].startswith(f"{place} = {path!r}: {fault}")


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("plugin_broken.Part", "ZeroDivisionError: division by zero (MIDDLEWARE_CLASSES[0]: importing "),
        ("plugin_needy.Part", "MIDDLEWARE_CLASSES[0]: 'plugin_needy.Part' cannot be imported: No module named "),
        ("plugin_redis.Part", "MIDDLEWARE_CLASSES[0]: 'plugin_redis.Part' cannot be imported: No module named "),
        ("plugin_syntax.Part", "SyntaxError: '(' was never closed (MIDDLEWARE_CLASSES[0]: importing "),
        ("plugin_name.Part", "NameError: name 'nowhere' is not defined (MIDDLEWARE_CLASSES[0]: importing "),
    ],
)
def test_errors_of_the_project_s_code_show_its_line_first(
    path: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a missing library how to install it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plugin_syntax.py").write_text("class Part(\n")
    (tmp_path / "plugin_name.py").write_text("nowhere\n")
    (found,) = faults_of(MIDDLEWARE_CLASSES=[path])
    file = path.partition(".")[0]
    assert f"{file}.py:1: {fault}" in found
    assert ("pip install" in found) == (file in {"plugin_needy", "plugin_redis"})


@pytest.mark.usefixtures("plugins")
def test_what_can_be_imported_is_no_fault() -> None:
    """Dotted strings and classes themselves are both taken."""
    part = "plugin_parts.Part"
    assert (
        faults_of(
            MIDDLEWARE_CLASSES=[part, Settings],
            COMMON_MODULES=[part, Settings],
            ROUTE_MODULES={"Index": [f"!{part}", "!all", part, dict]},
            CACHES={"default": {"BACKEND": part, "KEY_FUNCTION": "plugin_parts.function"}},
            TEMPLATE_CONFIG={"template_engine": part, "trim_blocks": True},
            OWN_SETTING=1,
        )
        == []
    )


@pytest.mark.usefixtures("plugins")
def test_an_excluded_module_must_be_common() -> None:
    """`!x` with x not in COMMON_MODULES is a fault, with what was perhaps meant."""
    found = faults_of(COMMON_MODULES=["plugin_parts.Part"], ROUTE_MODULES={"Index": ["!plugin_parts.Prt"]})
    (fault,) = found
    assert fault.startswith("ROUTE_MODULES['Index'][0] = '!plugin_parts.Prt': COMMON_MODULES has no 'plugin_parts.Prt'")
    assert fault.endswith(". Did you mean 'plugin_parts.Part'?")
    assert faults_of(ROUTE_MODULES={"Index": ["!a.b"]})[0].endswith("COMMON_MODULES has no 'a.b'. It is empty.")


class SessionMiddleware:
    """Stands for the real one, whose module may not be importable here."""


SessionMiddleware.__module__ = "torngas_aio.middleware.session"


class DBAlchemyMiddleware:
    """Stands for the real one."""


DBAlchemyMiddleware.__module__ = "torngas_aio.middleware.dbalchemy"


def test_the_session_needs_its_alias_and_secret() -> None:
    """Both are looked at only with SessionMiddleware."""
    session = {"session_cache_alias": "defalt"}
    assert faults_of(SESSION=session) == []
    found = faults_of(SESSION=session, MIDDLEWARE_CLASSES=[SessionMiddleware])
    assert found[0] == "SESSION['session_cache_alias'] = 'defalt': no such alias. Did you mean 'default'?"
    assert found[1].startswith("SESSION['secret_key'] is missing, and DEBUG is off. Generate one with")
    assert len(found) == 2


def test_the_database_middleware_needs_a_connection() -> None:
    """An empty DATABASE_CONNECTION is a fault only then."""
    assert faults_of(MIDDLEWARE_CLASSES=[DBAlchemyMiddleware])[0].startswith("DATABASE_CONNECTION is empty")


@pytest.mark.parametrize(
    "entries",
    [("10.0.0.1",), ["10.0.0.0/8", "::1"], ["::ffff:10.0.0.0/104"], ["2001:db8::/32", "0.0.0.0/0"], [], False],
)
def test_what_the_whitelist_takes_passes(entries: Any) -> None:
    """The check and the decorator read an entry with the same function."""
    assert faults_of(WHITELIST=entries) == []
    assert repr(Networks(entries or ()))


@pytest.mark.parametrize(
    "entry", ["10.0.0.1/8", "x", "", "10.0.0.0/33", "::1%lo", " ::1", "10.0.0.1/255.0.0.0", "1.2.3", "fe80::1/10"]
)
def test_what_the_whitelist_refuses_is_a_fault(entry: str) -> None:
    (fault,) = faults_of(WHITELIST=[entry])
    assert fault.startswith(f"WHITELIST[0] = {entry!r}: must be")
    with pytest.raises(ConfigError):
        Networks([entry])


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


class TestSecrets:
    @pytest.mark.parametrize(
        "secret",
        ["secret", b"secret", "CHANGE-ME-please", "your_secret_here", "fLjUfxqXtfNoIldA0A0J", "django-insecure-x"],
    )
    def test_well_known_ones_are_refused(self, secret: str | bytes) -> None:
        """Values of documentation and placeholders, with DEBUG off only."""
        assert is_well_known(secret)
        assert len(faults_of(TORNADO_CONF={"cookie_secret": secret})) == 1
        assert faults_of(TORNADO_CONF={"cookie_secret": secret}, DEBUG=True) == []

    def test_random_ones_pass(self) -> None:
        """So does Tornado's dict of key versions, unless one of them is bad."""
        assert faults_of(TORNADO_CONF={"cookie_secret": {0: SECRET, 1: SECRET}}) == []
        assert len(faults_of(TORNADO_CONF={"cookie_secret": {0: SECRET, 1: "secret"}})) == 1
        assert "is missing" in faults_of(TORNADO_CONF={"cookie_secret": {}})[0]

    @pytest.mark.parametrize("debug", [False, True])
    @pytest.mark.parametrize("version", [2, "1", [], -1])
    def test_the_version_that_signs_must_be_there(self, version: object, debug: bool) -> None:
        """Every login would fail; with DEBUG on, too."""
        secrets = {0: SECRET, 1: SECRET}
        found = faults_of(TORNADO_CONF={"cookie_secret": secrets, "key_version": version}, DEBUG=debug)
        assert found == ["TORNADO_CONF['key_version']: cookie_secret has no such version. Known are 0, 1."]
        assert faults_of(TORNADO_CONF={"cookie_secret": secrets, "key_version": 1}, DEBUG=debug) == []

    def test_no_secret_is_ever_shown(self) -> None:
        """Not even one of the wrong type."""
        hidden = 918_273_645
        found = faults_of(
            TORNADO_CONF={"cookie_secret": hidden},
            DATABASE_CONNECTION={"d": {"connections": [{"ROLE": "master", "DRIVER": "x", "PASSWD": hidden}]}},
        )
        assert len(found) == 2
        assert not any(str(hidden) in fault for fault in found)

    def test_missing_ones_are_filled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same for every process of a run, others for the next run; given ones stay."""
        monkeypatch.delenv(RUN_SECRET_NAME, raising=False)
        monkeypatch.setenv(RUN_SECRET_NAME, "first")
        settings = Settings()
        settings.configure(MIDDLEWARE_CLASSES=[SessionMiddleware], CACHES={"default": {"BACKEND": dict}})
        assert fill_secrets(settings) == ["TORNADO_CONF['cookie_secret']", "SESSION['secret_key']"]
        first = settings.TORNADO_CONF.cookie_secret
        assert first != settings.SESSION.secret_key
        assert settings.SESSION.session_name == "__TORNADOSSID"
        assert check_settings(settings) == []
        settings.configure(MIDDLEWARE_CLASSES=[SessionMiddleware])
        fill_secrets(settings)
        assert settings.TORNADO_CONF.cookie_secret == first
        monkeypatch.delenv(RUN_SECRET_NAME)
        settings.configure(TORNADO_CONF={"cookie_secret": None}, SESSION={"secret_key": SECRET})
        assert fill_secrets(settings) == ["TORNADO_CONF['cookie_secret']"]
        assert settings.TORNADO_CONF.cookie_secret != first
        assert settings.SESSION.secret_key == SECRET
        assert os.environ[RUN_SECRET_NAME] != "first"

    def test_nothing_is_filled_where_nothing_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No seed is left in the environment either."""
        monkeypatch.delenv(RUN_SECRET_NAME, raising=False)
        settings = Settings()
        settings.configure(**HOOKLESS)
        assert fill_secrets(settings) == []
        assert RUN_SECRET_NAME not in os.environ


@pytest.mark.parametrize(
    "secret",
    [
        "k7Jq2mZx9Lw4Rt6Yb1Nc8Vd3Fg5Hs0P",  # 31 characters
        b"short",
        "a" * 64,
        b"\0" * 64,
        {1: "k7Jq2mZx9Lw4Rt6Yb1Nc8Vd3Fg5Hs0Pa", 2: "short"},
        {1: "b" * 40},
    ],
)
@pytest.mark.parametrize("name", ["TORNADO_CONF", "SESSION"])
def test_a_weak_secret_is_a_fault_while_debug_is_off(name: str, secret: Any) -> None:
    if name == "SESSION" and not isinstance(secret, str):
        return
    key = {"TORNADO_CONF": "cookie_secret", "SESSION": "secret_key"}[name]
    values = {name: {key: secret}, "MIDDLEWARE_CLASSES": [SessionMiddleware]}
    path = f"{name}[{key!r}]"
    message = f"{path} is shorter than 32 characters or one character repeated, and DEBUG is off"
    assert [fault for fault in faults_of(**values) if fault.startswith(message)]
    assert not [fault for fault in faults_of(**values, DEBUG=True) if fault.startswith(path)]


class TestCautions:
    def test_sessions_in_one_process_and_several_workers(self) -> None:
        """Only with the middleware, a local store and more than one worker."""
        settings = Settings()
        settings.configure(MIDDLEWARE_CLASSES=[SessionMiddleware])
        assert cautions(settings, workers=1) == []
        assert "inside one process, but 4 workers" in cautions(settings, workers=4)[0]
        with settings.override(SESSION={"session_cache_alias": "default_redis"}):
            assert cautions(settings, workers=4) == []

    def test_modules_without_their_middleware(self) -> None:
        """Modules that will never run are said to be so."""
        settings = Settings()
        settings.configure(COMMON_MODULES=["a.B"], MIDDLEWARE_CLASSES=[])
        assert "have no effect" in cautions(settings)[0]
        settings.configure(COMMON_MODULES=["a.B"])
        assert cautions(settings) == []
