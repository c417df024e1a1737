"""The commands `torngas-aio routes`, `pipeline` (all hooks of a route) and `openapi` (the OpenAPI document)."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from torngas_aio.application import Application
from torngas_aio.cli.project import add_settings_option, load_project, table
from torngas_aio.operations.routes import (
    find_route,
    handler_name,
    modules_of,
    pipeline_of,
    sample_path,
    stages_of,
)
from torngas_aio.pipeline import ROUTE_STAGES
from torngas_aio.routing import Route
from torngas_aio.settings_manager import settings

__all__ = ["OpenAPI", "Routes", "ShowPipeline"]

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
    marks = ("" if route.is_indexed else UNINDEXED) + (FOREIGN if route.is_foreign else "")
    stages = stages_of(application, route, path)
    hooks = " ".join(f"{stage}:{len(stages.hooks[stage])}" for stage in ROUTE_STAGES if stages.hooks[stage])
    if application.pipeline.call:
        hooks = f"call:{len(application.pipeline.call)} {hooks}".rstrip()
    pattern = route.pattern if route.host is None else f"{route.host} {route.pattern}"
    modules = ", ".join(modules_of(application, route, path))
    return marks, pattern, route.name or "-", handler_name(route), hooks or "-", modules or "-"


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
    if route.is_foreign:
        return f"{path}: a plain Tornado handler, which gets the call hooks only"
    return path


class OpenAPI:
    """Write the OpenAPI 3.1 document of the project's routes; `title` and `version` are those of OPENAPI."""

    help = "write the OpenAPI document"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_settings_option(parser)
        parser.add_argument("--output", "-o", metavar="FILE", type=Path, help="write to FILE in place of stdout")

    def run(self, arguments: argparse.Namespace) -> int:
        """Write the document."""
        application = load_project(arguments.settings)
        from torngas_aio.api.openapi import make_document  # msgspec is an extra

        texts = {key: settings.OPENAPI[key] for key in ("title", "version", "description") if key in settings.OPENAPI}
        text = json.dumps(make_document(application, **texts), indent=2, ensure_ascii=False) + "\n"
        if arguments.output is None:
            print(text, end="")
        else:
            arguments.output.write_text(text, encoding="utf-8")
        return 0
