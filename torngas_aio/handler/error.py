"""`ErrorHandler`: responds to an unknown URL, or if the request's handler could not be created."""

from typing import Any

from tornado.web import HTTPError

from torngas_aio.handler.api import ApiHandler
from torngas_aio.handler.events import EventStreamHandler
from torngas_aio.handler.web import WebHandler
from torngas_aio.handler.websocket import WebSocketHandler

__all__ = ["ErrorHandler"]

_NOT_PAGES = (ApiHandler, EventStreamHandler, WebSocketHandler)


class ErrorHandler(WebHandler):
    """A handler that responds to every method with one error status.

    The response is problem details if the routes with the same first segment (all routes, if there are none) belong
    to an API: to `ApiHandler`s, event streams and sockets. Otherwise the client's `Accept` decides.

    Route keyword:
        status_code: The status, 404 by default.
    """

    def initialize(self, status_code: int = 404) -> None:
        self._error_status = status_code

    def _not_allowed(self) -> HTTPError:
        return HTTPError(self._error_status)

    def prepare(self) -> Any:
        raise HTTPError(self._error_status)

    def _error_accept(self) -> str:
        classes = self.application.default_router.classes_beside(self.request.path)
        # Static files and health checks are this package's own handlers.
        own = [each for each in classes if not each.__module__.startswith("torngas_aio.")]
        has_pages = any(not issubclass(each, _NOT_PAGES) for each in own)
        is_api = not has_pages and any(issubclass(each, ApiHandler) for each in own)
        return "application/problem+json" if is_api else super()._error_accept()

    def check_xsrf_cookie(self) -> None:
        """Skip the check: an error page changes nothing."""

    def _check_origin(self) -> None:
        """Skip the check: an error page changes nothing."""
