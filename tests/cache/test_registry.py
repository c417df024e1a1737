"""Aliases of the settings: one cache an alias and loop."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from torngas_aio._cleanup import close_all
from torngas_aio.cache import cache, caches
from torngas_aio.cache.backends.base import BaseCache
from torngas_aio.cache.backends.localcache import LocMemCache
from torngas_aio.cache.registry import make_cache
from torngas_aio.checks import missing_secrets
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.settings_manager import settings

LOCMEM = "torngas_aio.cache.backends.localcache.LocMemCache"
ENTRY: dict[str, Any] = {"BACKEND": LOCMEM, "LOCATION": "registry", "TIMEOUT": 7}


async def test_an_alias_is_one_cache_in_a_loop() -> None:
    with settings.override(CACHES={"default": ENTRY, "other": {**ENTRY, "LOCATION": "else"}}):
        assert caches["default"] is caches["default"]
        assert caches["default"] is not caches["other"]
        assert caches["default"].alias == "default"
        assert caches["default"].default_timeout == 7
        assert sorted(caches) == ["default", "other"]
        assert "other" in caches
        assert "third" not in caches


def test_each_loop_has_its_own() -> None:
    async def found() -> BaseCache:
        return caches["default"]

    with settings.override(CACHES={"default": ENTRY}):
        assert asyncio.run(found()) is not asyncio.run(found())


async def test_other_settings_make_another_cache_and_equal_ones_the_same() -> None:
    with settings.override(CACHES={"default": ENTRY}):
        first = caches["default"]
        with settings.override(CACHES={"default": {**ENTRY, "KEY_PREFIX": "x"}}):
            assert caches["default"] is not first
            assert caches["default"].keys_of.key_prefix == "x"
        with settings.override(CACHES={"default": dict(ENTRY)}):
            assert caches["default"] is first
        assert caches["default"] is first


async def test_an_unknown_alias_is_named_with_what_was_meant() -> None:
    with (
        settings.override(CACHES={"default": ENTRY, "sessions": ENTRY}),
        pytest.raises(UnknownAlias, match=r"CACHES has no 'session'\. Did you mean 'sessions'"),
    ):
        caches["session"]


async def test_the_application_s_shutdown_closes_what_was_opened() -> None:
    closed: list[str] = []

    class Closing(LocMemCache):
        async def raw_close(self) -> None:
            closed.append(self.alias)

    with settings.override(CACHES={"a": {"BACKEND": Closing}, "b": {"BACKEND": Closing}, "c": {"BACKEND": Closing}}):
        first = caches["a"]
        await caches["b"].close()
        await close_all()
        assert closed == ["b", "b", "a"]
        assert caches["a"] is not first
        await close_all()


def test_outside_a_loop_a_stand_in_finds_the_cache_when_used() -> None:
    with settings.override(CACHES={"default": ENTRY}):
        early = caches["default"]
        assert repr(early) == "caches['default']"
        with pytest.raises(RuntimeError, match=r"caches\['default'\]\.get was used outside"):
            early.get  # noqa: B018  reading it is the test

        async def use() -> None:
            await early.set("key", 1)
            assert await cache.get("key") == 1
            assert await caches["default"].get("key") == 1

        asyncio.run(use())


FILES = "torngas_aio.cache.backends.filecache.FileBasedCache"


async def test_the_registry_hands_in_the_project_s_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = {"default": {"BACKEND": FILES, "LOCATION": str(tmp_path)}}
    first, second = "the first secret of the project", b"the second secret of the project"

    async def kept(conf: dict[str, Any]) -> object:
        with settings.override(CACHES=entries, TORNADO_CONF=conf):
            return await caches["default"].get("key")

    with settings.override(CACHES=entries, TORNADO_CONF={"cookie_secret": first}):
        await caches["default"].set("key", ["kept"])
    assert await kept({"cookie_secret": {1: first, 2: second}, "key_version": 2}) == ["kept"]
    assert await kept({"cookie_secret": first, "xsrf_cookies": True}) == ["kept"]
    with settings.override(CACHES=entries, TORNADO_CONF={"cookie_secret": {3: first, 2: second}, "key_version": 2}):
        await caches["default"].set("key", ["again"])
    assert await kept({"cookie_secret": second}) == ["again"], "key_version signs"
    assert not caplog.records
    assert await kept({"cookie_secret": first}) is None
    await close_all()


@pytest.mark.parametrize("conf", [{}, {"cookie_secret": None}, {"cookie_secret": ""}, {"cookie_secret": "short"}])
async def test_without_a_lasting_secret_a_shared_store_warns(
    tmp_path: Path, conf: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    entries = {"default": {"BACKEND": FILES, "LOCATION": str(tmp_path)}, "memory": ENTRY}
    with settings.override(CACHES=entries, TORNADO_CONF=conf):
        assert await caches["memory"].get("no such key") is None
        assert not caplog.records
        await caches["default"].set("key", ["kept"])
        assert await caches["default"].get("key") == ["kept"]
    assert "CACHES['default'] signs its values with a random secret" in caplog.text
    with settings.override(CACHES=entries, TORNADO_CONF=conf), settings.override(**missing_secrets(settings)):
        other = make_cache("again", entries["default"])
        assert await other.get("key") == ["kept"], "the processes of a run share it"
        assert "CACHES['again'] signs its values with a random secret" in caplog.text
        await other.close()
    await close_all()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "CACHES['mine']['BACKEND'] is missing"),
        ({"BACKEND": "no.such.Cache"}, "'no.such.Cache': No module named 'no'"),
        ({"BACKEND": LOCMEM + "x"}, "has no attribute 'LocMemCachex'"),
        ({"BACKEND": "os.path"}, "this is a module, a class is wanted"),
        ({"BACKEND": int}, "is not a cache. Name a subclass"),
        ({"BACKEND": LOCMEM, "OPTIONS": {"MAX_ENTRIES": "many"}}, "MAX_ENTRIES'] = 'many': must be a whole number"),
        ({"BACKEND": LOCMEM, "OPTIONS": {"MAX_ENTRIES": 1.5}}, "must be a whole number"),
        ({"BACKEND": LOCMEM, "OPTIONS": {"PURGE_INTERVAL": -1}}, "PURGE_INTERVAL'] = -1"),
        ({"BACKEND": LOCMEM, "OPTIONS": {"SERIALIZER": "signed-pickle"}}, "SECRET_KEY"),
    ],
)
def test_an_entry_that_cannot_work_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_cache("mine", entry)
    assert message in str(caught.value)
    assert "mine" in str(caught.value) or "SECRET_KEY" in message
