"""The base class of HTTP modules: hooks that settings turn on and off, route by route.

Begin with `BaseHttpModule`.
"""

from collections.abc import Callable
from typing import Any

from torngas_aio.pipeline import no_hook

__all__ = ["MODULE_HOOKS", "BaseHttpModule"]

MODULE_HOOKS = {
    "request": "begin_request",
    "render": "begin_render",
    "response": "begin_response",
    "endcall": "complete_response",
}
"""Stage -> the name of a module's method."""

Clear = Callable[[], None]


class BaseHttpModule:
    """Override what you need, each an `async def`; one instance serves every request of the application.

    A true return value ends that stage for the request, `clear()` ends all stages. In every stage modules run in
    the order in which they are declared, common modules before those of the route.
    """

    before_body = False
    """Whether `begin_request` runs before the request's body is read; asking for the body there raises."""

    depends_on: tuple[object, ...] = ()
    """Classes, or dotted paths of such, whose request hooks must run before this one's; checked at start."""

    @no_hook
    async def begin_request(self, handler: Any, clear: Clear) -> object:
        """Before the handler's method. Finish the response and return a true value to keep it from running."""

    @no_hook
    async def begin_render(self, handler: Any, clear: Clear, template_name: str, **kwargs: Any) -> object:
        """Before a template is rendered."""

    @no_hook
    async def begin_response(self, handler: Any, clear: Clear, chunk: list[bytes]) -> object:
        """Before the header is sent; change the parts of *chunk*, the body, in place, or `handler.write()`."""

    @no_hook
    async def complete_response(self, handler: Any, clear: Clear) -> object:
        """After the response was sent, or the client is gone."""
