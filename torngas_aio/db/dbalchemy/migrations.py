"""Migrations with Alembic, separate for each connection name.

migrations/default/*.py      the versions of the connection 'default'
migrations/other/*.py        those of 'other'; each has its own version history and version table

Migrations('default').upgrade() ─► Alembic, on the master's asyncio engine ─► env.py ─► configure_and_run
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, cast

from alembic import command
from alembic.config import Config
from alembic.operations.ops import MigrationScript
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection

from torngas_aio._names import without_exit
from torngas_aio.db._connections import limited
from torngas_aio.db.dbalchemy.model import metadata_of, metadatas
from torngas_aio.db.dbalchemy.registry import cluster_of
from torngas_aio.exception import ArgumentError

__all__ = ["Migrations", "configure_and_run", "version_table_of"]

SCRIPTS = Path(__file__).parent / "migration_scripts"


class Migrations:
    """The versions of one connection name.

    Import the models first: the next version would drop the table of a model that is not imported.

    Args:
        name: The connection's name.
        folder: The folder with the versions of all connections.
        write: Receives each line of Alembic's output.
    """

    def __init__(
        self, name: str = "default", folder: Path = Path("migrations"), write: Callable[[str], object] = print
    ):
        self.name = name
        self.versions = folder / name
        self._config = Config(stdout=cast("TextIO", _Lines(write)))
        self._config.set_main_option("script_location", _escape(SCRIPTS))
        self._config.set_main_option("version_locations", _escape(self.versions))
        self._config.set_main_option("path_separator", "newline")
        self._config.attributes["name"] = name

    async def revision(self, message: str, *, is_empty: bool = False) -> Path | None:
        """Write a version that brings the database to the models' state; return its path, None without changes.

        Args:
            message: A short description of the change; it becomes part of the file name.
            is_empty: Write a version without changes, to be filled in manually.

        Raises:
            ArgumentError: The database is not at the newest version, or Alembic reports another error.
        """
        self.versions.mkdir(parents=True, exist_ok=True)
        self._config.attributes["is_empty"] = is_empty
        made = await self._run(
            lambda config: command.revision(config, message, autogenerate=not is_empty, version_path=str(self.versions))
        )
        path = getattr(made, "path", None)
        return Path(path) if path else None

    async def upgrade(self, revision: str = "head") -> None:
        """Upgrade the database.

        Args:
            revision: A version, `+1`, or `head` for the newest.

        Raises:
            ArgumentError: There is no such version.
        """
        await self._run(lambda config: command.upgrade(config, revision))

    async def downgrade(self, revision: str) -> None:
        """Downgrade the database.

        Args:
            revision: A version, `-1`, or `base` for the state before the first version.

        Raises:
            ArgumentError: There is no such version.
        """
        await self._run(lambda config: command.downgrade(config, revision))

    async def history(self) -> None:
        """Output every version, newest first, and mark the database's current one."""
        await self._run(lambda config: command.history(config, indicate_current=True))

    async def current(self) -> str | None:
        """Return the database's current version, None before the first; several if the history has branches."""
        return ", ".join(sorted(await self._applied())) or None

    async def _applied(self) -> tuple[str, ...]:
        from alembic.migration import MigrationContext

        def read(connection: Connection) -> tuple[str, ...]:
            options = {"version_table": version_table_of(self.name)}
            return MigrationContext.configure(connection, opts=options).get_current_heads()

        async with cluster_of(self.name).master.engine.connect() as connection:
            return await connection.run_sync(read)

    async def pending(self) -> list[str]:
        """Return the versions on disk that are not applied, in order of application, each with its message.

        Raises:
            ArgumentError: The database is at a version that is not on disk, or Alembic reports another error.
            DatabaseUnavailable: The database does not answer.
        """
        applied = await self._applied()
        try:
            scripts = ScriptDirectory.from_config(self._config)
            missing = scripts.iterate_revisions("heads", applied or "base", implicit_base=True)
            return [f"{script.revision} ({script.doc})" for script in missing][::-1]
        except (CommandError, RevisionError) as exc:
            raise ArgumentError(f"{self.name}: {self._explain(exc)}") from exc

    async def _run(self, function: Callable[[Config], object]) -> object:
        """Run one of Alembic's synchronous commands on the master, in SQLAlchemy's greenlet."""
        if not self.versions.is_dir():
            raise ArgumentError(
                f"{self.versions}: no versions of the connection {self.name!r}. "
                "Make the first with `torngas-aio db revision -m 'first tables'`."
            )

        def on(connection: Connection) -> object:
            self._config.attributes["connection"] = connection
            return without_exit(function, self._config)

        self._check_chain()
        try:
            with limited(None):  # migrations of large tables may take long
                async with cluster_of(self.name).master.engine.connect() as connection:
                    return await connection.run_sync(on)
        except CommandError as exc:
            raise ArgumentError(f"{self.name}: {self._explain(exc)}") from exc

    def _explain(self, error: Exception) -> str:
        """Return the text of Alembic's *error*, with advice if there is any."""
        text, newest = str(error).rstrip("."), ScriptDirectory.from_config(self._config).get_heads()
        if len(newest) > 1 and ("head" in text or "not up to date" in text):
            return (
                f"{text}. {self.versions} has {len(newest)} newest versions, {' and '.join(sorted(newest))}, as after "
                "two branches of the code were merged. Let one follow the other: in the file of one that was not "
                "applied yet, write the other as `down_revision`."
            )
        if "not up to date" in text:
            return f"{text}. Run `torngas-aio db upgrade --connection={self.name}` first."
        if "identified by" in text or isinstance(error, RevisionError):
            return (
                f"{text}. No file of {self.versions} has this version. If the database is at it, it was applied from "
                "another branch of the code: bring its file back, or go back with `torngas-aio db downgrade` there."
            )
        return text

    def _check_chain(self) -> None:
        try:
            _ = ScriptDirectory.from_config(self._config).revision_map.heads
        except KeyError as exc:
            raise ArgumentError(
                f"{self.versions}: a version names {exc} as its `down_revision`, and there is no such version. "
                "Bring that file back, or correct the line."
            ) from exc


