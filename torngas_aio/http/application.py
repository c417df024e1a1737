"""The contract of an application that an HTTP server calls without Tornado's delegates."""

from collections.abc import Awaitable
from typing import Protocol

from torngas_aio.http.request import Request

__all__ = ["DirectApplication", "answer"]


class DirectApplication(Protocol):
    """An application that accepts requests from an HTTP server without Tornado's delegates."""

    def serve_request(self, request: Request) -> Awaitable[None]:
        """Respond to *request* through `request.connection`.

        Called and awaited in the request's task, so that the call itself runs in the request's context.

        Raises:
            CancelledError: The request's task was cancelled.
            KeyboardInterrupt: After the response. Nothing else is raised.
        """
        ...


async def answer(application: DirectApplication, request: Request) -> None:
    """Await *application*'s response to *request*, as the coroutine of a separate task."""
    await application.serve_request(request)
