"""The base class of middlewares: every hook, none of which counts until it is overridden.

Inheriting is optional: any class with one of these `async def` methods is a middleware.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from torngas_aio.pipeline import no_hook

__all__ = ["BaseMiddleware", "Clear"]

Clear = Callable[[], None]


class BaseMiddleware:
    """Override what you need; a true return value ends that stage for the request, `clear()` ends all.

    process_init > process_call > process_request > process_render > process_response > process_endcall
    Errors go to process_exception; process_shutdown is the last word.
    """

    before_body = False
    """Whether `process_request` runs before the request's body is read; asking for the body there raises."""

    depends_on: tuple[object, ...] = ()
    """Classes, or dotted paths of such, whose request hooks must run before this one's; checked at start."""

    @no_hook
    async def process_init(self, application: Any) -> object:
        """Run once in the running loop, before the first request; in declared order."""

    @no_hook
    async def process_call(self, request: Any, clear: Clear) -> object:
        """A request's header is in, no route is matched yet; in declared order."""

    @no_hook
    async def process_request(self, handler: Any, clear: Clear) -> object:
        """The route is matched, the handler's method comes next; in declared order.

        A hook that finishes the response returns a true value; the method does not run then.
        """

    @no_hook
    async def process_render(self, handler: Any, clear: Clear, template_name: str, **kwargs: Any) -> object:
        """A template is about to be rendered; in reverse order."""

    @no_hook
    async def process_response(self, handler: Any, clear: Clear, chunk: list[bytes]) -> object:
        """The header is about to be sent; in reverse order.

        Args:
            chunk: The parts of the body; change them in place, or call `handler.write()`.
        """

    @no_hook
    async def process_endcall(self, handler: Any, clear: Clear) -> object:
        """The response was sent, or the client is gone; in reverse order."""

    @no_hook
    async def process_exception(
        self,
        handler: Any,
        clear: Clear,
        typ: type[BaseException],
        value: BaseException,
        tb: TracebackType | None,
    ) -> object:
        """An exception was raised and not caught; in reverse order. Finish the response to replace the error page."""

    @no_hook
    async def process_shutdown(self, application: Any) -> object:
        """Run once after the last request; in reverse order."""
