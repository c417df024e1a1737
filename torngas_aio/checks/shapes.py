"""The shape of every setting: types, ranges, the keys of its dicts.

`SHAPES` is the table; a setting that is not in it is the project's own. Begin with `shape_faults`.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from torngas_aio import global_settings
from torngas_aio.checks.kinds import (
    Check,
    also,
    boolean,
    dotted,
    either,
    fault,
    mapping,
    mapping_of,
    misspelt,
    network,
    one_of,
    regular_expression,
    seconds,
    secret,
    sequence_of,
    table,
    text,
    whole,
)
from torngas_aio.exception import Fault
from torngas_aio.utils.addresses import FORWARDED_HEADERS

__all__ = ["SHAPES", "shape_faults"]


def shape_faults(values: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield a fault for each value of the wrong shape and each name that looks misspelt."""
    known = [name for name in vars(global_settings) if name.isupper()]
    for name, hint in misspelt(values, known):
        yield Fault(f"{name}: no such setting.{hint}", code="TGA102", path=name)
    for name, check in SHAPES.items():
        if name in values:
            yield from check(name, values[name])


def _proxy(path: str, value: Any) -> Iterator[Fault]:
    if value != "unix":
        yield from also("'unix'", network(takes_host_bits=True)(path, value))


def _level(path: str, value: Any) -> Iterator[Fault]:
    if isinstance(value, str):
        if value.upper() not in logging.getLevelNamesMapping():
            yield fault(path, value, "no such level. Known are DEBUG, INFO, WARNING, ERROR and CRITICAL.")
    else:
        yield from whole(0)(path, value)


def _rotation(path: str, value: Any) -> Iterator[Fault]:
    yield from one_of("S", "M", "H", "D", "MIDNIGHT", *(f"W{day}" for day in range(7)), fold=True)(path, value)


def _engine_option(path: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, str) or not value.startswith("sqlalchemy."):
        yield Fault(f"{path}: keys of SQLALCHEMY_CONFIGURATION start with 'sqlalchemy.'.", path=path)


def _port(path: str, value: Any) -> Iterator[Fault]:
    if value in ("", 0) and value is not False:  # the driver's default
        return
    if not str(value).isdecimal() or isinstance(value, bool) or not 0 < int(value) < 65536:
        yield fault(path, value, "must be a port between 1 and 65535.")


def _anything(path: str, value: Any) -> Iterator[Fault]:
    yield from ()


_number: Check = either(None, seconds)

_cache: Check = table(
    {"BACKEND": dotted},
    {
        "LOCATION": _anything,
        "TIMEOUT": _number,
        "KEY_PREFIX": text,
        "VERSION": whole(0),
        "KEY_FUNCTION": either(None, dotted),
        "OPTIONS": mapping,
    },
)

# What is left to say of a server is said by the databases' own parser, `db.dbalchemy.specs`.
_connection: Check = table(
    {},
    {
        "ROLE": one_of("master", "slave", fold=True),
        "DRIVER": either(None, text),
        "UID": either(None, text),
        "PASSWD": either(None, text),
        "HOST": either(None, text),
        "PORT": either(None, _port),
        "DATABASE": either(None, text),
        "QUERY": either(None, mapping),
        "WEIGHT": _anything,
        "READ_TIMEOUT": _anything,
        "NODE_CONNECTIONS": _anything,
        "kwargs": either(None, mapping),
    },
)

_database: Check = table({"connections": sequence_of(_connection)}, {"kwargs": either(None, mapping)})

_logger: Check = table(
    {"name": text},
    {
        "level": _level,
        "log_to_stderr": boolean,
        "when": _rotation,
        "interval": whole(1),
        "filename": either(None, text),
        "formatter": either(None, text),
        "backups": whole(0),
    },
)

SESSION_SHAPE: Check = table(
    {},
    {
        "session_cache_alias": text,
        "session_name": text,
        "cookie_domain": either(None, text),
        "cookie_path": text,
        "expires": seconds,
        "ignore_change_ip": boolean,
        "httponly": boolean,
        "secure": boolean,
        "secret_key": either(None, secret),
        "session_version": text,
        "samesite": either(None, one_of("Lax", "Strict", "None", "")),
        "partitioned": boolean,
        "absolute_expires": seconds,
        "when_unavailable": one_of("fail", "empty"),
        "max_bytes": whole(0),
        "serializer": _anything,
    },
    is_closed=True,
)

SHAPES: dict[str, Check] = {
    "DEBUG": boolean,
    "XHEADERS": boolean,
    "TRUSTED_PROXIES": sequence_of(_proxy),
    "TRUSTED_PROXY_HEADERS": either(None, sequence_of(one_of(*FORWARDED_HEADERS, fold=True))),
    "IPV4_ONLY": boolean,
    "REQUEST_TIMEOUT": _number,
    "ETAG": boolean,
    "TORNADO_CONF": table(
        {},
        {
            "cookie_secret": either(None, secret),
            "login_url": either(None, text),
            "static_path": either(None, text),
            "static_cache_bytes": whole(0),
            "static_in_threads": boolean,
            "template_path": either(None, text),
            "xsrf_cookies": boolean,
        },
    ),
    "THREADS_NUM": whole(1),
    "THREADS_MAX_WAITING": whole(0),
    "WHITELIST": either(False, sequence_of(network(takes_host_bits=False))),
    "ALLOWED_HOSTS": sequence_of(text),
    "SECURITY_HEADERS": mapping_of(either(None, text)),
    "CORS": mapping,
    "RATE_LIMIT": mapping,
    "OPENAPI": mapping,
    "OPENAPI_GUARD": either(None, dotted),
    "AUTH": mapping,
    "HEALTH": mapping,
    "MANAGEMENT": text,
    "METRICS": table(
        {},
        {
            "enabled": boolean,
            "path": text,
            "token": either(None, secret),
            "seconds": sequence_of(_number),
            "bytes": sequence_of(_number),
        },
        is_closed=True,
    ),
    "TRACES": table({}, {"enabled": boolean, "ratio": _number, "trust_parent": boolean}, is_closed=True),
    "CHANNELS": mapping,
    "JOBS": mapping_of(mapping),
    "INSTALLED_APPS": sequence_of(text),
    "MIDDLEWARE_CLASSES": sequence_of(dotted),
    "COMMON_MODULES": sequence_of(dotted),
    "ROUTE_MODULES": mapping_of(sequence_of(_anything), key=regular_expression),
    "CACHES": mapping_of(_cache),
    "SESSION": SESSION_SHAPE,
    "TEMPLATE_CONFIG": table(
        {}, {**dict.fromkeys(global_settings.TEMPLATE_CONFIG, _anything), "template_engine": either(None, dotted)}
    ),
    "TRANSLATIONS": boolean,
    "TRANSLATIONS_CONF": table(
        {}, {"translations_dir": either(None, text), "locale_default": text, "use_accept_language": boolean}
    ),
    "DATABASE_CONNECTION": mapping_of(_database),
    "SQLALCHEMY_CONFIGURATION": mapping_of(_anything, key=_engine_option),
    "PING_DB": _number,
    "PING_CONN_COUNT": whole(0),
    "ATOMIC_REQUESTS": boolean,
    "STICK_TO_MASTER": _number,
    "MAX_LAG": _number,
    "LOGGING_DIR": text,
    "ACCESS_LOG": one_of("text", "json", "logfmt"),
    "LOGGING": sequence_of(_logger),
}
"""The shape of each built-in setting."""
