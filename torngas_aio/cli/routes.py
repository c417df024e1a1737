"""`torngas-aio routes`: every route, in the order in which they are tried."""

import argparse

from torngas_aio.application import Application
from torngas_aio.cli.output import table
from torngas_aio.cli.project import add_settings_option, load_project
from torngas_aio.operations.routes import handler_name, is_foreign, modules_of, sample_path, stages_of
from torngas_aio.pipeline import ROUTE_STAGES
from torngas_aio.routing import Route

__all__ = ["Routes"]

HEADER = ("", "PATTERN", "NAME", "HANDLER", "HOOKS", "MODULES")
UNINDEXED, FOREIGN = "*", "!"
LEGEND = {
    UNINDEXED: "no literal opening: tried one after the other, for every request that gets this far",
    FOREIGN: "a plain Tornado handler: it gets the call hooks only, and no modules",
}


class Routes:
    """List every route: its pattern, name, handler, how many hooks run at each stage, and its modules.

    Modules that a regular expression of ROUTE_MODULES chooses are those of a path that fits the pattern.
    """

    help = "list the URL patterns, with handlers, hooks and modules"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_settings_option(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print the table."""
        application = load_project(arguments.settings)
        rows = [_row(application, route) for route in application.wildcard_router.routes()]
        print(table(HEADER, rows))
        marks = {mark for row in rows for mark in row[0]}
        for mark, meaning in LEGEND.items():
            if mark in marks:
                print(f"\n{mark} {meaning}")
        return 0


def _row(application: Application, route: Route) -> tuple[str, ...]:
    path = sample_path(route)
    marks = ("" if route.is_indexed else UNINDEXED) + (FOREIGN if is_foreign(route) else "")
    stages = stages_of(application, route, path)
    hooks = " ".join(f"{stage}:{len(stages.hooks[stage])}" for stage in ROUTE_STAGES if stages.hooks[stage])
    if application.pipeline.call:
        hooks = f"call:{len(application.pipeline.call)} {hooks}".rstrip()
    pattern = route.pattern if route.host is None else f"{route.host} {route.pattern}"
    modules = ", ".join(modules_of(application, route, path))
    return marks, pattern, route.name or "-", handler_name(route), hooks or "-", modules or "-"
