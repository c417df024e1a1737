"""`torngas-aio pipeline PATH|NAME`: every hook of one route, in the order they will run."""

import argparse
from collections.abc import Iterator

from torngas_aio._project_errors import shortened
from torngas_aio.application import Application
from torngas_aio.cli.inspection import find_route, handler_name, is_foreign, stages_of
from torngas_aio.cli.output import place_of
from torngas_aio.cli.project import add_settings_option, load_project
from torngas_aio.pipeline import Hook, RouteStages
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
    stages = stages_of(application, route, path)
    pipeline = application.pipeline
    yield _title(route, path)
    yield from _stage("init", pipeline.init, "once, before the first request")
    yield from _stage("call", pipeline.call_hooks)
    if route is not None:
        yield f"route      {route.pattern}" + (f"  name {route.name}" if route.name else "")
    early = len(stages.before_body)
    yield from _stage("request", stages.hooks["request"][:early], "before the body is read")
    yield from _stage("request", stages.hooks["request"][early:], "once the body is read" if early else "")
    if route is not None:
        yield f"handler    {handler_name(route)}  {place_of(route.handler_class)}"
    yield from _rest(stages)
    yield from _stage("shutdown", pipeline.shutdown, "once, after the last request")


def _title(route: Route | None, path: str) -> str:
    if route is None:
        return f"{path}: no route, answered 404"
    if is_foreign(route):
        return f"{path}: a plain Tornado handler, which gets the call hooks only"
    return path


def _rest(stages: RouteStages) -> Iterator[str]:
    yield from _stage("render", stages.hooks["render"], "at each render")
    yield from _stage("response", stages.hooks["response"])
    yield from _stage("endcall", stages.hooks["endcall"])
    yield from _stage("exception", stages.hooks["exception"], "if anything raises")


def _stage(name: str, hooks: tuple[Hook, ...], when: str = "") -> Iterator[str]:
    if not hooks:
        return
    yield f"{name:<10} ({when})" if when else name
    for number, hook in enumerate(hooks, 1):
        yield f"  {number}. {hook}  {shortened(hook.location)}"
