"""Swagger UI 5, a page that shows an OpenAPI document and can call its operations. Extra `openapi`.

    /-/docs/                    the page, with a Content-Security-Policy that allows only this site
    /-/docs/swagger-ui.css ...  files of the package swagger-ui-py, and the script that starts it

Nothing is loaded from other sites.
"""

import functools
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tornado.escape import xhtml_escape

from torngas_aio.api.openapi import DOCUMENT_PATH
from torngas_aio.handler import WebHandler
from torngas_aio.settings_manager import settings

__all__ = ["PAGE_PATH", "PageHandler", "page_rules"]

PAGE_PATH = "/-/docs/"
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "favicon-32x32.png": "image/png"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="icon" href="favicon-32x32.png"><link rel="stylesheet" href="swagger-ui.css"></head>
<body><div id="page" data-url="{url}"></div>
<script src="swagger-ui-bundle.js"></script><script src="start.js"></script></body></html>
"""
_START = """const url = document.getElementById("page").dataset.url;
const token = () => (document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) || [])[1];
SwaggerUIBundle({
  url, dom_id: "#page", deepLinking: true, tryItOutEnabled: true, validatorUrl: null, queryConfigEnabled: false,
  requestInterceptor: (request) => {
    if (new URL(request.url, location.href).origin === location.origin && token()) {
      request.headers["X-XSRFToken"] = decodeURIComponent(token());
    }
    return request;
  },
});
"""


def page_rules() -> list[Any]:
    """Return the routes of the page; [] if the extra `openapi` is not installed."""
    path = settings.OPENAPI.get("page", PAGE_PATH)
    if not path or _static_folder() is None:
        return []
    return [(f"{re.escape(path.rstrip('/'))}(?:/(?P<name>[\\w.-]*))?", PageHandler)]


class PageHandler(WebHandler):
    """The handler of the page and its files."""

    async def get(self, name: str | None = None) -> None:
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        if name is None:  # without the slash, relative URLs would start at the parent folder
            await self.redirect(f"{self.request.root_path}{self.request.path}/")
        elif name == "":
            title = xhtml_escape(str(settings.OPENAPI.get("title", "API")))
            url = self.request.root_path + settings.OPENAPI.get("path", DOCUMENT_PATH)
            self.set_header("Cache-Control", "no-cache")
            self.write(_PAGE.format(title=title, url=xhtml_escape(url)))
        elif name == "start.js":
            self.set_header("Content-Type", "text/javascript; charset=UTF-8")
            self.write(_START)
        else:
            known = name if name in _FILES else ""  # the folder also contains an editor
            await self.send_file(known, root=_static_folder() or "", inline=True, content_type=_FILES.get(name))

    head = get


@functools.cache
def _static_folder() -> Path | None:
    """Return the folder of swagger-ui-py's files, without importing it."""
    spec = find_spec("swagger_ui")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "static"
