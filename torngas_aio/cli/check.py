"""`torngas-aio check`: what is wrong with the project, all at once."""

import argparse
import sys

from torngas_aio.checks import cautions, deploy_cautions
from torngas_aio.cli.inspection import handler_name, is_foreign
from torngas_aio.cli.project import add_settings_option, load_project
from torngas_aio.exception import ConfigError
from torngas_aio.settings_manager import settings

__all__ = ["Check"]


class Check:
    """Check settings, URLs, hooks and modules without serving; list every fault and exit with 1 if there is one."""

    help = "check settings, URLs, hooks and modules"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--workers", type=int, default=1, help="look for what several processes do not stand")
        parser.add_argument("--deploy", action="store_true", help="look for what is open where others can connect")
        add_settings_option(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print what was found."""
        try:
            application = load_project(arguments.settings)
        except ConfigError as exc:
            for fault in exc.faults:
                sys.stderr.write(f"fault: {fault}\n")
            sys.stderr.write(f"{_counted(len(exc.faults), 'fault')}.\n")
            return 1
        found = cautions(settings, arguments.workers)
        if arguments.deploy:
            found += deploy_cautions(settings)
        for route in application.wildcard_router.routes():
            found.extend(getattr(route.rule, "notes", ()))
            if is_foreign(route):
                found.append(f"{route.pattern}: {handler_name(route)} is plain Tornado and gets the call hooks only.")
        for caution in found:
            print(f"caution: {caution}")
        count = sum(1 for _ in application.wildcard_router.routes())
        print(f"{settings.source}: no faults, {_counted(len(found), 'caution')}, {_counted(count, 'route')}.")
        return 0


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
