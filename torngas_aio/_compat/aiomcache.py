"""What aiomcache keeps under private names."""

from typing import Any

__all__ = ["validate_key"]


def validate_key(client: Any, key: bytes) -> None:
    """Raise `aiomcache.ValidationException` for a *key* that would be read as a part of the command."""
    client._validate_key(key)