def configure_and_run(context: Any) -> None:
    """Run the migrations of the current command; called by `env.py` with Alembic's `context`."""
    attributes = context.config.attributes
    connection: Connection = attributes["connection"]
    name: str = attributes["name"]
    context.configure(
        connection=connection,
        target_metadata=metadata_of(name),
        version_table=version_table_of(name),
        render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by copying it
        compare_type=True,
        include_object=_chooser(name),
        process_revision_directives=None if attributes.get("is_empty") else _without_empty,
        transaction_per_migration=True,
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    except Exception as exc:
        if connection.dialect.name in {"mysql", "mariadb"}:
            exc.add_note(
                "MySQL and MariaDB cannot roll back CREATE, ALTER and DROP: what stands before the failed line of this "
                "version has been done. Undo it by hand, or take it out of the file, before you run the version again."
            )
        raise


def version_table_of(name: str) -> str:
    """Return the name of the version table of the connection *name*; several names may share one database."""
    return "alembic_version" if name == "default" else f"alembic_version_{name}"


def _chooser(name: str) -> Callable[..., bool]:
    """Return a filter of the tables for versions of *name*: not those of other connections, nor Alembic's own."""
    others = [metadata for other, metadata in metadatas().items() if other != name]

    def is_included(found: Any, table: str | None, kind: str, is_reflected: bool, compared_to: object) -> bool:
        if kind != "table" or not is_reflected or compared_to is not None:
            return True
        is_others = any(found.name in metadata.tables for metadata in others)
        return not (is_others or (table or "").startswith("alembic_version"))

    return is_included


def _without_empty(context: object, revision: object, directives: list[MigrationScript]) -> None:
    """Suppress a version without changes."""
    if directives and directives[0].upgrade_ops is not None and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def _escape(path: Path) -> str:
    return str(path.absolute()).replace("%", "%%")


class _Lines(io.TextIOBase):
    """A file object for Alembic's output; passes complete lines to *write*."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._write(line)
        return len(text)
