"""Settings from the environment."""

from pathlib import Path
from typing import Any

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.utils.environment import database_of, secret


@pytest.mark.parametrize(("text", "found"), [("s\n", "s"), ("s\r\n", "s"), (" s \n\n", " s \n"), ("", "")])
def test_a_file_holds_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(text.encode())
    monkeypatch.setenv("A_SECRET_FILE", str(path))
    assert secret("A_SECRET") == found
    monkeypatch.setenv("A_SECRET", "")
    assert secret("A_SECRET") == found
    monkeypatch.setenv("A_SECRET", "set")
    with pytest.raises(ConfigError, match="A_SECRET and A_SECRET_FILE are both set"):
        secret("A_SECRET")


def test_a_variable_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert secret("A_SECRET") is None
    assert secret("A_SECRET", "default") == "default"
    monkeypatch.setenv("A_SECRET", "")
    assert secret("A_SECRET", "default") == "default"
    monkeypatch.setenv("A_SECRET", "set")
    assert secret("A_SECRET", "default") == "set"


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("A_SECRET_FILE", str(path))
    with pytest.raises(ConfigError, match=r"A_SECRET_FILE=.*: cannot be read"):
        secret("A_SECRET")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (
            "mysql://me:p%40ss@db.local:3307/shop?charset=utf8mb4",
            {"DRIVER": "mysql+aiomysql", "UID": "me", "PASSWD": "p@ss", "HOST": "db.local", "PORT": 3307,
             "DATABASE": "shop", "QUERY": {"charset": "utf8mb4"}},
        ),
        ("postgres://db/shop", {"DRIVER": "postgresql+asyncpg", "HOST": "db", "DATABASE": "shop"}),
        ("postgresql+psycopg://db/shop", {"DRIVER": "postgresql+psycopg", "HOST": "db", "DATABASE": "shop"}),
        ("mariadb://[::1]:3306/shop", {"DRIVER": "mysql+aiomysql", "HOST": "::1", "PORT": 3306, "DATABASE": "shop"}),
        ("sqlite:///shop.db", {"DRIVER": "sqlite+aiosqlite", "DATABASE": "shop.db"}),
        ("sqlite:////srv/shop.db", {"DRIVER": "sqlite+aiosqlite", "DATABASE": "/srv/shop.db"}),
    ],
)  # fmt: skip
def test_a_url_is_a_database(url: str, found: dict[str, Any]) -> None:
    assert database_of(url) == {"ROLE": "master", **found}


@pytest.mark.parametrize(
    "url", ["", "shop", "mysql://", "mysql:///shop", "mysql://me:hunter2@db:port/x", "mysql://[db"]
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL: write it as") as caught:
        database_of(url)
    assert "hunter2" not in str(caught.value)
