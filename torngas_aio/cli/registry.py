"""The available commands: built-in ones, those of the project, and those of installed packages.

    [tool.torngas-aio.commands]                         in the project's pyproject.toml
    greet = "home.commands.Greet"

    [project.entry-points."torngas_aio.commands"]       in a package's
    greet = "mypackage.commands:Greet"

A command is imported only when it is used, or for its help.
"""

import argparse
import importlib.metadata
from functools import cache
from typing import Protocol, runtime_checkable

from torngas_aio._names import import_object
from torngas_aio.exception import ConfigError
from torngas_aio.scripts import project_table

__all__ = ["GROUP", "Command", "command_names", "load_command"]

GROUP = "torngas_aio.commands"
"""The entry point group of other packages' commands."""

BUILT_IN = {
    "startproject": "torngas_aio.cli.starting.StartProject",
    "startapp": "torngas_aio.cli.starting.StartApp",
    "runserver": "torngas_aio.cli.runserver.RunServer",
    "routes": "torngas_aio.cli.routes.Routes",
    "pipeline": "torngas_aio.cli.routes.ShowPipeline",
    "openapi": "torngas_aio.cli.routes.OpenAPI",
    "check": "torngas_aio.cli.check.Check",
    "ps": "torngas_aio.cli.runserver.Ps",
    "worker": "torngas_aio.cli.jobs.Worker",
    "jobs": "torngas_aio.cli.jobs.ShowJobs",
    "shell": "torngas_aio.cli.shell.Shell",
    "run": "torngas_aio.cli.runserver.Run",
    "syncdb": "torngas_aio.cli.database.SyncDb",
    "db": "torngas_aio.cli.database.Db",
    "port": "torngas_aio.cli.port.command.Port",
    "migrate": "torngas_aio.cli.port.command.Migrate",
}
"""Name of a command: its class, which is created without arguments."""


@runtime_checkable
class Command(Protocol):
    """One command; its docstring is the description that `--help` shows.

    Attributes:
        help: One line for the list of commands.
    """

    help: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int | None:
        """Run the command; return the exit status, None for 0.

        A `torngas_aio.exception.BaseError` is shown without traceback, with status 1. The method is synchronous; to
        run coroutines with the application open, use `torngas_aio.cli.project.run_async`.
        """


@cache
def _installed() -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}


def _of_project() -> dict[str, str]:
    commands: dict[str, str] = project_table().get("commands", {})
    return commands


def command_names() -> list[str]:
    """Return the names of all commands: built-in ones, then those of the project and of other packages."""
    return [*BUILT_IN, *sorted({*_of_project(), *_installed()} - set(BUILT_IN))]


def load_command(name: str) -> Command:
    """Return the command *name*.

    Raises:
        ConfigError: The object at its path is not a command.
    """
    path = BUILT_IN.get(name) or _of_project().get(name)
    made = import_object(path) if path else _installed()[name].load()
    command = made() if isinstance(made, type) else made
    if not isinstance(command, Command):
        raise ConfigError(
            f"The command {name!r} ({made!r}) lacks `help`, `add_arguments` or `run`. "
            "See torngas_aio.cli.registry.Command.",
            code="TGA803",
        )
    return command
