"""The pytest plugin, loaded automatically if torngas_aio and pytest are installed.

    application        the project's application; override it to test another
    client             an open `TestClient` of it
    override_settings  a function that overrides settings until the end of the test
    job_queue          records enqueued jobs, runs them on request, advances schedules
    db_session         a database session whose changes, and those of requests, are rolled back after the test

    [tool.pytest.ini_options]
    torngas_settings = "settings.setting"     # else the environment variable TORNGAS_APP_SETTINGS

Needs `asyncio_mode = "auto"` of pytest-asyncio, or its marker. Without the extra `testing` the fixtures, which are in
`fixtures.py`, fail with an explanation, and other tests still run.
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
    """Make `settings` read the settings module of the fixtures, also when test modules import the project."""
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
