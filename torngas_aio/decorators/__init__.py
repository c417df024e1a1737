"""Decorators for handlers and their methods."""
