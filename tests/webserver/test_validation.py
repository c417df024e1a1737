"""Caches, templates and databases judge their own settings, at start, without a connection."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.webserver.project import Project
from torngas_aio.checks import check_settings
from torngas_aio.exception import Fault
from torngas_aio.settings_manager import settings
from torngas_aio.webserver.validation import service_findings

REDIS = "torngas_aio.cache.backends.rediscache.RedisCache"
MEMORY = "torngas_aio.cache.backends.localcache.LocMemCache"
JINJA2 = "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"
SESSIONS = "torngas_aio.middleware.session.SessionMiddleware"


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    yield
    settings.reset()


def findings(**values: Any) -> tuple[list[str], list[str]]:
    settings.configure(DEBUG=True, **values)
    faults = check_settings(settings)
    found, cautions = service_findings(settings, faults)
    return [*faults, *found], cautions


def database(driver: str = "sqlite", **more: Any) -> dict[str, Any]:
    return {"default": {"connections": [{"ROLE": "master", "DRIVER": driver, "HOST": "127.0.0.1", **more}]}}


def test_the_defaults_are_in_order() -> None:
    assert findings() == ([], [])


@pytest.mark.parametrize(
    ("backend", "options", "told"),
    [
        (REDIS, {"PASWORD": "hunter2"}, "['PASWORD']: no such option. Did you mean 'PASSWORD'?"),
        (REDIS, {"pool_kwargs": {}}, "['pool_kwargs']: no such option. Did you mean 'POOL_KWARGS'?"),
        (MEMORY, {"MAX_ENTRY": 5}, "['MAX_ENTRY']: no such option. Did you mean 'MAX_ENTRIES'?"),
        (MEMORY, {"XYZZY": 5}, "['XYZZY']: no such option. Known are CULL_FREQUENCY, MAX_"),
        (
            "torngas_aio.cache.backends.filecache.FileBasedCache",
            {"THREAD": 5},
            "['THREAD']: no such option. Did you mean 'THREADS'?",
        ),
        (
            "torngas_aio.cache.backends.memcached.MemcachedCache",
            {"POOLSIZE": 5},
            "['POOLSIZE']: no such option. Did you mean 'POOL_SIZE'?",
        ),
    ],
)  # fmt: skip
def test_an_option_that_its_backend_does_not_ask_for_is_a_fault(backend: str, options: Any, told: str) -> None:
    """With the nearest one, and without its value."""
    faults, _ = findings(CACHES={"default": {"BACKEND": backend, "LOCATION": "127.0.0.1:1", "OPTIONS": options}})
    assert len(faults) == 1
    assert faults[0].startswith(f"CACHES['default']['OPTIONS']{told}")
    assert "hunter2" not in faults[0]


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        (REDIS, {"DB": 1, "USERNAME": "u", "PASSWORD": "p", "PING_INTERVAL": 5, "DEADLINE": 1, "SERIALIZER": "json"}),
        (REDIS, {"MAX_ENTRIES": 5, "CULL_FREQUENCY": 2, "POOL_KWARGS": {"socket_timeout": 1}}),
        (MEMORY, {"MAX_ENTRIES": 5, "CULL_FREQUENCY": 2, "MAX_RESERVED": 9, "PURGE_INTERVAL": 0}),
        ("torngas_aio.cache.backends.dummy.DummyCache", {"MAX_ENTRIES": 5}),
    ],
)
def test_options_that_are_known_are_none(backend: str, options: Any) -> None:
    entry = {"BACKEND": backend, "LOCATION": "127.0.0.1:1", "OPTIONS": options}
    assert findings(CACHES={"default": entry}) == ([], [])


@pytest.mark.parametrize(
    ("session", "told"),
    [
        ({"session_name": "my session"}, "SESSION['session_name'] = 'my session' is no cookie name"),
        ({"session_name": "__Host-id"}, "browsers want 'secure': True"),
        ({"cookie_path": "/;"}, "SESSION['cookie_path'] = '/;' holds"),
        ({"serializer": "yaml"}, "SERIALIZER = 'yaml'"),
    ],
)
def test_a_session_that_cannot_work_is_a_fault_where_it_is_used(session: dict[str, Any], told: str) -> None:
    session = {"secret_key": "a long random text", **session}
    (fault,), _ = findings(SESSION=session, MIDDLEWARE_CLASSES=[SESSIONS])
    assert told in fault
    assert findings(SESSION=session) == ([], [])


def test_the_default_alias_and_that_of_sessions_must_be_caches() -> None:
    """A native Redis client under another alias is what it is for."""
    client = {"BACKEND": "torngas_aio.cache.backends.rediscache.RedisClient", "LOCATION": "127.0.0.1:1"}
    (fault,), _ = findings(CACHES={"default": client})
    assert fault.startswith(
        "CACHES['default']['BACKEND'] = 'torngas_aio.cache.backends.rediscache.RedisClient': `torngas"
    )
    assert "RedisCache" in fault
    caches = {"default": {"BACKEND": MEMORY}, "native": client}
    assert findings(CACHES=caches) == ([], [])
    session = {"session_cache_alias": "native", "secret_key": "k" * 20 + "abcdefghijklmnop"}
    (fault,), _ = findings(CACHES=caches, MIDDLEWARE_CLASSES=[SESSIONS], SESSION=session)
    assert "SessionMiddleware needs a cache" in fault


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"extensions": ["jinja2.ext.do", "jinja2.ext.autoescape"]},
            "'jinja2.ext.autoescape': Jinja2 has had it built in",
        ),
        ({"extensions": ["jinja2.ext.with_"]}, "'jinja2.ext.with_': Jinja2 has had it built in"),
        ({"extensions": ["no.such.thing"]}, "extensions = 'no.such.thing': "),
        ({"extensions": ["jinja2.ext.nothing"]}, "extensions = 'jinja2.ext.nothing': "),
        ({"extensions": "jinja2.ext.do"}, "a list of classes or dotted paths was wanted"),
        ({"extensions": 5}, "a list of classes or dotted paths was wanted"),
        ({"undefined": 5}, "TypeError: issubclass() arg 1 must be a class (TEMPLATE_CONFIG: using it raised this.)"),
        ({"block_start_string": "{{"}, "start strings must be different. (TEMPLATE_CONFIG: using it raised this.)"),
        ({"filters": ["a.b"]}, "(TEMPLATE_CONFIG: using it raised this.)"),
        ({"globals": 5}, "(TEMPLATE_CONFIG: using it raised this.)"),
        ({"template_engine": "collections.OrderedDict"}, "(TEMPLATE_CONFIG: using it raised this.)"),
    ],
)
def test_an_engine_that_cannot_be_set_up_is_a_fault(config: dict[str, Any], told: str) -> None:
    (fault,), _ = findings(TEMPLATE_CONFIG={"template_engine": JINJA2, **config})
    assert told in fault
    assert isinstance(fault, Fault)
    assert fault.code == "TGA601"


def test_an_error_in_an_engine_of_the_project_is_a_fault_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "its_engine.py").write_text("class Loader:\n    def __init__(self, path, **options):\n        1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (fault,), _ = findings(TEMPLATE_CONFIG={"template_engine": "its_engine.Loader"})
    assert fault.startswith("its_engine.py:3: ZeroDivisionError: division by zero (TEMPLATE_CONFIG: ")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"template_engine": JINJA2, "trim_block": True}, "Did you mean 'trim_blocks'?"),
        ({"template_engine": "torngas_aio.template.mako_loader.MakoTemplateLoader", "imprts": []}, "Did you mean"),
        ({"filesystem_chcks": True}, "TEMPLATE_CONFIG['filesystem_chcks']"),
        ({"xyzzy": True}, "TEMPLATE_CONFIG['xyzzy']"),
    ],
)
def test_a_key_that_the_template_engine_does_not_know_is_a_fault(config: dict[str, Any], told: str) -> None:
    """Once, whoever finds it."""
    faults, _ = findings(TEMPLATE_CONFIG=config)
    assert len(faults) == 1
    assert told in faults[0]


@pytest.mark.parametrize("driver", ["mysql+aiomysql", "postgresql+asyncpg", "sqlite"])
def test_an_option_that_sqlalchemy_does_not_have_is_a_fault(driver: str) -> None:
    """For SQLALCHEMY_CONFIGURATION and for a connection's `kwargs`, once for all of its servers."""
    (fault,), _ = findings(
        DATABASE_CONNECTION=database(driver, DATABASE="x.db"), SQLALCHEMY_CONFIGURATION={"sqlalchemy.pool_sise": 5}
    )
    assert "'sqlalchemy.pool_sise'" in fault
    assert "Did you mean 'sqlalchemy.pool_size'?" in fault
    connections = database(driver, DATABASE="x.db", kwargs={"sqlalchemy.max_overfow": 5})
    (fault,), _ = findings(DATABASE_CONNECTION=connections)
    assert "Did you mean 'sqlalchemy.max_overflow'?" in fault


