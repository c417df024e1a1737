"""The pytest plugin, loaded by itself wherever torngas_aio is installed beside pytest.

    application        the project's application; override it to test another
    client             a `TestClient` of it, open for the test
    override_settings  a function: these settings hold until the end of the test
    job_queue          keeps what is enqueued, runs it when told, advances schedules
    db_session         a database session whose changes, and those of the requests made, are undone afterwards

    [tool.pytest.ini_options]
    torngas_settings = "settings.setting"     # else the environment variable TORNGAS_APP_SETTINGS

Wants `asyncio_mode = "auto"` of pytest-asyncio, or its marker. The fixtures are in `fixtures.py`; without the extra
`testing` they fail with a sentence, and tests that have nothing to do with it run on.
"""

import importlib.util
from typing import NoReturn

import pytest

from torngas_aio.settings_manager import ENVIRONMENT_NAME
from torngas_aio.testing import HOW_TO_INSTALL, LIBRARIES

__all__ = ["pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("torngas_settings", f"Dotted name of the settings module; {ENVIRONMENT_NAME} where it is not set.")


def pytest_configure(config: pytest.Config) -> None:
    """Have `settings` read what the fixtures take, also while test modules import the project's."""
    if module := config.getini("torngas_settings"):
        patch = pytest.MonkeyPatch()
        patch.setenv(ENVIRONMENT_NAME, module)
        config.add_cleanup(patch.undo)


if all(importlib.util.find_spec(library) for library in LIBRARIES):
    pytest_plugins = ["torngas_aio.testing.fixtures"]
else:

    def _refuse() -> NoReturn:
        pytest.fail(HOW_TO_INSTALL, pytrace=False)

    for _name in ("application", "client", "db_session", "job_queue", "override_settings"):
        globals()[_name] = pytest.fixture(name=_name)(_refuse)
