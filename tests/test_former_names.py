"""The names that a torngas 1.8 project imports: each works, or says at import what to write instead."""

import asyncio
import subprocess
import sys
import types
from importlib import import_module
from typing import Any

import pytest
from tornado.options import OptionParser

import torngas_aio
from tests.db.support import configured
from torngas_aio.application import Application
from torngas_aio.cache import cache, close_caches
from torngas_aio.db.basedb import MySQLDB, database, dburl2dict
from torngas_aio.db.dbalchemy import Connector, session_scope
from torngas_aio.exception import ConfigError
from torngas_aio.handler import ApiHandler, WebHandler
from torngas_aio.logger import SysLogger, access_logger, info_logger, trace_logger
from torngas_aio.mixins.flash_message import FlashMessageMixIn
from torngas_aio.settings_manager import settings
from torngas_aio.signal import Signal
from torngas_aio.storage import Storage
from torngas_aio.template.jinja2_loader import Jinja2TemplateLoader
from torngas_aio.testing import TestClient
from torngas_aio.urlhelper import Url, include
from torngas_aio.webserver import Server

# What the modules of the 1.8 package define or hand on, without leftovers such as PY3 and cfg.
NAMES = {
    "": "ArgumentError ConfigError Null RWLock Server ThreadedDict Url UrlError cached_property include is_future"
    " iterbetter lazyimport request_context route run safestr safeunicode settings sleep sorteddict storage storify"
    " strips version",
    "application": "Application",
    "cache": "BACKENDS CacheHandler DEFAULT_CACHE_ALIAS DEFAULT_DUMMY_ALIAS"
    " DEFAULT_MEMCACHED_ALIAS DEFAULT_REDIS_ALIAS DefaultCacheProxy InvalidCacheBackendError cache caches close_caches"
    " lru_cache",
    "cache.backends.base": "BaseCache CacheClient CacheKeyWarning CacheMixin DEFAULT_TIMEOUT InvalidCacheBackendError"
    " default_key_func get_key_func",
    "cache.backends.dummy": "DummyCache",
    "cache.backends.localcache": "LocMemCache",
    "cache.backends.memcached": "BaseMemcachedCache MEMCACHE_MAX_KEY_LENGTH MemcachedCache PyLibMCCache",
    "cache.backends.rediscache": "CacheConnectionPool CacheKey RedisCache RedisClient pool",
    "db.basedb": "DB FirebirdDB MSSQLDB MySQLDB OracleDB PostgresDB SQLLiteral SQLParam SQLQuery SqliteDB Transaction"
    " TransactionError UnknownDB UnknownParamstyle config database dburl2dict import_driver iterbetter iters"
    " register_database reparam sqlify sqllist sqlliteral sqlors sqlparam sqlquote sqlwhere storage threadeddict",
    "db.dbalchemy": "BaseQuery ConnBase Connector DBConfigParser MetaBaseModel Model Pagination SQLAlchemy"
    " create_session get_connector",
    "decorators.async_execute": "async_execute",
    "decorators.whitelist": "whitelisted",
    "dispatch": "Signal receiver",
    "exception": "ArgumentError BaseError ConfigError Http404 Http500 HttpBadRequestError HttpForbiddenError"
    " HttpNotAllowError StandardError UrlError",
    "handler": "ApiHandler ErrorHandler WebHandler",
    "httpmodule": "BaseHttpModule",
    "httpmodule.httpmodule": "HttpModuleMiddleware",
    "logger": "ProcessLogTimedFileHandler SysLogger enable_pretty_logging syslogger",
    "logger.client": "ACCESS_LOGNAME INFO_LOGNAME SysLogger TRACE_LOGNAME syslogger",
    "logger.loggers": "SysLogger",
    "middleware": "manager",
    "middleware.accesslog": "AccessLogMiddleware access_log log_request",
    "middleware.dbalchemy": "DBAlchemyMiddleware connection connection_event ping_db",
    "middleware.session": "SessionManager SessionMiddleware session_parameters",
    "middleware.signal": "SignalMiddleware",
    "mixins": "exception miiddleware",
    "mixins.flash_message": "FlashMessageMixIn",
    "settings_manager": "SETTINGS_MODULE_ENVIRON settings",
    "signal": "call_finished call_started handler_render handler_response handler_started",
    "storage": "SortedDict Storage ThreadedDict sorteddict storage storify threadeddict",
    "template.jinja2_loader": "Jinja2TemplateLoader _JINJA_ENV",
    "template.mako_loader": "MakoTemplateLoader _lookup",
    "urlhelper": "Url include route",
    "utils": "IterBetter LazyImport Null RWLock cached_property is_future iterbetter iters lazyimport lstrips"
    " request_context rstrips safestr safeunicode sleep strips",
    "webserver": "Server run",
}
MUST_WORK = [
    "ConfigError",
    "ArgumentError",
    "UrlError",
    "cached_property",
    "Null",
    "safestr",
    "safeunicode",
    "iterbetter",
    "sleep",
    "request_context",
    "storage",
    "storify",
    "version",
]


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in NAMES.items() for name in names.split()]
)
def test_each_name_works_or_says_the_new_way(module: str, name: str) -> None:
    path = f"torngas_aio.{module}".rstrip(".")
    found: dict[str, Any] = {}
    try:
        exec(f"from {path} import {name}", found)
    except ImportError as exc:
        assert module or name not in MUST_WORK
        assert str(exc).startswith(f"{path}.{name} of torngas 1.8 is gone. ")  # noqa: PT017
        assert len(str(exc)) > len(f"{path}.{name} of torngas 1.8 is gone. ") + 10  # noqa: PT017
    else:
        assert found[name] is not None