def test_what_sqlalchemy_has_dropped_and_synchronous_drivers_are_cautions_said_once() -> None:
    connections = {**database("mysql+mysqldb"), "other": database()["default"]}
    faults, cautions = findings(
        DATABASE_CONNECTION=connections, SQLALCHEMY_CONFIGURATION={"sqlalchemy.encoding": "utf-8"}
    )
    assert faults == []
    assert len(cautions) == 2
    assert "'encoding' means nothing to SQLAlchemy 2" in cautions[0]
    assert "'mysql+mysqldb' is a synchronous driver; 'mysql+aiomysql' serves it" in cautions[1]


MISSING = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from torngas_aio.cli import main
sys.exit(main(["check", "--settings=conf"]))
"""
CONF = f"""
DEBUG = True
MIDDLEWARE_CLASSES = (
    "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware",
    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",
)
COMMON_MODULES = ("torngas_aio.httpmodule.ratelimit.RateLimit",)
ROUTE_MODULES = {{"^/x": COMMON_MODULES}}
CACHES = {{alias: {{"BACKEND": {REDIS!r}, "LOCATION": "127.0.0.1:1"}} for alias in ("default", "other")}}
server = {{"ROLE": "master", "DRIVER": "mysql+aiomysql", "HOST": "127.0.0.1"}}
entry = {{"connections": [server, {{**server, "ROLE": "slave"}}]}}
DATABASE_CONNECTION = {{"default": entry, "other": entry}}
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("library", "extra"), [("redis", "redis"), ("aiomysql", "mysql"), ("sqlalchemy", "db"), ("limits", "limits")]
)
def test_a_missing_library_is_one_fault(tmp_path: Path, library: str, extra: str) -> None:
    """However many settings need it, with what installs it."""
    project = Project(tmp_path)
    project.write("conf.py", CONF)
    project.write("without.py", MISSING.format(libraries=[library]))
    done = project.run("without.py")
    faults = [line for line in done.stderr.splitlines() if line.startswith("fault: ")]
    assert done.returncode == 1
    assert len(faults) == 1, done.stderr
    assert f"`pip install 'torngas-aio[{extra}]'`" in faults[0]
