"""Backends of a setting: one an alias and loop, made when first asked for, closed with the loop's application."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from torngas_aio._backends import Backends, named_backend
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
    await close()
    assert found.is_closed


def test_each_loop_has_its_own(backends: Backends[Backend]) -> None:
    async def use() -> Backend:
        found = backends["default"]
        await close()
        return found

    assert asyncio.run(use()) is not asyncio.run(use())
    with pytest.raises(RuntimeError, match="no running event loop"):
        backends["default"]


async def test_an_alias_that_is_not_configured_is_told(backends: Backends[Backend]) -> None:
    assert "other" in backends
    assert "none" not in backends
    with pytest.raises(UnknownAlias, match=r"CHANNELS has no 'none'\. It configures 'default', 'other'\."):
        backends["none"]


def test_a_backend_is_a_class_or_a_path() -> None:
    assert named_backend("here", Backend, "a.B") is Backend
    assert named_backend("here", f"{__name__}.Backend", "a.B") is Backend
    with pytest.raises(ConfigError, match=r"here: .* such as 'a\.B'\."):
        named_backend("here", f"{__name__}.Missing", "a.B")
