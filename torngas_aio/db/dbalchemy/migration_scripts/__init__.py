"""What Alembic runs for every connection name; a project holds only its versions, in `migrations/<name>/`."""
