"""Alembic's environment: run by Alembic itself, once a command."""

from alembic import context

from torngas_aio.db.dbalchemy.migrations import configure_and_run

__all__: list[str] = []

configure_and_run(context)
