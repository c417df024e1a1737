"""Functions shared by commands: loading the project of the current directory, running coroutines, text tables."""

import argparse
import importlib.util
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TypeVar

from torngas_aio._cleanup import close_all
from torngas_aio._names import import_module
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.scripts import choose_settings
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings
from torngas_aio.webserver import Server
from torngas_aio.webserver.runner import LoopRunner
from torngas_aio.webserver.serving import GRACEFUL_SECONDS

__all__ = [
    "add_settings_option",
    "choose_settings",
    "load_jobs",
    "load_project",
    "load_server",
    "run_alone",
    "run_async",
    "table",
]

_T = TypeVar("_T")


def add_settings_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--settings` to *parser*."""
    parser.add_argument(
        "--settings", metavar="MODULE", help=f"settings module, such as settings.setting (else ${ENVIRONMENT_NAME})"
    )


def load_project(module: str | None = None) -> Application:
    """Return the project's application, built as by the server.

    Raises:
        ConfigError: All faults of settings, URLs, middlewares and modules.
    """
    application = load_server(module).application
    assert application is not None
    return application


def load_jobs(module: str | None = None) -> Application:
    """Import the modules `jobs` of the project's apps, which declare its jobs; return the project's application.

    Raises:
        ConfigError: As `load_project`; or the extra `jobs` is not installed.
    """
    if importlib.util.find_spec("taskiq") is None:
        raise ConfigError("Jobs need an extra: pip install 'torngas-aio[jobs]'.", code="TGA803")
    application = load_project(module)
    for app in settings.INSTALLED_APPS:
        if importlib.util.find_spec(f"{app}.jobs") is not None:
            import_module(f"{app}.jobs")
    return application


def load_server(module: str | None = None) -> Server:
    """Return a server with the project's application, without sockets; raises the same as `load_project`."""
    choose_settings(module)
    server = Server(Path.cwd())
    server.load_project()
    return server


def run_alone(work: Coroutine[object, None, _T]) -> _T:
    """Run *work*, which needs no application, and return its result; close the resources that it has opened."""

    async def closed() -> _T:
        try:
            return await work
        finally:
            await close_all()

    with LoopRunner() as runner:
        return runner.run(closed())


def run_async(application: Application, function: Callable[[], Awaitable[_T]]) -> _T:
    """Return the result of `await function()`; open *application* before and close it after."""

    async def opened() -> _T:
        await application.startup()
        try:
            return await function()
        finally:
            await application.background.drain(GRACEFUL_SECONDS)
            await application.shutdown()

    with LoopRunner() as runner:
        return runner.run(opened())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return *rows* under *header* as text, with all columns but the last padded to their widest cell."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )
