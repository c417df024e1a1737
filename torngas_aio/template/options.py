"""TEMPLATE_CONFIG's keys: which engine understands which.

Begin with `refuse_unknown`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torngas_aio._suggest import did_you_mean
from torngas_aio.exception import ConfigError

__all__ = ["SHARED", "refuse_unknown"]

SHARED = frozenset(
    {
        "autoescape", "cache_directory", "cache_size", "collection_size", "filesystem_checks", "format_exceptions",
        "offload_bytes",
    }
)  # fmt: skip
"""What the TEMPLATE_CONFIG of torngas 1.8 holds whatever the engine; each engine takes its own part of it."""


def refuse_unknown(options: Mapping[str, Any], known: Iterable[str], engine: str) -> None:
    """Raise when *options* holds a key that neither *engine* nor the shared part of TEMPLATE_CONFIG knows.

    Raises:
        ConfigError: All such keys, each with the nearest known one.
    """
    allowed = SHARED | frozenset(known)
    faults = []
    for name in options:
        if name not in allowed:
            hint = did_you_mean(name, sorted(allowed), f" It knows {', '.join(sorted(allowed))}.")
            faults.append(f"TEMPLATE_CONFIG[{name!r}]: the {engine} engine has no such option.{hint}")
    ConfigError.gather(faults, code="TGA102")
