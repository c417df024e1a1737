"""The SESSION settings, validated."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torngas_aio.cache.serializers import Serializer, make_serializer
from torngas_aio.checks.shapes import SESSION_SHAPE
from torngas_aio.exception import ConfigError
from torngas_aio.utils.kinds import fault

__all__ = ["BROWSER_SECONDS", "MAX_BYTES", "MAX_LIFE", "SessionConfig"]

BROWSER_SECONDS = 86_400
"""Seconds for which the store keeps an idle browser session (one that ends when the browser closes): a day."""

MAX_LIFE = 10**10
"""The maximum lifetime of a session in seconds: about 300 years, which every store supports."""

MAX_BYTES = 64 * 1024
"""The default maximum size of one session, in bytes."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The configuration of sessions, with the names of SESSION.

    Attributes:
        expires: Idle timeout of a new session in seconds; 0 for a browser session.
        absolute_expires: Seconds after its creation at which a session ends even if it is in use; 0: never.
        fails_when_down: Whether requests fail while the store is down; if not, they get empty sessions.
        max_bytes: The maximum size of a record in bytes; 0: no limit.
        serializer: The serializer of the records.
    """

    secret_key: str = field(repr=False)
    session_version: str = "1"
    session_cache_alias: str = "default"
    session_name: str = "__TORNADOSSID"
    cookie_domain: str = ""
    cookie_path: str = "/"
    expires: int = 0
    absolute_expires: int = 0
    ignore_change_ip: bool = False
    httponly: bool = True
    secure: bool = False
    samesite: str = "Lax"
    partitioned: bool = False
    fails_when_down: bool = True
    max_bytes: int = MAX_BYTES
    serializer: Serializer = field(default_factory=lambda: _serializer("json", {}))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "SessionConfig":
        """Return the configuration in *values*, the setting SESSION.

        Raises:
            ConfigError: It has faults; all of them are listed.
        """
        ConfigError.gather(SESSION_SHAPE("SESSION", values), code="TGA103")
        ConfigError.gather(_faults(values), code="TGA402")
        known = {name: values[name] for name in _PLAIN if name in values}
        known |= {name: math.ceil(known[name]) for name in _LIVES if name in known}
        secret = values["secret_key"]
        return cls(
            **known,
            secret_key=secret.decode("latin-1") if isinstance(secret, bytes) else secret,
            cookie_domain=values.get("cookie_domain") or "",
            samesite=values.get("samesite", "Lax") or "",
            fails_when_down=values.get("when_unavailable", "fail") == "fail",
            serializer=_serializer(values.get("serializer", "json"), {"SECRET_KEY": secret}),
        )


def _serializer(spec: Any, options: Mapping[str, Any]) -> Serializer:
    made = make_serializer(spec, options)
    if made is not spec:
        made.tuples_told = set()
    return made


_PLAIN = (
    "session_version", "session_cache_alias", "session_name", "cookie_path", "expires", "absolute_expires",
    "ignore_change_ip", "httponly", "secure", "partitioned", "max_bytes",
)  # fmt: skip

_LIVES = ("expires", "absolute_expires")


def _faults(values: Mapping[str, Any]) -> Iterator[str]:
    if not values.get("secret_key"):
        yield "SESSION['secret_key'] is missing: it signs the session ids. Set a long random text."
    for key in ("cookie_domain", "cookie_path"):
        if any(character in ";\r\n" for character in values.get(key) or ""):
            yield f"SESSION[{key!r}] = {values[key]!r} holds what would end the cookie."
    for key in _LIVES:
        if not values.get(key, 0) <= MAX_LIFE:
            yield fault(f"SESSION[{key!r}]", values[key], f"must be a number of seconds up to {MAX_LIFE}.")
    yield from _name_faults(values)


def _name_faults(values: Mapping[str, object]) -> Iterator[str]:
    """Yield the combinations of name and flags for which browsers reject the cookie."""
    name, is_secure = str(values.get("session_name", "__TORNADOSSID")), bool(values.get("secure"))
    if not name or not name.isascii() or not name.isprintable() or set(name) & set(' ()<>@,;:\\"/[]?={}'):
        yield f"SESSION['session_name'] = {name!r} is no cookie name. Use letters, digits, '-' and '_'."
    # SPEC: RFC 6265bis 4.1.3
    is_host_wide = not values.get("cookie_domain") and values.get("cookie_path", "/") == "/"
    if name.startswith("__Host-") and not (is_secure and is_host_wide):
        yield (
            f"SESSION['session_name'] = {name!r}: browsers want 'secure': True, no 'cookie_domain' and "
            "'cookie_path': '/' with '__Host-'."
        )
    if name.startswith("__Secure-") and not is_secure:
        yield f"SESSION['session_name'] = {name!r}: browsers want 'secure': True with '__Secure-'."
    if values.get("partitioned") and not is_secure:
        yield "SESSION['partitioned'] = True: browsers want 'secure': True with it."
    if values.get("samesite") == "None" and not is_secure:
        yield "SESSION['samesite'] = 'None': browsers want 'secure': True with it. Set it, or use 'Lax'."
