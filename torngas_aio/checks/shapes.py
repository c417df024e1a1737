"""The shape of every setting: types, ranges, keys of dicts.

`SHAPES` lists the built-in settings; others belong to the project. Services validate their settings by the same shapes:
`SESSION_SHAPE`, `CACHE_SHAPE`, `DATABASE_SHAPE`.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from torngas_aio import global_settings
from torngas_aio.exception import ConfigError, Fault
from torngas_aio.logger.setup import LOGGING_SHAPE
from torngas_aio.utils.hosts import FORWARDED_HEADERS, parse_listener
from torngas_aio.utils.kinds import (
    Check,
    also,
    boolean,
    dotted,
    either,
    fault,
    finite,
    first_of,
    mapping,
    mapping_of,
    misspelt,
    network,
    one_of,
    positive,
    regular_expression,
    seconds,
    secret,
    secret_versions,
    sequence_of,
    table,
    text,
    whole,
)
from torngas_aio.utils.narrowing import is_mapping
from torngas_aio.utils.numbers import parse_whole

__all__ = [
    "CACHE_PARAMETERS",
    "CACHE_SHAPE",
    "DATABASE_SHAPE",
    "ENGINE_SHAPE",
    "SESSION_SHAPE",
    "SHAPES",
    "shape_faults",
]


MIN_TOKEN_LENGTH = 16
"""Minimum length of the metrics page's token; shorter ones can be guessed."""


def shape_faults(values: Mapping[str, object]) -> Iterator[Fault]:
    """Yield a fault for each value of the wrong shape and each name that looks misspelt."""
    known = [name for name in vars(global_settings) if name.isupper()]
    for name, hint in misspelt(values, known):
        yield Fault(f"{name}: no such setting.{hint}", code="TGA102", path=name)
    for name, check in SHAPES.items():
        if name in values:
            yield from check(name, values[name])


def _proxy(path: str, value: object) -> Iterator[Fault]:
    if value != "unix":
        yield from also("'unix'", network(takes_host_bits=True)(path, value))


def _management(path: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, str) or not value:
        yield from text(path, value)
        return
    try:
        parse_listener(value)
    except ConfigError as exc:
        yield from (each.with_(path=path) for each in exc.faults)


def _url_path(path: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, str) or not value.startswith("/"):
        yield fault(path, value, "must be a path that begins with '/'.")


def _share(path: str, value: Any) -> Iterator[Fault]:
    if any(finite(path, value)) or value > 1:
        yield fault(path, value, "must be a share from 0 to 1, such as 0.01 for 1 %.")


def _rising(path: str, value: Any) -> Iterator[Fault]:
    if not value or any(one >= next_one for one, next_one in pairwise(value)):
        yield fault(path, value, "must be upper bounds, each larger than the one before.")


def _long_enough(path: str, value: Any) -> Iterator[Fault]:
    if len(value) < MIN_TOKEN_LENGTH:
        yield Fault(f"{path} is shorter than {MIN_TOKEN_LENGTH} characters. Take a longer one.", path=path)


def _folder_to_make(path: str, value: Any) -> Iterator[Fault]:
    wanted = Path(value)
    there = next((each for each in (wanted, *wanted.parents) if each.exists()), wanted)
    if value and there.exists() and not there.is_dir():
        yield fault(path, value, f"must be a folder, and {there} is none.")


def _coerced(path: str, value: object) -> Iterator[Fault]:
    """Check that *value* is a whole number, or a string of one, which SQLAlchemy converts."""
    if type(value) is not int and not (isinstance(value, str) and value.removeprefix("-").isdecimal()):
        yield fault(path, value, "must be a whole number.")


def _engine_option(path: str, value: object) -> Iterator[Fault]:
    if not isinstance(value, str) or not value.startswith("sqlalchemy."):
        yield Fault(f"{path}: no such key. Write 'sqlalchemy.{value}', or take it out.", path=path)


def _port(path: str, value: object) -> Iterator[Fault]:
    number = parse_whole(value) if isinstance(value, str) else value
    if value != "" and not (type(number) is int and 0 <= number < 65536):  # "" and 0: the driver's default
        yield fault(path, value, "must be a port between 1 and 65535.")


def _anything(path: str, value: object) -> Iterator[Fault]:
    yield from ()


_number: Check = either(None, seconds)

