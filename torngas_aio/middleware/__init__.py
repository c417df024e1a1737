"""The middlewares that settings name, and the base class for your own."""

from torngas_aio.middleware.base import BaseMiddleware

__all__ = ["BaseMiddleware"]
