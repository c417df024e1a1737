"""The store of the settings is made once, and kept while it is used."""

from typing import Any

from torngas_aio.session.registry import session_store
from torngas_aio.settings_manager import settings


async def test_a_store_in_use_outlives_those_of_other_settings() -> None:
    with settings.override(SESSION=section("in use")):
        first = session_store()
        for number in range(20):
            with settings.override(SESSION=section(f"v{number}")):
                assert session_store() is not first
            assert session_store() is first


def section(version: str) -> dict[str, Any]:
    return {"secret_key": "a-long-and-random-secret-of-this-test", "session_version": version}
