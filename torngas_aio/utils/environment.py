"""Settings from environment variables, as used in containers and systemd units.

secret("COOKIE_SECRET")          the variable, or the content of the file named by COOKIE_SECRET_FILE
database_of("mysql://...")       a URL as an entry of DATABASE_CONNECTION
"""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from torngas_aio.exception import ConfigError

__all__ = ["database_of", "secret"]

DRIVERS = {
    "mysql": "mysql+aiomysql",
    "mariadb": "mysql+aiomysql",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}
"""URL scheme: its DRIVER; other schemes are used unchanged."""


def secret(name: str, default: str | None = None) -> str | None:
    """Return the variable *name*, or the content of the file named by `<name>_FILE` without its final newline.

    An empty variable counts as unset.

    Raises:
        ConfigError: The file cannot be read, is not UTF-8, or both are set.
    """
    value, path = os.environ.get(name) or None, os.environ.get(f"{name}_FILE")
    if not path:
        return default if value is None else value
    if value is not None:
        raise ConfigError(f"{name} and {name}_FILE are both set. Unset one of them.", code="TGA101")
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigError(f"{name}_FILE={path}: cannot be read: {reason}.", code="TGA101") from exc


def database_of(url: str, role: str = "master") -> dict[str, object]:
    """Return *url* as one of the `connections` of DATABASE_CONNECTION.

    Args:
        url: Such as `mysql://user:password@host:3306/name?charset=utf8mb4`; special characters in user and password
            are percent-encoded (`%40` for `@`). Parameters become QUERY.

    Raises:
        ConfigError: The URL is invalid; the message does not contain the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.scheme or not (parts.hostname or parts.scheme.startswith("sqlite")):
        raise ConfigError(
            "DATABASE_URL: write it as mysql://user:password@host:3306/name, with %xx for what is special in it.",
            code="TGA501",
        )
    found = {
        "ROLE": role,
        "DRIVER": DRIVERS.get(parts.scheme, parts.scheme),
        "UID": unquote(parts.username or ""),
        "PASSWD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": port,
        "DATABASE": unquote(parts.path.removeprefix("/")),
        "QUERY": dict(parse_qsl(parts.query)),
    }
    return {name: value for name, value in found.items() if value}
