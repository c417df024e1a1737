"""One suite a family, run on every member."""
