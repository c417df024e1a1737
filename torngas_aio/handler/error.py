"""`ErrorHandler`: answers an address that leads nowhere, or a request whose handler could not be made."""

from typing import Any

from tornado.web import HTTPError

from torngas_aio.handler.web import WebHandler

__all__ = ["ErrorHandler"]


class ErrorHandler(WebHandler):
    """Answers every method with one error status.

    Route keyword:
        status_code: The status, 404 by default.
    """

    def initialize(self, status_code: int = 404) -> None:
        self._error_status = status_code

    def _not_allowed(self) -> HTTPError:
        return HTTPError(self._error_status)

    def prepare(self) -> Any:
        raise HTTPError(self._error_status)

    def check_xsrf_cookie(self) -> None:
        """An error page changes nothing, so it asks for no token."""

    def _check_origin(self) -> None:
        """An error page changes nothing, so any origin may see it."""
