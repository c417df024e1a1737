"""`torngas-aio check`: what is wrong with the project, all at once.

    faults     it does not start, a route never works, an `await` is forgotten        status 1
    cautions   it runs, but hardly as meant                     status 0
    --deploy   cautions about what is open to other machines, and about deploy/*.service and deploy/nginx.conf

Begin with `Check`.
"""

import argparse
import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from torngas_aio._cleanup import close_all
from torngas_aio.application import Application
from torngas_aio.checks import cautions, deploy_cautions
from torngas_aio.checks.deployment import deploy_file_cautions, workers_of_units
from torngas_aio.cli.awaits import unawaited_faults
from torngas_aio.cli.former_defaults import former_default_cautions
from torngas_aio.cli.project import add_settings_option, load_server
from torngas_aio.exception import BaseError, ConfigError, coded_fault
from torngas_aio.http.limits import MAX_BODY_BYTES
from torngas_aio.operations.routes import handler_name, is_foreign
from torngas_aio.routing.signatures import signature_findings
from torngas_aio.settings_manager import settings
from torngas_aio.webserver.runner import LoopRunner
from torngas_aio.webserver.stopping import GRACEFUL_SECONDS, SHUTDOWN_SECONDS

__all__ = ["Check"]

DEPLOY = Path("deploy")
DATABASE_SECONDS = 5.0
"""How long one database may take to tell which migrations it has."""


class Check:
    """Check settings, URLs, handlers, hooks, modules, migrations and forgotten awaits without serving.

    Every fault is listed, and the status is 1 if there is one.
    """

    help = "check settings, URLs, handlers, hooks, modules and migrations"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--workers", type=int, default=1, help="look for what several processes do not stand")
        parser.add_argument("--deploy", action="store_true", help="look for what is open where others can connect")
        add_settings_option(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print what was found."""
        forgotten = unawaited_faults(Path.cwd())
        try:
            server = load_server(arguments.settings)
            ConfigError.gather(forgotten, code="TGA710")
        except ConfigError as exc:
            faults = [*exc.faults, *(fault for fault in forgotten if fault not in exc.faults)]
            for fault in faults:
                sys.stderr.write(f"fault: {coded_fault(fault)}\n")
            sys.stderr.write(f"{_counted(len(faults), 'fault')}.\n")
            return 1
        application = server.application
        assert application is not None
        workers = max(arguments.workers, workers_of_units(DEPLOY) if arguments.deploy else 1)
        found = [*server.cautions, *cautions(settings, workers), *_route_cautions(application)]
        found += [*_migration_cautions(), *former_default_cautions(Path.cwd())]
        if arguments.deploy:
            found += [*deploy_cautions(settings), *_deploy_file_cautions()]
        found = list(dict.fromkeys(found))
        for caution in found:
            print(f"caution: {caution}")
        routes = application.wildcard_router.routes()
        count = sum(not route.handler_class.__module__.startswith("torngas_aio.operations.") for route in routes)
        print(f"{settings.source}: no faults, {_counted(len(found), 'caution')}, {_counted(count, 'route')}.")
        return 0


def _deploy_file_cautions() -> Iterator[str]:
    return deploy_file_cautions(
        DEPLOY,
        graceful=GRACEFUL_SECONDS,
        shutdown=SHUTDOWN_SECONDS,
        request_timeout=settings.REQUEST_TIMEOUT,
        max_body=MAX_BODY_BYTES,
    )


def _route_cautions(application: Application) -> Iterator[str]:
    for route in application.wildcard_router.routes():
        yield from getattr(route.rule, "notes", ())
        if is_foreign(route):
            yield f"{route.pattern}: {handler_name(route)} is plain Tornado and gets the call hooks only."
    yield from signature_findings(application.wildcard_router.routes())[1]


def _migration_cautions() -> list[str]:
    """A sentence for each database that is behind its `migrations/<name>/`, or that could not be asked."""
    names = [name for name in settings.DATABASE_CONNECTION if Path("migrations", name).is_dir()]
    if not names or importlib.util.find_spec("alembic") is None:
        return []
    with LoopRunner() as runner:
        return runner.run(_ask_databases(names))


async def _ask_databases(names: list[str]) -> list[str]:
    try:
        return [caution for name in names if (caution := await _ask_database(name))]
    finally:
        await close_all()


async def _ask_database(name: str) -> str:
    from torngas_aio.db.dbalchemy.migrations import Migrations

    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            missing = await Migrations(name).pending()
    except (BaseError, TimeoutError) as exc:
        reason = str(exc) or f"no answer within {DATABASE_SECONDS:g} s"
        return f"migrations/{name}: whether they are applied is not known: {reason}"
    if not missing:
        return ""
    which = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    return (
        f"migrations/{name}: {_counted(len(missing), 'migration')} not applied: {which}. "
        f"Run `torngas-aio db upgrade --connection={name}`."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
