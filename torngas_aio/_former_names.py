"""Names of torngas 1.8 without a successor of the same name: importing one raises with the replacement.

A module that had such names ends with `__getattr__ = former_names(__name__)`.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["former_names"]

_LOCAL = "Each request has a context of its own: use `contextvars.ContextVar`, or attributes of the handler."
_SESSIONMAKER = "SQLALCHEMY_CONFIGURATION configures sessions, and `session_scope()` opens one."
_DATABASES = "`database(dbn=...)` takes mysql, postgres and sqlite; for another database use SQLAlchemy."

_NAMES: dict[str, dict[str, str]] = {
    "torngas_aio": {
        "RWLock": "Code on the event loop needs no lock between two awaits; across them use `asyncio.Lock`.",
        "ThreadedDict": _LOCAL,
        "is_future": "Use `inspect.isawaitable`.",
        "lazyimport": "Import inside the function that needs the module, or use `tornado.util.import_object`.",
        "sorteddict": "A `dict` keeps its order.",
        "strips": "Use `str.removeprefix` and `str.removesuffix`.",
    },
    "torngas_aio.utils": {
        "LazyImport": "Import inside the function that needs the module, or use `tornado.util.import_object`.",
        "iters": "Test with `isinstance(value, (list, tuple, set, frozenset))`.",
        "lstrips": "Use `str.removeprefix`.",
        "rstrips": "Use `str.removesuffix`.",
    },
    "torngas_aio.storage": {"SortedDict": "A `dict` keeps its order.", "threadeddict": _LOCAL},
    "torngas_aio.exception": {"StandardError": "Use `Exception`."},
    "torngas_aio.cache": {
        "BACKENDS": "Name a backend by its full dotted path.",
        "CacheHandler": "`torngas_aio.cache.caches` is the one there is.",
        "DefaultCacheProxy": "`torngas_aio.cache.cache` is the one there is.",
        "lru_cache": "Use `functools.lru_cache`, or `torngas_aio.cache.cached` for coroutines.",
    },
    "torngas_aio.cache.backends.base": {
        "CacheClient": "Derive from `BaseCache`.",
        "CacheKeyWarning": "A key that cannot be stored raises `torngas_aio.exception.InvalidKey`.",
        "CacheMixin": "Derive from `BaseCache`.",
        "default_key_func": "Use `torngas_aio.cache.keys.default_key`.",
        "get_key_func": "KEY_FUNCTION takes a function or its dotted path.",
    },
    "torngas_aio.cache.backends.memcached": {
        "BaseMemcachedCache": "Derive from `MemcachedCache`.",
        "MEMCACHE_MAX_KEY_LENGTH": "Use `torngas_aio.cache.keys.MAX_KEY_BYTES`.",
        "PyLibMCCache": "Use `MemcachedCache`, which has a client of its own.",
    },
    "torngas_aio.cache.backends.rediscache": {
        "CacheConnectionPool": "Each alias has its own pool; POOL_KWARGS configure it.",
        "CacheKey": "Keys are text.",
        "pool": "Each alias has its own pool; POOL_KWARGS configure it.",
    },
    "torngas_aio.logger": {"enable_pretty_logging": "LOGGING and `torngas_aio.logger.init_logging` set logs up."},
    "torngas_aio.template.jinja2_loader": {
        "_JINJA_ENV": "TEMPLATE_CONFIG takes `filters` (functions or dotted paths), `globals`, `tests`, `extensions`.",
    },
    "torngas_aio.template.mako_loader": {
        "_lookup": "TEMPLATE_CONFIG takes `imports`, `default_filters` and the other options of Mako's TemplateLookup.",
    },
    "torngas_aio.middleware": {"manager": "`application.pipeline` holds the hooks; `torngas-aio pipeline` shows them."},
    "torngas_aio.middleware.session": {
        "session_parameters": "`settings.SESSION` has every default.",
        "SessionManager": "`handler.session` is a `torngas_aio.session.Session`.",
    },
    "torngas_aio.middleware.accesslog": {
        "access_log": "Use `torngas_aio.logger.access_logger`.",
        "log_request": "Override `log_request(handler)` of the application.",
    },
    "torngas_aio.middleware.dbalchemy": {
        "connection": "Use `torngas_aio.db.dbalchemy.Connector.conn_pool`.",
        "connection_event": "Dead connections are replaced without a ping.",
        "ping_db": "PING_DB makes the pings; `await Connector.get_conn(name).ping()` is one.",
    },
    "torngas_aio.mixins": {
        "exception": "Override `write_error` or `exception_response` of the handler.",
        "miiddleware": "Every handler of `torngas_aio.handler` runs the hooks.",
    },
    "torngas_aio.db.dbalchemy": {
        "ConnBase": "`Connector.get_conn(name)` gives a `DbConnection`.",
        "DBConfigParser": "DATABASE_CONNECTION is checked at start.",
        "SQLAlchemy": "`Connector.get_conn(name)` gives a `DbConnection`.",
        "create_session": _SESSIONMAKER,
        "get_connector": "`Connector` is the one there is.",
    },
    "torngas_aio.db.basedb": {
        "FirebirdDB": _DATABASES,
        "MSSQLDB": _DATABASES,
        "OracleDB": _DATABASES,
        "UnknownParamstyle": "Values are bound as the driver wants them.",
        "config": "Give the options to `database(...)`.",
        "iterbetter": "`torngas_aio.utils` has it.",
        "iters": "Test with `isinstance(value, (list, tuple, set, frozenset))`.",
        "storage": "Use `torngas_aio.storage.Storage`.",
        "import_driver": "`database(driver=...)` chooses the driver.",
        "register_database": _DATABASES,
        "threadeddict": _LOCAL,
    },
}
_NAMES["torngas_aio.utils"] |= {
    name: _NAMES["torngas_aio"][name] for name in ("RWLock", "is_future", "lazyimport", "strips")
}
_NAMES["torngas_aio.storage"] |= {name: _NAMES["torngas_aio"][name] for name in ("ThreadedDict", "sorteddict")}


def former_names(module: str) -> Callable[[str], Any]:
    """Return a `__getattr__` for *module*, which raises `ImportError` with the replacement for its names of 1.8."""
    known = _NAMES[module]

    def getattr_of_module(name: str) -> object:
        if name in known:
            raise ImportError(f"{module}.{name} of torngas 1.8 is gone. {known[name]}", name=module)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return getattr_of_module
