"""`torngas-aio pipeline PATH|NAME`: every hook of one route, in the order they will run."""

import argparse
from collections.abc import Iterator

from torngas_aio.application import Application
from torngas_aio.cli.project import add_settings_option, load_project
from torngas_aio.operations.routes import find_route, is_foreign, pipeline_of
from torngas_aio.routing import Route

__all__ = ["ShowPipeline"]


class ShowPipeline:
    """Show what a request to PATH, or to the route NAME, goes through, hook by hook, with file and line."""

    help = "show every hook that a path or a named route runs, in order"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("target", metavar="PATH|NAME", help="a path such as /user/login, or a route's name")
        add_settings_option(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print the stages."""
        application = load_project(arguments.settings)
        route, path = find_route(application, arguments.target)
        print("\n".join(_lines(application, route, path)))
        return 0


def _lines(application: Application, route: Route | None, path: str) -> Iterator[str]:
    yield _title(route, path)
    for step in pipeline_of(application, route, path):
        if step.stage in {"route", "handler"}:
            yield from (
                f"{step.stage:<10} {line.name}" + (f"  {line.place}" if line.place else "") for line in step.lines
            )
            continue
        yield f"{step.stage:<10} ({step.when})" if step.when else step.stage
        yield from (f"  {number}. {line.name}  {line.place}" for number, line in enumerate(step.lines, 1))


def _title(route: Route | None, path: str) -> str:
    if route is None:
        return f"{path}: no route, answered 404"
    if is_foreign(route):
        return f"{path}: a plain Tornado handler, which gets the call hooks only"
    return path
