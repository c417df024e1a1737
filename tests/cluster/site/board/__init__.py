"""The application that visitors check: counters in sessions, posts in a database."""
