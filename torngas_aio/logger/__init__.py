"""Loggers, files that several processes share, and their settings."""
