"""`torngas-aio check` points at what torngas 1.8 took otherwise."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.cli.former_defaults import former_default_cautions
from torngas_aio.settings_manager import settings

REDIS = "torngas_aio.cache.backends.rediscache.RedisCache"


def cautions(folder: Path, **values: Any) -> list[str]:
    with settings.override(**{"CACHES": {}, **values}):
        return list(former_default_cautions(folder))


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("await cache.set('k', 1, 0)", [1]),
        ("await cache.set('k', 1, timeout=0)", [1]),
        ("await caches['x'].touch('k', 0)\nawait self.cache.expire('k', 0)", [1, 2]),
        ("await cache.set('k', 0)\nawait cache.set('k', 0, 5)\nawait cache.set('k', 1, timeout=None)", []),
        ("d.set('k', 1, 0)\nwait(timeout=0)\nawait cache.incr('k', 0)", []),
    ],
)
def test_a_timeout_of_zero(tmp_path: Path, code: str, lines: list[int]) -> None:
    (tmp_path / "a.py").write_text(code, encoding="utf-8")
    told = [f"a.py:{line}: timeout=0 expires at once; None keeps a value for ever." for line in lines]
    assert cautions(tmp_path) == told


@pytest.mark.parametrize(
    ("cache", "is_told"),
    [
        ({"BACKEND": REDIS, "LOCATION": "127.0.0.1:6379"}, True),
        ({"BACKEND": REDIS, "LOCATION": "127.0.0.1:6379", "OPTIONS": {"DB": 0}}, False),
        ({"BACKEND": REDIS, "LOCATION": "redis://127.0.0.1/2"}, False),
        ({"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache"}, False),
    ],
)
def test_redis_without_a_number(tmp_path: Path, cache: dict[str, Any], is_told: bool) -> None:
    told = cautions(tmp_path, CACHES={"shared": cache})
    assert [each.startswith("CACHES['shared'] names no DB: it is 0, and was 1") for each in told] == [True] * is_told


def test_forms_with_a_token_that_nothing_checks(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/form.html").write_text("<form>\n{% raw xsrf_form_html() %}", encoding="utf-8")
    (told,) = cautions(tmp_path, TORNADO_CONF={"xsrf_cookies": False})
    assert told.startswith("templates/form.html:2: the form has a token")
    assert cautions(tmp_path, TORNADO_CONF={"xsrf_cookies": True}) == []


def test_the_language_of_visitors_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = cautions(tmp_path, TRANSLATIONS=True)
    assert "it is 'en_US', and was 'zh_CN'" in told
    module = types.ModuleType("own_settings")
    module.TRANSLATIONS_CONF = {"locale_default": "en_US"}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_settings", module)
    monkeypatch.setitem(vars(settings), "source", "own_settings")
    assert cautions(tmp_path, TRANSLATIONS=True) == []
