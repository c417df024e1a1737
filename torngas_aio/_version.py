"""The version, in its one place; pyproject.toml reads it from here."""

__all__ = ["__version__"]

__version__ = "2.0.0"
