"""`torngas-aio check`: all faults of the project at once.

faults     the project does not start, a route never works, an `await` is missing         status 1
cautions   probably unintended, or with a meaning that has changed since torngas 1.8      status 0
--deploy   cautions on access from other machines, and on deploy/*.service and deploy/nginx.conf
"""

import argparse
import ast
import asyncio
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tornado.routing import PathMatches

from torngas_aio._compat.tornado import regex_of
from torngas_aio.application import Application
from torngas_aio.checks import cautions, deploy_cautions
from torngas_aio.checks.deployment import deploy_file_cautions, workers_of_units
from torngas_aio.cli.awaits import has_zero_timeout, parsed, project_files, unawaited_faults
from torngas_aio.cli.project import add_settings_option, load_server, run_alone
from torngas_aio.exception import BaseError, ConfigError, coded_fault
from torngas_aio.http.limits import MAX_BODY_BYTES
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.operations.routes import handler_name
from torngas_aio.routing.pattern import Gap, Shape, shapes_of
from torngas_aio.routing.route import Route
from torngas_aio.routing.signatures import signature_findings
from torngas_aio.settings_manager import settings
from torngas_aio.webserver.stopping import GRACEFUL_SECONDS, SHUTDOWN_SECONDS

__all__ = ["Check", "former_default_cautions"]

DEPLOY = Path("deploy")
DATABASE_SECONDS = 5.0
"""How long one database may take to tell which migrations it has."""

TEMPLATES = (".html", ".htm", ".tpl", ".mako", ".jinja", ".jinja2", ".j2", ".py")


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
        """Print the faults and cautions."""
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
        if workers > 1:
            found += _in_process_cautions(application.wildcard_router.routes(), workers)
        found += [*_migration_cautions(), *former_default_cautions(Path.cwd())]
        if arguments.deploy:
            found += deploy_cautions(settings)
            found += deploy_file_cautions(
                DEPLOY, graceful=GRACEFUL_SECONDS, shutdown=SHUTDOWN_SECONDS,
                request_timeout=settings.REQUEST_TIMEOUT, max_body=MAX_BODY_BYTES,
                jobs_wait=any(not str(each.get("BACKEND")).endswith("MemoryJobs") for each in settings.JOBS.values()),
            )  # fmt: skip
        found = list(dict.fromkeys(found))
        for caution in found:
            print(f"caution: {caution}")
        routes = application.wildcard_router.routes()
        count = sum(not route.handler_class.__module__.startswith("torngas_aio.operations.") for route in routes)
        print(f"{settings.source}: no faults, {_counted(len(found), 'caution')}, {_counted(count, 'route')}.")
        return 0


def _route_cautions(application: Application) -> Iterator[str]:
    for route in application.wildcard_router.routes():
        yield from getattr(route.rule, "notes", ())
        if route.is_foreign:
            yield f"{route.pattern}: {handler_name(route)} is plain Tornado and gets the call hooks only."
        alias = getattr(route.handler_class, "channels_alias", None)
        if isinstance(alias, str) and alias not in settings.CHANNELS:
            yield f"{route.pattern}: {handler_name(route)}.channels_alias = {alias!r}: no such entry of CHANNELS."
    yield from signature_findings(application.wildcard_router.routes())[1]
    shapes = [shape for route in application.wildcard_router.routes() for shape in _shapes_of(route)]
    for middleware in application.pipeline.middlewares:
        for pattern in middleware.path_patterns if isinstance(middleware, HttpModuleMiddleware) else ():
            if pattern.pattern.startswith(("^", r"\A")) and not any(map(partial(_may_meet, pattern), shapes)):
                yield f"ROUTE_MODULES[{pattern.pattern!r}] matches the path of no route: its modules never run."


