"""The base class of middlewares, with all hooks; hooks that are not overridden are not called.

Inheriting is optional: any class with one of these `async def` methods is a middleware.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from torngas_aio.pipeline import no_hook

__all__ = ["BaseMiddleware", "Clear"]

Clear = Callable[[], None]


class BaseMiddleware:
    """A base class of middlewares. A true return value of a hook ends that stage for the request, `clear()` all stages.

    process_init > process_call > process_request > process_render > process_response > process_endcall
    Errors go to process_exception; process_shutdown runs at the end.
    """

    before_body = False
    """Whether `process_request` runs before the request's body is read; accessing the body there raises."""

    depends_on: tuple[object, ...] = ()
    """Classes, or their dotted paths, whose request hooks must run before this one's; checked at start."""

    @no_hook
    async def process_init(self, application: Any) -> object:
        """Run once in the running loop, before the first request; in declared order."""

    @no_hook
    async def process_call(self, request: Any, clear: Clear) -> object:
        """Run when a request's header has arrived, before routing; in declared order."""

    @no_hook
    async def process_request(self, handler: Any, clear: Clear) -> object:
        """Run after routing, before the handler's method; in declared order.

        A hook that finishes the response returns a true value; the method then does not run.
        """

    @no_hook
    async def process_render(self, handler: Any, clear: Clear, template_name: str, **kwargs: Any) -> object:
        """Run before a template is rendered; in reverse order."""

    @no_hook
    async def process_response(self, handler: Any, clear: Clear, chunk: list[bytes]) -> object:
        """Run before the response header is sent; in reverse order.

        Args:
            chunk: The parts of the body; change them in place, or call `handler.write()`.
        """

    @no_hook
    async def process_endcall(self, handler: Any, clear: Clear) -> object:
        """Run after the response was sent, or the client has disconnected; in reverse order."""

    @no_hook
    async def process_exception(
        self,
        handler: Any,
        clear: Clear,
        typ: type[BaseException],
        value: BaseException,
        tb: TracebackType | None,
    ) -> object:
        """Run on an uncaught exception; in reverse order. Finish the response to replace the error page."""

    @no_hook
    async def process_shutdown(self, application: Any) -> object:
        """Run once after the last request; in reverse order."""
