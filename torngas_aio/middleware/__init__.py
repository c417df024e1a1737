"""The middlewares that settings name, and the base class for your own."""

from torngas_aio._former_names import former_names
from torngas_aio.middleware.base import BaseMiddleware

__all__ = ["BaseMiddleware"]

__getattr__ = former_names(__name__)
