"""One judge for each setting: what `check` says of a value is what the part that uses it says, in the same words.

Each key of a setting gets values of every kind. Two verdicts are taken of each: that of `Server.load_project`, by which
both `torngas-aio check` and a start judge, and that of the part itself, made as a program makes it without a server.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from torngas_aio._masking import show_setting
from torngas_aio.cache.registry import make_cache
from torngas_aio.db.dbalchemy.cluster import Cluster
from torngas_aio.db.dbalchemy.specs import parse_databases
from torngas_aio.exception import ConfigError
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.httpmodule.ratelimit import RATE_LIMIT_DEFAULTS, RateLimit
from torngas_aio.middleware.cors import CORS_DEFAULTS, CORSMiddleware
from torngas_aio.session import SessionConfig
from torngas_aio.settings_manager import settings
from torngas_aio.webserver import Server

LEFT_OUT: Any = object()
NAN, ENDLESS = float("nan"), float("inf")
VALUES: tuple[Any, ...] = (
    LEFT_OUT, None, True, False, 0, 1, -1, 70_000, 2**63, 10**400, -(10**4000), 1.5, -0.5, NAN, ENDLESS, -ENDLESS, 1j,
    "", "x", "5", "-5", "\u00b2", "x" * 300, "a b", "\n", "%x", "(", ".", "a.b", "https://a.example", "5/minute",
    "0/minute", b"", b"x", (), ("x",), [], ["x"], [5], [[]], {}, {"x": 1}, {5: "x"}, {"x": {}}, set(), frozenset({"x"}),
    object, object(), len, ...,
)  # fmt: skip

CACHE = "torngas_aio.cache.backends."
BACKENDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "LocMemCache": ({"BACKEND": f"{CACHE}localcache.LocMemCache"}, ("MAX_RESERVED", "PURGE_INTERVAL", "SERIALIZER")),
    "DummyCache": ({"BACKEND": f"{CACHE}dummy.DummyCache"}, ()),
    "FileBasedCache": (
        {"BACKEND": f"{CACHE}filecache.FileBasedCache", "LOCATION": "/nonexistent/cache"},
        ("MAX_ENTRIES", "MAX_RESERVED", "CULL_FREQUENCY", "LOCK_TIMEOUT", "THREADS", "SWEEP_INTERVAL", "SECRET_KEY"),
    ),
    "MemcachedCache": (
        {"BACKEND": f"{CACHE}memcached.MemcachedCache", "LOCATION": "127.0.0.1:1"},
        ("DEADLINE", "POOL_SIZE", "REHASH", "RETRY_SECONDS", "MAX_VALUE_BYTES", "IDLE_SECONDS"),
    ),
    "RedisCache": (
        {"BACKEND": f"{CACHE}rediscache.RedisCache", "LOCATION": "127.0.0.1:1"},
        (
            *("DB", "USERNAME", "PASSWORD", "POOL_KWARGS", "PARSER_CLASS", "PING_INTERVAL", "DEADLINE"),
            *("RETRY_SECONDS", "SENTINEL_KWARGS", "SERIALIZER"),
        ),
    ),
    "RedisClient": ({"BACKEND": f"{CACHE}rediscache.RedisClient", "LOCATION": "127.0.0.1:1"}, ("RETRY_SECONDS",)),
}
CONF = {"cookie_secret": "a long and random text of this test, too"}
Path = tuple[Any, ...]


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    yield
    settings.reset()


def varied(section: Any, path: Path) -> Iterator[Any]:
    """*section* with each of the values at *path*, a key of it or of what is inside it."""
    for value in VALUES:
        if not path:
            if value is not LEFT_OUT:
                yield value
            continue
        made = copy.deepcopy(section)
        place = made
        for key in path[:-1]:
            place = place[key]
        if value is LEFT_OUT and path[-1] in place:
            del place[path[-1]]
        elif value is not LEFT_OUT:
            place[path[-1]] = value
        yield made


def differences(name: str, section: Any, path: Path, use: Callable[[], object], **others: Any) -> Iterator[str]:
    """Yield how the two verdicts on *section* differ, for each value at *path*.

    Options that no backend has asked for are known to the check alone.
    """
    for made in varied(section, path):
        settings.reset()
        settings.configure(DEBUG=True, TORNADO_CONF=CONF, LOGGING_DIR="", INSTALLED_APPS=(), **{**others, name: made})
        judged = verdict(lambda: Server(arguments=["server"]).load_project())
        judged = {fault for fault in judged if ": no such option." not in fault}
        used = verdict(use)
        if judged != used:
            yield f"{show_setting(made):.200}\n    check: {judged}\n    {use.__name__}: {used}"


def verdict(use: Callable[[], object]) -> set[str]:
    try:
        use()
    except ConfigError as exc:
        return set(map(str, exc.faults))
    return set()


def use_cache() -> None:
    make_cache("probe", settings.CACHES["probe"])


def use_session() -> None:
    SessionConfig.of(settings.SESSION)


def use_databases() -> None:
    for spec in parse_databases(settings.DATABASE_CONNECTION, settings.SQLALCHEMY_CONFIGURATION):
        Cluster(spec)


def entries(backend: str) -> dict[str, Any]:
    entry, _ = BACKENDS[backend]
    return {"default": {"BACKEND": f"{CACHE}localcache.LocMemCache"}, "probe": {**entry, "OPTIONS": {}}}


@pytest.mark.parametrize(
    ("backend", "key"),
    [
        *((backend, "LOCATION") for backend in BACKENDS),
        *(("LocMemCache", key) for key in ("BACKEND", "TIMEOUT", "KEY_PREFIX", "VERSION", "KEY_FUNCTION", "OPTIONS")),
        *(("RedisClient", key) for key in ("TIMEOUT", "KEY_PREFIX", "VERSION", "OPTIONS")),  # it has no keys of its own
    ],
)
def test_caches(backend: str, key: str) -> None:
    assert not list(differences("CACHES", entries(backend), ("probe", key), use_cache))


@pytest.mark.parametrize(
    ("backend", "option"), [(backend, option) for backend, (_, options) in BACKENDS.items() for option in options]
)
def test_options_of_caches(backend: str, option: str) -> None:
    assert not list(differences("CACHES", entries(backend), ("probe", "OPTIONS", option), use_cache))


@pytest.mark.parametrize(
    "key",
    [
        *("", "session_name", "cookie_domain", "cookie_path", "expires", "ignore_change_ip", "httponly", "secure"),
        *("secret_key", "session_version", "samesite", "partitioned", "absolute_expires", "when_unavailable"),
        *("max_bytes", "serializer", "expire"),
    ],
)
def test_session(key: str) -> None:
    middlewares = ["torngas_aio.middleware.session.SessionMiddleware"]
    section = {"secret_key": "a long and random text of this test"}
    assert not list(differences("SESSION", section, (key,) if key else (), use_session, MIDDLEWARE_CLASSES=middlewares))


@pytest.mark.parametrize("key", ["", *CORS_DEFAULTS, "path"])
def test_cors(key: str) -> None:
    path = (key,) if key else ()
    assert not list(differences("CORS", {}, path, CORSMiddleware, MIDDLEWARE_CLASSES=[CORSMiddleware]))


@pytest.mark.parametrize("key", ["", *RATE_LIMIT_DEFAULTS, "limit"])
def test_rate_limits(key: str) -> None:
    uses = {"MIDDLEWARE_CLASSES": [HttpModuleMiddleware], "COMMON_MODULES": [RateLimit]}
    assert not list(differences("RATE_LIMIT", {}, (key,) if key else (), RateLimit, **uses))


SERVERS = ("default", "connections")


@pytest.mark.parametrize(
    "path",
    [
        *((), ("default",), SERVERS, (*SERVERS, 0), ("default", "kwargs"), ("default", "kwarg")),
        *((*SERVERS, 0, key) for key in ("ROLE", "DRIVER", "UID", "PASSWD", "HOST", "PORT", "DATABASE", "QUERY")),
        *((*SERVERS, 0, key) for key in ("WEIGHT", "READ_TIMEOUT", "NODE_CONNECTIONS", "kwargs", "Passwd")),
        *(
            ("default", "kwargs", key)
            for key in ("connect_args", "pool_size", "poolclass", "pool_recycle", "pool_sise")
        ),
        ("default", "kwargs", "connect_args", "connect_timeout"),
    ],
)
def test_databases(path: Path) -> None:
    server = {
        "ROLE": "master",
        "DRIVER": "mysql+aiomysql",
        "HOST": "127.0.0.1",
        "PORT": 3306,
        "DATABASE": "x",
        "kwargs": {},
    }
    connections = {"default": {"connections": [server], "kwargs": {"connect_args": {}}}}
    assert not list(differences("DATABASE_CONNECTION", connections, path, use_databases))