def test_another_name_is_an_attribute_error() -> None:
    for path in ("torngas_aio", "torngas_aio.utils", "torngas_aio.cache"):
        assert not hasattr(import_module(path), "no_such_name")


def test_the_version_is_numbers() -> None:
    assert ".".join(map(str, torngas_aio.version)) == torngas_aio.__version__


def test_storage_is_a_module_and_makes_storages() -> None:
    from torngas_aio import storage

    assert isinstance(storage, types.ModuleType)
    assert storage({"a": 1}).a == 1  # type: ignore[operator]
    assert storage(a=1) == Storage(a=1)  # type: ignore[operator]


def test_storage_is_an_attribute_before_anything_imports_it() -> None:
    code = "import torngas_aio; assert torngas_aio.storage(a=1).a == 1"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sys_logger_has_the_three_loggers() -> None:
    assert SysLogger.access_logger is access_logger
    assert SysLogger.info_logger is info_logger
    assert SysLogger.trace_logger is trace_logger


def test_define_may_be_overridden_with_options() -> None:
    class Own(Server):
        def define(self, options: OptionParser = OptionParser()) -> None:  # noqa: B008
            super().define(options)
            options.define("colour", default="red")

    Own()
    parser = OptionParser()
    server = Server()
    server.define(parser)
    assert parser.port == 8000
    assert server.httpserver is None


def test_tmpl_is_the_class_of_the_engine() -> None:
    assert Application([]).tmpl is None
    with settings.override(
        TEMPLATE_CONFIG={"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}
    ):
        assert Application([]).tmpl is Jinja2TemplateLoader


def test_a_spec_knows_its_pattern() -> None:
    spec: Any = Url()(r"/add/", WebHandler)
    assert spec.repr_pattern == "/add/"
    (under,) = include("/admin", [spec])
    assert under.repr_pattern == "/admin/add/"  # type: ignore[attr-defined]


def test_a_signal_takes_use_caching() -> None:
    assert (
        Signal(["handler"], True).providing_args == Signal(providing_args=["handler"], use_caching=False).providing_args
    )


async def test_close_caches_closes_what_is_open() -> None:
    await cache.set("k", 1)
    await close_caches()
    await close_caches(sender=None)
    await cache.set("k", 2)
    assert await cache.get("k") == 2


class Formats(ApiHandler):
    async def get(self) -> None:
        self.write_api({"format": self.get_format()} | {"as": self.get_format("as")})


class Flashes(FlashMessageMixIn, WebHandler):
    async def get(self) -> None:
        self.flash("hello", "success")
        self.write({"first": self.messages(), "again": self.messages()})


class Page(WebHandler):
    def get_error_html(self, status_code: int, **kwargs: Any) -> str:
        return f"<b>{status_code} {kwargs['exception']!r}</b>"

    async def get(self) -> None:
        raise ValueError("of mine")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/formats?format=JSON", '{"format": "json", "as": "json"}'),
        ("/formats?format=Jsonp&callback=f&as=XML", '/**/f({"format": "jsonp", "as": "xml"});'),
        ("/flashes", '{"first": [["success", "hello"]], "again": [["success", "hello"]]}'),
        ("/page", "<b>500 ValueError('of mine')</b>"),
    ],
)
async def test_handlers_answer_as_they_did(path: str, text: str) -> None:
    routes: list[Any] = [("/formats", Formats), ("/flashes", Flashes), ("/page", Page)]
    async with TestClient(Application(routes, cookie_secret="c" * 32), raise_errors=False) as client:
        assert (await client.get(path)).text.replace('":', '": ').replace(",", ", ").replace("  ", " ") == text


async def test_sessions_and_engines_go_by_role(tmp_path: Any) -> None:
    with configured({"default": {"connections": [{"DATABASE": str(tmp_path / "a.db")}]}}):
        engines = Connector.get_conn("default").engines
        assert engines["master"] is Connector.get_conn().engine
        assert isinstance(engines["slaves"], list)
        async with session_scope() as session:
            assert Connector.get_session("default")["slave"] is session
            assert not session.is_on_master
            assert Connector.get_session("default")["master"] is session
            assert session.is_on_master
            with pytest.raises(KeyError):
                session["other"]
        await torngas_aio.close()


async def test_the_small_database_layer_keeps_its_names(caplog: pytest.LogCaptureFixture) -> None:
    assert dburl2dict("mysql://james:d%40y@h.example:33/mine") == {
        "dbn": "mysql", "user": "james", "pw": "d@y", "host": "h.example", "port": 33, "db": "mine",
    }  # fmt: skip
    assert "mine" in repr(MySQLDB(db="mine", user="a", pw="b"))
    with pytest.raises(ConfigError):
        database(dbn="firebird", db="x")
    db = database(dbn="sqlite", db=":memory:")
    with caplog.at_level("INFO", "torngas_aio.db"):
        await db.query("SELECT 1")
        db.printing = True
        await db.query("SELECT $n", {"n": 2})
    assert [record.getMessage() for record in caplog.records] == ["SELECT 2"]
    await db.aclose()
    await asyncio.sleep(0)
