"""HTTP modules: hooks that turn on and off per route."""

from torngas_aio.httpmodule.base import BaseHttpModule

__all__ = ["BaseHttpModule"]
