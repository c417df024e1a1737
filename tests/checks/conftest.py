"""What several test modules of this folder use."""

from pathlib import Path

import pytest

from tests.cli.conftest import directory

__all__ = ["directory", "plugins"]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importable stand-ins for what a project names by dotted path."""
    (tmp_path / "plugin_parts.py").write_text("class Part: pass\nfunction = len\n")
    (tmp_path / "plugin_broken.py").write_text("1 / 0\n")
    (tmp_path / "plugin_needy.py").write_text("import aiomcache_that_is_absent\n")
    (tmp_path / "plugin_redis.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'redis.asyncio'\", name='redis.asyncio')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
