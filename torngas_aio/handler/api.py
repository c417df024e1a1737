"""`ApiHandler`: answers in the format that the client asks for, errors included.

Begin with `ApiHandler.write_api`.
"""

from typing import Any

from tornado.escape import json_encode
from tornado.web import HTTPError

from torngas_aio.handler.web import WebHandler

__all__ = ["ApiHandler"]


class ApiHandler(WebHandler):
    """A handler for programs: `write_api` for answers, JSON for errors."""

    def get_format(self) -> str:
        """Return "json" or "jsonp": the argument `format`, else "jsonp" where Accept names JavaScript."""
        wanted: str | None = self.get_argument("format", None)
        if wanted:
            return wanted
        return "jsonp" if "javascript" in self.request.headers.get("Accept", "") else "json"

    def write_api(
        self, obj: Any = None, nofail: bool = False, ensure_ascii: bool = True, fmt: str | None = None
    ) -> None:
        """Write *obj*."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.write(json_encode(obj))
        if fmt == "xml" and not nofail:
            raise HTTPError(400)
