"""The current request, wherever the code below a handler happens to be. Begin with `request_context`."""

from tornado.httputil import HTTPServerRequest

from torngas_aio.context import current_request
from torngas_aio.exception import OutsideRequest

__all__ = ["RequestContext", "request_context"]


class RequestContext:
    """A view of whichever request is being served; true inside a request, false outside any.

    Tasks that a handler starts see its request; what runs for another request sees that one's.
    """

    __slots__ = ()

    @property
    def request(self) -> HTTPServerRequest:
        """The request that this code runs for.

        Raises:
            OutsideRequest: It runs for none: at import, in a hook of the application's start, in a script.
        """
        request = current_request()
        if request is None:
            raise OutsideRequest(
                "request_context.request was read outside any request. "
                "Ask `if request_context:` first, or pass the request in."
            )
        return request

    def __bool__(self) -> bool:
        return current_request() is not None


request_context = RequestContext()
