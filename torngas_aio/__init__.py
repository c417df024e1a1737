"""torngas_aio: the Django-like application layer for Tornado, native to asyncio.

Names are handed on from where they live when first asked for, so that importing one part costs nothing of
the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torngas_aio._version import __version__

if TYPE_CHECKING:
    from torngas_aio.settings_manager import settings

__all__ = ["__version__", "settings"]

_HOMES = {
    "settings": "torngas_aio.settings_manager",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
