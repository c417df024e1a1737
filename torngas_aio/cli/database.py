"""`torngas-aio syncdb` and `torngas-aio db`: create the tables of the models, or migrate them.

    syncdb                          create missing tables
    db revision -m "add visits"     write a migration from the current tables to the models
    db upgrade, downgrade, history  apply, revert and list migrations

Each works on all connections, or on those named with `--connection`.
"""

import argparse
import importlib.util
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from torngas_aio._names import import_module
from torngas_aio._unawaited import collected_unawaited
from torngas_aio.cli.project import add_settings_option, choose_settings, run_alone
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.settings_manager import settings

__all__ = ["Db", "SyncDb"]


class SyncDb:
    """Make, on each connection's master, the tables of the models that do not exist yet.

    Tables that exist are left as they are, also where their models have changed: see `torngas-aio db`.
    """

    help = "make the tables that are missing"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        _add_common(parser)
        parser.add_argument("--drop", action="store_true", help="drop the tables first, with all their rows")
        parser.add_argument("--yes", action="store_true", help="with --drop: that is meant")

    def run(self, arguments: argparse.Namespace) -> int:
        """Create the tables; the status is 1 if the project's code lacks an `await`.

        Raises:
            ArgumentError: `--drop` is given without `--yes`.
        """
        if arguments.drop and not arguments.yes:
            raise ArgumentError("syncdb --drop deletes every row of every table. Say --yes as well if that is meant.")
        return _each(arguments, lambda name: _sync(name, is_fresh=arguments.drop))


class Db:
    """Walk the tables of each connection from version to version.

    The versions are Python files in `migrations/<connection name>/`; they are Alembic's and yours to edit.
    """

    help = "migrate the tables: revision, upgrade, downgrade, history"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
        revision = verbs.add_parser("revision", help="write a version that takes the tables to the models")
        revision.add_argument("-m", "--message", required=True, help="what changes, in a few words")
        revision.add_argument("--empty", action="store_true", help="without changes, to fill in by hand")
        upgrade = verbs.add_parser("upgrade", help="go forward")
        upgrade.add_argument("revision", nargs="?", default="head", help="a version, +1, or head (default)")
        downgrade = verbs.add_parser("downgrade", help="go back")
        downgrade.add_argument("revision", help="a version, -1, or base")
        verbs.add_parser("history", help="list the versions and where the database is")
        for verb in verbs.choices.values():
            _add_common(verb)
            verb.add_argument("--folder", default="migrations", help="where the versions live (default: migrations)")

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the given subcommand; the status is 1 if the project's code lacks an `await`."""
        return _each(arguments, lambda name: _migrate(name, arguments))


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_settings_option(parser)
    parser.add_argument(
        "--connection", action="append", metavar="NAME", help="a name of DATABASE_CONNECTION; may be repeated"
    )


def _each(arguments: argparse.Namespace, function: Callable[[str], Awaitable[None]]) -> int:
    """Await *function* for each connection in *arguments*; import the models before and close the pools after.

    Returns:
        The exit status: 1 if a coroutine was never awaited, by an event receiver or a migration.
    """
    choose_settings(arguments.settings)
    if not settings.DATABASE_CONNECTION:
        raise ConfigError("DATABASE_CONNECTION is empty: there is no database to work on.", code="TGA501")
    with collected_unawaited() as found:
        _import_models()
        run_alone(_run_each(arguments.connection or settings.DATABASE_CONNECTION, function))
    return 1 if found else 0


async def _run_each(names: Iterable[str], function: Callable[[str], Awaitable[None]]) -> None:
    for name in names:
        await function(name)


def _import_models() -> None:
    """Import the models of every application: its `models`, `jobs`, and `urls` with the handlers that use them."""
    for app in settings.INSTALLED_APPS:
        for module in (f"{app}.models", f"{app}.urls", f"{app}.jobs"):
            if importlib.util.find_spec(module) is not None:
                import_module(module)
    from torngas_aio.db.dbalchemy import Connector

    for connection in Connector.conn_pool.values():
        connection.add_own_tables()


async def _sync(name: str, *, is_fresh: bool) -> None:
    from torngas_aio.db.dbalchemy import Connector

    connection = Connector.get_conn(name)
    before = await connection.existing_tables()
    if is_fresh:
        await connection.drop_db()
    await connection.create_db()
    made = sorted(set(connection.metadata.tables) - (set() if is_fresh else set(before)))
    steps = {"dropped": before if is_fresh else [], "made": made, "already there": [] if is_fresh else before}
    summary = "; ".join(f"{step} {', '.join(tables)}" for step, tables in steps.items() if tables)
    print(f"{name}: {summary or 'no models'}")


async def _migrate(name: str, arguments: argparse.Namespace) -> None:
    from torngas_aio.db.dbalchemy.migrations import Migrations

    migrations = Migrations(name, Path(arguments.folder), write=lambda line: print(f"{name}: {line}".rstrip()))
    if arguments.verb == "revision":
        made = await migrations.revision(arguments.message, is_empty=arguments.empty)
        print(f"{name}: {'nothing has changed' if made is None else made.name}")
    elif arguments.verb == "history":
        await migrations.history()
    else:
        await getattr(migrations, arguments.verb)(arguments.revision)
        print(f"{name}: at {await migrations.current() or 'base'}")
