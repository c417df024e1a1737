"""Every setting and its default; a project's settings module overrides them by name.

    this module  <  the project's module  <  settings.configure(...)  <  settings.override(...)

SESSION, TEMPLATE_CONFIG, TRANSLATIONS_CONF and TORNADO_CONF are completed key by key from here; every
other name is replaced whole. Relative paths are relative to the directory the server is started in.
Upper-case names are the settings, and all of them are public.
"""

import os

# ------------------------------------------------------------------ server and requests

DEBUG: bool = False
"""Debug pages with tracebacks, autoreload, the start banner. Never enable it on a server that others can reach."""

XHEADERS: bool = True
"""Use address and scheme from the headers of TRUSTED_PROXY_HEADERS, but only for connections from
TRUSTED_PROXIES."""

TRUSTED_PROXIES: tuple[str, ...] = ("127.0.0.0/8", "::1", "unix")
"""Addresses and networks of the project's own proxies; `unix` means connections over a unix socket. The right-most
forwarded hop that is not one of them is the client."""

TRUSTED_PROXY_HEADERS: tuple[str, ...] | None = None
"""The trusted headers, which these proxies must set: of `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Real-IP`,
`X-Scheme` and `Forwarded` (RFC 7239). None: `X-Forwarded-For` and `X-Forwarded-Proto`; if `X-Real-IP` or `X-Scheme`
contradict them, the proxy's own address is used, and a warning asks for this setting."""

IPV4_ONLY: bool = True
"""Listen on IPv4 only, even if the address also resolves to IPv6."""

REQUEST_TIMEOUT: float | None = 60.0
"""Seconds for a request's hooks and method until the first byte of the response; then it is cancelled with 503.
The time in which its body arrives does not count. None or 0: no limit."""

ETAG: bool = False
"""Hash each body into an `Etag` header and respond to `If-None-Match` with 304, as plain Tornado does. A handler
enables it for itself by defining `compute_etag`."""

TORNADO_CONF: dict[str, object] = {
    "cookie_secret": None,  # signs cookies; without one and with DEBUG off the server does not start
    "login_url": "/login",
    "static_path": None,
    "static_cache_bytes": 32 * 1024 * 1024,  # of static files in memory, at most a 64th for one file; 0: no cache
    "static_in_threads": False,  # True on network file systems: each file access runs in a worker thread
    "template_path": None,  # None: the directory of the handler's file
    "xsrf_cookies": False,
}
"""Settings of `tornado.web.Application`; all of Tornado's are accepted."""

THREADS_NUM: int = os.cpu_count() or 1
"""Number of threads of `async_execute` for plain functions."""

THREADS_MAX_WAITING: int = 1000
"""How many calls of `async_execute` may wait for a thread; the response to a further one is 503."""

WHITELIST: tuple[str, ...] | bool = False
"""Addresses and networks that `whitelisted` accepts; False: none."""

# ------------------------------------------------------------------ applications and the pipeline

INSTALLED_APPS: tuple[str, ...] = ()
"""Packages with a module `urls` that has a list `urls`; looked up in this order."""

MIDDLEWARE_CLASSES: tuple[str, ...] = (
    # The access log is first, so that its endcall hook, run in reverse, is the last to run.
    "torngas_aio.middleware.accesslog.AccessLogMiddleware",
    "torngas_aio.httpmodule.httpmodule.HttpModuleMiddleware",
)

COMMON_MODULES: tuple[str, ...] = ()
"""HTTP modules of every matched route, in this order, before those of ROUTE_MODULES."""

ROUTE_MODULES: dict[str, object] = {}
"""`{route name or regular expression of the path: [module, '!common module', '!all']}`."""

# ------------------------------------------------------------------ security

ALLOWED_HOSTS: tuple[str, ...] = ()
"""Hosts that AllowedHostsMiddleware accepts: `example.com`, `example.com:8443`, `.example.com` (or `*.example.com`)
with all subdomains, `*`. Empty: with DEBUG this machine's own names, else the middleware does not start."""

SECURITY_HEADERS: dict[str, str | None] = {}
"""Headers of SecurityHeadersMiddleware, overriding its defaults
(`torngas_aio.middleware.security.SECURITY_HEADERS`); None omits one."""

CORS: dict[str, object] = {}
"""Options of CORSMiddleware, overriding its defaults (`torngas_aio.middleware.cors.CORS_DEFAULTS`)."""

