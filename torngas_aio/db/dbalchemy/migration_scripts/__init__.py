"""Alembic's environment, env.py, for every connection name; a project holds only its versions."""
