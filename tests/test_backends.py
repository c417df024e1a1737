"""Backends of a setting: one an alias and loop, made when first asked for, closed with the loop's application."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from torngas_aio._backends import Backends, make_backend
from torngas_aio.exception import ConfigError, UnknownAlias
from torngas_aio.scripts import close
from torngas_aio.settings_manager import settings


class Backend:
    def __init__(self, alias: str, config: Mapping[str, Any]) -> None:
        self.alias, self.config = alias, config
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.fixture
def backends() -> Iterator[Backends[Backend]]:
    with settings.override(CHANNELS={"default": {"LOCATION": "a"}, "other": {}}):
        yield Backends("CHANNELS", Backend)


async def test_an_alias_has_one_backend_until_its_loop_closes_it(backends: Backends[Backend]) -> None:
    found = backends["default"]
    assert (found.alias, found.config) == ("default", {"LOCATION": "a"})
    assert backends["default"] is found
    assert backends["other"] is not found
    await close()
    assert found.is_closed
    assert backends["default"] is not found
    await close()


async def test_other_settings_have_a_backend_of_their_own(backends: Backends[Backend]) -> None:
    found = backends["default"]
    with settings.override(CHANNELS={"default": {"LOCATION": "b"}}):
        assert backends["default"] is not found
        assert list(backends) == ["default"]
    assert backends["default"] is found
    await close()
    assert found.is_closed


def test_each_loop_has_its_own(backends: Backends[Backend]) -> None:
    async def use() -> Backend:
        found = backends["default"]
        await close()
        return found

    assert asyncio.run(use()) is not asyncio.run(use())
    with pytest.raises(RuntimeError, match="outside a running event loop"):
        backends["default"]


async def test_an_alias_that_is_not_configured_is_told(backends: Backends[Backend]) -> None:
    assert "other" in backends
    assert "none" not in backends
    with pytest.raises(UnknownAlias, match=r"CHANNELS has no 'none'\. It configures 'default', 'other'\."):
        backends["none"]


def test_a_backend_is_a_class_or_a_path() -> None:
    def made(backend: Any) -> Backend:
        makers: Mapping[Any, Callable[..., Backend]] = {
            Backend: lambda kind, location, params: kind(params["ALIAS"], {"LOCATION": location})
        }
        return make_backend("CHANNELS", "here", {"BACKEND": backend, "LOCATION": "a"}, makers, "a.B")

    for backend in (Backend, f"{__name__}.Backend"):
        found = made(backend)
        assert (found.alias, found.config) == ("here", {"LOCATION": "a"})
    with pytest.raises(ConfigError, match=r"CHANNELS\['here'\]\['BACKEND'\] = .* such as 'a\.B'\."):
        made(f"{__name__}.Missing")
    with pytest.raises(ConfigError, match=r"name a subclass of tests\.test_backends\.Backend"):
        made(dict)