RATE_LIMIT: dict[str, object] = {}
"""Options of the HTTP module RateLimit, overriding its defaults
(`torngas_aio.httpmodule.ratelimit.RATE_LIMIT_DEFAULTS`)."""

CHANNELS: dict[str, dict[str, object]] = {"default": {"BACKEND": "torngas_aio.channels.memory.MemoryChannels"}}
"""Messages between processes, by alias: BACKEND, LOCATION, OPTIONS (`torngas_aio.channels.base.BaseChannels`)."""

JOBS: dict[str, dict[str, object]] = {"default": {"BACKEND": "torngas_aio.jobs.memory.MemoryJobs"}}
"""Queues of jobs, by alias: BACKEND, LOCATION, OPTIONS, DATABASE (`torngas_aio.jobs.base.BaseJobs`)."""

HEALTH: dict[str, object] = {}
"""Health checks, overriding `torngas_aio.operations.handlers.HEALTH_DEFAULTS`: paths of `live`, `ready`, `startup`
(None: disabled), `networks` that see details, `log` False: no probes in the access log."""

MANAGEMENT: str = ""
"""The listener that serves everything under `/-/` instead of the main one: '127.0.0.1:9100', or 'unix:' and a path."""

METRICS: dict[str, object] = {}
"""The metrics page, overriding `torngas_aio.operations.metrics.METRICS_DEFAULTS`: `enabled`, `path`, `token`, and the
buckets `seconds` and `bytes`. Needs the extra `prometheus`."""

TRACES: dict[str, object] = {}
"""Spans of requests, overriding `torngas_aio.operations.tracing.TRACES_DEFAULTS`: `enabled`, `ratio`,
`trust_parent`. Needs the extra `otel`."""

AUTH: dict[str, object] = {}
"""Login and permissions, overriding the defaults in `torngas_aio.auth.users.AUTH_DEFAULTS`."""

OPENAPI: dict[str, object] = {}
"""The OpenAPI document: `title`, `version`, `description`; `path` (/-/openapi.json), served with DEBUG or `public`
True, and `page` (/-/docs/, None: none) for Swagger UI."""

OPENAPI_GUARD: str | None = None
"""Dotted path of an `async def` that gets the handler of the OpenAPI document and returns whether the visitor also sees
guarded operations; None: everyone does."""

# ------------------------------------------------------------------ cache and session

CACHES: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache",
        "LOCATION": "process_cache",
        "OPTIONS": {"MAX_ENTRIES": 10_000, "CULL_FREQUENCY": 3},
    },
    "session_loccache": {
        "BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache",
        "LOCATION": "session_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000, "CULL_FREQUENCY": 10},
    },
    "default_memcache": {
        "BACKEND": "torngas_aio.cache.backends.memcached.MemcachedCache",
        "LOCATION": ["127.0.0.1:11211"],
        "TIMEOUT": 300,
    },
    "dummy": {"BACKEND": "torngas_aio.cache.backends.dummy.DummyCache"},
    "filebased": {
        "BACKEND": "torngas_aio.cache.backends.filecache.FileBasedCache",
        "LOCATION": ".cache",
    },
    "default_redis": {
        "BACKEND": "torngas_aio.cache.backends.rediscache.RedisCache",
        "LOCATION": "127.0.0.1:6379",
        "OPTIONS": {
            "DB": 0,
            "POOL_KWARGS": {"socket_timeout": 2, "socket_connect_timeout": 2},
            "PING_INTERVAL": 120,
        },
    },
}
"""One entry per alias; a backend is opened on first use."""

SESSION: dict[str, object] = {
    "session_cache_alias": "default",
    "session_name": "__TORNADOSSID",
    "cookie_domain": "",
    "cookie_path": "/",
    "expires": 0,  # seconds; 0: until the browser closes, kept for a day in the store
    "ignore_change_ip": False,  # False: a session ends if its client's address changes
    "httponly": True,
    "secure": False,
    "secret_key": None,  # signs the id; without one and with DEBUG off SessionMiddleware does not start
    "session_version": "1",  # changing it ends every session
    "samesite": "Lax",  # 'Lax', 'Strict', 'None' (needs secure) or '' for no attribute
    "partitioned": False,  # CHIPS: a separate cookie jar for each embedding site (needs secure)
    "absolute_expires": 0,  # seconds after login (cycle_id) at which a session ends even if it is in use; 0: never
    "when_unavailable": "fail",  # if the store is down: 'fail' on access to the session, or use an 'empty' one
    "max_bytes": 65_536,  # of one session in the store; more is an error. 0: no limit
    "serializer": "json",  # 'json', 'msgpack', 'signed-pickle', or a dotted path to a Serializer
}

