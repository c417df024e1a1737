"""What an application is to the servers that hand it requests without Tornado's delegates."""

from collections.abc import Awaitable
from typing import Protocol

from torngas_aio.http.request import Request

__all__ = ["DirectApplication", "answer"]


class DirectApplication(Protocol):
    """An application that takes requests from an HTTP server without Tornado's delegates."""

    def serve_request(self, request: Request) -> Awaitable[None]:
        """Answer *request* through `request.connection`. Raises nothing but `CancelledError`, and a
        `KeyboardInterrupt` that was answered before.

        Called and awaited within the request's task: what it does at the call sees the request's context.
        """
        ...


async def answer(application: DirectApplication, request: Request) -> None:
    """Have *application* answer *request*: the coroutine for a task of its own."""
    await application.serve_request(request)