def _in_process_cautions(routes: Iterable[Route], workers: int) -> Iterator[str]:
    """Yield a sentence for each setting that is local to a worker but should be shared by all."""
    for route in routes:
        alias = getattr(route.handler_class, "channels_alias", None)
        if getattr(route.handler_class, "channel_names", ()) and _is_in_memory(settings.CHANNELS, alias):
            yield (
                f"{route.pattern}: CHANNELS[{alias!r}] is in memory: each of {workers} workers hears its own messages "
                "only. Choose 'torngas_aio.channels.redis.RedisChannels'."
            )
    declaring = sys.modules.get("torngas_aio.jobs.declaring")  # None: no job is declared
    for job in () if declaring is None else declaring.declared.values():
        if job.schedule is not None and _is_in_memory(settings.JOBS, job.alias):
            yield (
                f"JOBS[{job.alias!r}] is in memory: {job.name} runs in each of {workers} workers at each of its times. "
                "Choose 'torngas_aio.jobs.redis.RedisJobs'."
            )


def _is_in_memory(entries: Mapping[str, Mapping[str, object]], alias: object) -> bool:
    return str(entries.get(str(alias), {}).get("BACKEND")).endswith((".MemoryChannels", ".MemoryJobs"))


def _shapes_of(route: Route) -> tuple[Shape, ...]:
    """Return the shapes of *route*'s paths; if it is not matched by path, one that fits any path."""
    matcher = route.rule.matcher
    return shapes_of(regex_of(matcher)) if isinstance(matcher, PathMatches) else (Shape((Gap.ACROSS,)),)


def _may_meet(pattern: re.Pattern[str], paths: Shape) -> bool:
    """Return whether *pattern*, anchored at the start, may match one of *paths*; True if undecided."""
    if paths.literal is not None:
        return pattern.search(paths.literal) is not None
    beginning = _beginning_of(paths)
    others = (_beginning_of(shape) for shape in shapes_of(pattern))
    return any(each.startswith(beginning) or beginning.startswith(each) for each in others)


def _beginning_of(shape: Shape) -> str:
    first = shape.items[0] if shape.items else ""
    return first if isinstance(first, str) else ""


def _migration_cautions() -> list[str]:
    """Return a sentence for each database with pending `migrations/<name>/`, or that cannot be reached."""
    names = [name for name in settings.DATABASE_CONNECTION if Path("migrations", name).is_dir()]
    if not names or importlib.util.find_spec("alembic") is None:
        return []
    return run_alone(_ask_databases(names))


async def _ask_databases(names: list[str]) -> list[str]:
    return [caution for name in names if (caution := await _ask_database(name))]


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


def former_default_cautions(folder: Path) -> Iterator[str]:
    """Yield a sentence for each use, in settings and files under *folder*, of a default changed since torngas 1.8."""
    yield from _zero_timeouts(folder)
    for alias, cache in settings.CACHES.items():
        if _is_redis_without_db(cache):
            yield f"CACHES[{alias!r}] names no DB: it is 0, and was 1 in torngas 1.8. Write OPTIONS['DB']."
    if not settings.TORNADO_CONF.get("xsrf_cookies"):
        yield from _xsrf_forms(folder)
    own: Mapping[str, object] = getattr(sys.modules.get(settings.source or ""), "TRANSLATIONS_CONF", None) or {}
    if settings.TRANSLATIONS and "locale_default" not in own:
        default = settings.TRANSLATIONS_CONF["locale_default"]
        yield f"TRANSLATIONS_CONF names no 'locale_default': it is {default!r}, and was 'zh_CN' in torngas 1.8."


def _zero_timeouts(folder: Path) -> Iterator[str]:
    for path in project_files(folder):
        for node in ast.walk(parsed(path) or ast.Module([], [])):
            if isinstance(node, ast.Call) and has_zero_timeout(node):
                place = f"{path.relative_to(folder)}:{node.lineno}"
                yield f"{place}: timeout=0 expires at once; None keeps a value for ever."


def _is_redis_without_db(cache: Mapping[str, Any]) -> bool:
    location = cache.get("LOCATION", "")
    has_db = "DB" in (cache.get("OPTIONS") or {}) or "db" in cache or "://" in str(location)
    return "rediscache" in str(cache.get("BACKEND")) and not has_db


def _xsrf_forms(folder: Path) -> Iterator[str]:
    for path in project_files(folder, TEMPLATES):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            if "xsrf_form_html" in line:
                place = f"{path.relative_to(folder)}:{number}"
                yield f"{place}: the form has a token that nothing checks: TORNADO_CONF['xsrf_cookies'] is off."
