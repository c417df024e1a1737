"""The project in the current directory: its settings and its application.

The settings module is the one that `--settings` names, else TORNGAS_APP_SETTINGS, else `settings` under
`[tool.torngas-aio]` in pyproject.toml, else `settings.setting` or `settings.settings` where it exists.
Begin with `load_project`.
"""

import argparse
import os
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings
from torngas_aio.webserver import Server
from torngas_aio.webserver.runner import LoopRunner
from torngas_aio.webserver.serving import GRACEFUL_SECONDS

__all__ = ["add_settings_option", "choose_settings", "load_project", "load_server", "run_async"]

CONVENTIONAL = ("settings.setting", "settings.settings")

_T = TypeVar("_T")


def add_settings_option(parser: argparse.ArgumentParser) -> None:
    """Let the command take `--settings`."""
    parser.add_argument(
        "--settings", metavar="MODULE", help=f"settings module, such as settings.setting (else ${ENVIRONMENT_NAME})"
    )


def choose_settings(module: str | None = None) -> str:
    """Load the project's settings and return the name of their module.

    The name is put into TORNGAS_APP_SETTINGS as well, for processes that are started from here.

    Raises:
        ConfigError: None is named or found, or it cannot be imported.
    """
    chosen = module or os.environ.get(ENVIRONMENT_NAME) or _named_in_pyproject() or _conventional()
    if chosen is None:
        raise ConfigError(
            "No settings module. Run this in the project's directory, or name one with --settings=package.module "
            f"or {ENVIRONMENT_NAME}.",
            code="TGA101",
        )
    settings.load(chosen)
    os.environ[ENVIRONMENT_NAME] = chosen
    return chosen


def load_project(module: str | None = None) -> Application:
    """Return the project's application, built as the server builds it.

    Raises:
        ConfigError: Every fault of settings, URLs, middlewares and modules, together.
    """
    application = load_server(module).application
    assert application is not None
    return application


def load_server(module: str | None = None) -> Server:
    """Return a server with the project's application, which listens nowhere; raises as `load_project`."""
    choose_settings(module)
    server = Server(Path.cwd())
    server.load_project()
    return server


def run_async(application: Application, function: Callable[[], Awaitable[_T]]) -> _T:
    """Return what `await function()` gives, with *application* opened before and closed after."""

    async def opened() -> _T:
        await application.startup()
        try:
            return await function()
        finally:
            await application.background.drain(GRACEFUL_SECONDS)
            await application.shutdown()

    with LoopRunner() as runner:
        return runner.run(opened())


def _named_in_pyproject() -> str | None:
    path = Path("pyproject.toml")
    if not path.is_file():
        return None
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path.resolve()}: {exc}.", code="TGA101") from exc
    named = tables.get("tool", {}).get("torngas-aio", {}).get("settings")
    return str(named) if named else None


def _conventional() -> str | None:
    return next((name for name in CONVENTIONAL if Path(*name.split(".")).with_suffix(".py").is_file()), None)