# ------------------------------------------------------------------ templates and languages

TEMPLATE_CONFIG: dict[str, object] = {
    # None: Tornado's; 'torngas_aio.template.jinja2_loader.Jinja2TemplateLoader';
    # 'torngas_aio.template.mako_loader.MakoTemplateLoader'
    "template_engine": None,
    "filesystem_checks": True,  # all engines: check whether a file has changed
    "cache_directory": None,  # Jinja2 and Mako: directory of compiled templates; None: in memory only
    "collection_size": 50,  # Mako: templates kept in memory
    "cache_size": 400,  # Jinja2: templates kept in memory; -1: all, 0: none, compiled each time
    "format_exceptions": False,  # Mako: errors as a page
    "autoescape": True,
}
"""Other keys are passed to the engine unchanged."""

TRANSLATIONS: bool = False
"""Load the translations of TRANSLATIONS_CONF at start."""

TRANSLATIONS_CONF: dict[str, object] = {
    "translations_dir": "translations",
    "locale_default": "en_US",
    "use_accept_language": True,
}

# ------------------------------------------------------------------ database

DATABASE_CONNECTION: dict[str, dict[str, object]] = {}
"""`{name: {'connections': [{'ROLE': 'master', 'DRIVER': 'mysql+aiomysql', 'UID', 'PASSWD', 'HOST', 'PORT',
'DATABASE', 'QUERY': {}}, ...], 'kwargs': {}}}`; exactly one master, any number of slaves."""

SQLALCHEMY_CONFIGURATION: dict[str, object] = {
    "sqlalchemy.connect_args": {},
    "sqlalchemy.echo": False,
    "sqlalchemy.max_overflow": 10,
    "sqlalchemy.echo_pool": False,
    "sqlalchemy.pool_timeout": 5,
    "sqlalchemy.pool_size": 10,
    "sqlalchemy.pool_recycle": 3600,
    "sqlalchemy.poolclass": "QueuePool",
}
"""Options of every engine, with the names of `sqlalchemy.engine_from_config`."""

PING_DB: float = 300
"""Seconds between two pings of idle database connections; 0: no pings."""

PING_CONN_COUNT: int = 5
"""How many idle connections of each pool are pinged at once."""

ATOMIC_REQUESTS: bool = False
"""One transaction per request: committed before the first byte is sent, rolled back on an error or a status of 500
or above."""

STICK_TO_MASTER: float = 0
"""Above 0, visitors read their own writes, tracked by a signed cookie: from a slave that has reached the position of
the commit, else from the master; if the server reports no position, from the master for so many seconds. 0: off."""

MAX_LAG: float = 10
"""Seconds that a slave may lag behind its master before reads go elsewhere until it has caught up; sampled once a
second; 0: not checked."""

# ------------------------------------------------------------------ logging

LOGGING_DIR: str = "logs/"
"""Directory of log files; '': no files, everything on stderr."""

ACCESS_LOG: str = "text"
"""Format of `AccessLogMiddleware`: 'text', the combined log format; 'json' or 'logfmt', named fields."""

LOGGING: tuple[dict[str, object], ...] = (
    {
        "name": "tornado",
        "level": "INFO",
        "log_to_stderr": True,
        "when": "midnight",
        "interval": 1,
        "filename": "tornado.log",
    },
    {
        "name": "torngas_aio.tracelog",
        "level": "ERROR",
        "log_to_stderr": True,
        "when": "midnight",
        "interval": 1,
        "filename": "trace.log",
    },
    {
        "name": "torngas_aio.accesslog",
        "level": "INFO",
        "log_to_stderr": True,
        "when": "midnight",
        "interval": 1,
        "filename": "access.log",
        "formatter": "%(message)s",
    },
    {
        "name": "torngas_aio.infolog",
        "level": "INFO",
        "log_to_stderr": True,
        "when": "midnight",
        "interval": 1,
        "filename": "info.log",
    },
)