_parameters: Mapping[str, Check] = {
    "TIMEOUT": _number,
    "KEY_PREFIX": either(None, text),
    "VERSION": either(None, whole(0)),
    "KEY_FUNCTION": either(None, dotted),
    "OPTIONS": either(None, mapping),
}

CACHE_PARAMETERS: Check = table({}, _parameters)
"""Arguments of a cache backend."""

CACHE_SHAPE: Check = table({"BACKEND": dotted}, {"LOCATION": _anything, **_parameters})
"""An entry of CACHES."""


_WHOLE_OPTIONS = ("pool_size", "max_overflow")


def _engine_options(key: Check) -> Check:
    options = mapping_of(_anything, key=key)

    def check(path: str, value: Any) -> Iterator[Fault]:
        yield from options(path, value)
        for name in _WHOLE_OPTIONS if is_mapping(value) else ():
            for option in {name, f"sqlalchemy.{name}"} & value.keys():
                yield from _coerced(f"{path}[{option!r}]", value[option])
        for name in ("connect_args", "sqlalchemy.connect_args") if is_mapping(value) else ():
            yield from either(None, mapping)(f"{path}[{name!r}]", value.get(name))

    return check


ENGINE_SHAPE: Check = _engine_options(_engine_option)
"""SQLALCHEMY_CONFIGURATION."""

_own_options: Check = either(None, _engine_options(text))

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
        "WEIGHT": either(None, positive),
        "READ_TIMEOUT": either(None, positive),
        "NODE_CONNECTIONS": either(None, whole(1)),
        "kwargs": _own_options,
    },
    is_closed=True,
)

DATABASE_SHAPE: Check = table({"connections": sequence_of(_connection)}, {"kwargs": _own_options})
"""An entry of DATABASE_CONNECTION."""

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
            "cookie_secret": either(None, secret_versions),
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
    "OPENAPI": table(
        {},
        {
            "title": text,
            "version": text,
            "description": text,
            "path": _url_path,
            "public": boolean,
            "page": either(None, _url_path),
        },
        is_closed=True,
    ),
    "OPENAPI_GUARD": either(None, dotted),
    "AUTH": table(
        {},
        {"load_user": either(None, dotted), "key": text, "login_url": text, "has_permission": either(None, dotted)},
        is_closed=True,
    ),
    "HEALTH": table(
        {},
        {
            **dict.fromkeys(("live", "ready", "startup"), either(None, _url_path)),
            "log": boolean,
            "networks": sequence_of(network(takes_host_bits=False)),
        },
        is_closed=True,
    ),
    "MANAGEMENT": _management,
    "METRICS": table(
        {},
        {
            "enabled": boolean,
            "path": _url_path,
            "token": either(None, first_of(secret, _long_enough)),
            "seconds": first_of(sequence_of(positive), _rising),
            "bytes": first_of(sequence_of(positive), _rising),
        },
        is_closed=True,
    ),
    "TRACES": table({}, {"enabled": boolean, "ratio": _share, "trust_parent": boolean}, is_closed=True),
    "CHANNELS": mapping_of(mapping),
    "JOBS": mapping_of(mapping),
    "INSTALLED_APPS": sequence_of(text),
    "MIDDLEWARE_CLASSES": sequence_of(dotted),
    "COMMON_MODULES": sequence_of(dotted),
    "ROUTE_MODULES": mapping_of(sequence_of(_anything), key=regular_expression),
    "CACHES": mapping_of(CACHE_SHAPE),
    "SESSION": SESSION_SHAPE,
    "TEMPLATE_CONFIG": table(
        {}, {**dict.fromkeys(global_settings.TEMPLATE_CONFIG, _anything), "template_engine": either(None, dotted)}
    ),
    "TRANSLATIONS": boolean,
    "TRANSLATIONS_CONF": table(
        {}, {"translations_dir": either(None, text), "locale_default": text, "use_accept_language": boolean}
    ),
    "DATABASE_CONNECTION": mapping_of(DATABASE_SHAPE),
    "SQLALCHEMY_CONFIGURATION": ENGINE_SHAPE,
    "PING_DB": _number,
    "PING_CONN_COUNT": whole(0),
    "ATOMIC_REQUESTS": boolean,
    "STICK_TO_MASTER": _number,
    "MAX_LAG": _number,
    "LOGGING_DIR": first_of(text, _folder_to_make),
    "ACCESS_LOG": one_of("text", "json", "logfmt"),
    "LOGGING": LOGGING_SHAPE,
}
"""The shape of each built-in setting."""
