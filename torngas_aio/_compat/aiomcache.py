"""Private names of aiomcache."""

from typing import Any

__all__ = ["validate_key"]


def validate_key(client: Any, key: bytes) -> None:
    """Raise `aiomcache.ValidationException` for a *key* that would be parsed as part of the command."""
    client._validate_key(key)
